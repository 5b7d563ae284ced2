import { expect, test } from 'vitest'
import { clientOrderIdOf, dec, missizedBy, hasPendingWork, type OrderUpdate } from '#domain'
import { at, brokerOrder, claimed, executionOf, intentOf, play, seen } from './orders.ts'

const terms = {
  quantity: null,
  limitPrice: dec('151'),
  stopPrice: null,
  trail: null,
  timeInForce: null,
} as const
const limit = { orderType: 'limit', limitPrice: dec('150') } as const
const ours = { limitPrice: dec('151'), clientOrderId: clientOrderIdOf('u1', 't1', '0.1') } as const
const requested: OrderUpdate = {
  type: 'replace_requested',
  request: { commandId: 'c1', leg: 'entry', terms, requestedAt: at(2) },
}

/** An order of 100 of which 40 have executed as far as is booked, replaced by one of `quantity`. */
const replacedBy = (
  quantity: string,
  told: string,
  next: Partial<typeof ours> = ours,
): OrderUpdate[] => [
  claimed(intentOf(limit)),
  seen(brokerOrder('new', '0', 1, limit)),
  ...(next === ours
    ? [requested, { type: 'replace_sent', commandId: 'c1', at: at(3) } as const]
    : []),
  seen(
    brokerOrder('replaced', told, 5, { ...limit, replacedBy: 'b2' }),
    executionOf('40', '150', '40', 4),
  ),
  seen(
    brokerOrder('new', '0', 6, {
      ...limit,
      ...next,
      brokerOrderId: 'b2',
      quantity: dec(quantity),
      replaces: 'b1',
    }),
  ),
]

const judged = (updates: readonly OrderUpdate[]) => {
  const { order } = play(updates).slice
  return [missizedBy(order!)?.commandId ?? null, hasPendingWork(order!)]
}

const elsewhere = { clientOrderId: 'elsewhere' } as unknown as typeof ours
const again: OrderUpdate = {
  type: 'replace_requested',
  request: { commandId: 'c2', leg: 'entry', terms, requestedAt: at(7) },
}
const cancel: OrderUpdate = {
  type: 'cancel_requested',
  request: { commandId: 'x', by: 'user', reason: '', requestedAt: at(7) },
}

test.each<[string, OrderUpdate[], ReturnType<typeof judged>]>([
  ['has the right size', replacedBy('60', '40'), [null, false]],
  ['is too large', replacedBy('100', '40'), ['c1', true]],
  ['is too small', replacedBy('20', '40'), ['c1', true]],
  ['waits for executions of the old one', replacedBy('60', '50'), [null, false]],
  ['is to be replaced again', [...replacedBy('100', '40'), again], [null, true]],
  ['is being canceled', [...replacedBy('100', '40'), cancel], [null, true]],
  ['was made elsewhere', replacedBy('20', '40', elsewhere), [null, false]],
])('a replacement %s', (_what, updates, due) => expect(judged(updates)).toEqual(due))

test('an order that was never replaced has its ordered size', () => {
  expect(judged(replacedBy('100', '0').slice(0, 2))).toEqual([null, false])
})
