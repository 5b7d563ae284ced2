import { expect, test } from 'vitest'
import {
  clientOrderIdOf,
  commandsOf,
  dec,
  isExcess,
  missizedBy,
  hasPendingWork,
  type OrderUpdate,
} from '#domain'
import { at, brokerOrder, claimed, executionOf, intentOf, play, seen } from './orders.ts'

const terms = {
  quantity: null,
  limitPrice: dec('151'),
  stopPrice: null,
  trail: null,
  timeInForce: 'gtc',
} as const
const limit = { orderType: 'limit', limitPrice: dec('150') } as const
const refused: OrderUpdate[] = [
  claimed(intentOf(limit)),
  seen(brokerOrder('new', '0', 1, limit)),
  {
    type: 'replace_requested',
    request: { commandId: 'c1', leg: 'entry', terms, requestedAt: at(2) },
  },
  { type: 'replace_sent', commandId: 'c1', at: at(3) },
  { type: 'replace_ended', commandId: 'c1', outcome: 'refused', message: 'not now', at: at(4) },
]
const next = {
  ...limit,
  limitPrice: dec('151'),
  brokerOrderId: 'b2',
  clientOrderId: clientOrderIdOf('u1', 't1', '0.1'),
}

test('a refused replacement that took place - the record follows the broker', () => {
  const before = play(refused).slice.order!
  expect(commandsOf(before)).toMatchObject([
    { commandId: 'c1', outcome: 'refused', message: 'not now' },
  ])
  const { slice, changes } = play([
    ...refused,
    seen(brokerOrder('replaced', '0', 5, { ...limit, replacedBy: 'b2' })),
    seen(brokerOrder('new', '0', 6, { ...next, replaces: 'b1' })),
  ])
  expect(commandsOf(slice.order!)).toEqual([
    { commandId: 'c1', kind: 'replace', outcome: 'done', message: null, at: at(6) },
  ])
  expect(slice.order).toMatchObject({
    limitPrice: '151',
    timeInForce: 'gtc',
    quantity: '100',
    replaces: [],
  })
  expect(changes.filter(({ type }) => type === 'order.replaced')).toHaveLength(1)
})

test('a refused replacement that the broker never shows stays refused', () => {
  const { slice } = play([...refused, seen(brokerOrder('filled', '100', 9, limit))])
  expect(commandsOf(slice.order!)).toMatchObject([{ commandId: 'c1', outcome: 'refused' }])
})

test.each(['pending_cancel', 'pending_replace'] as const)(
  'replacement %s, not at the venue - has not taken place, the terms stay',
  (status) => {
    const { slice, changes } = play([
      ...refused.slice(0, 4),
      seen(brokerOrder('pending_replace', '0', 5, { ...limit, replacedBy: 'b2' })),
      seen(brokerOrder('accepted', '0', 5, { ...next, replaces: 'b1' })),
      seen(brokerOrder(status, '0', 6, { ...next, replaces: 'b1' })),
      seen(brokerOrder('canceled', '0', 7, { ...next, replaces: 'b1' })),
      seen(brokerOrder('new', '0', 8, limit)),
    ])
    expect(changes.filter(({ type }) => type === 'order.replaced')).toEqual([])
    expect(slice.order).toMatchObject({ status: 'submitted', limitPrice: '150' })
  },
)

test('a replacement that could execute beyond the ordered total is to be canceled', () => {
  const filled = seen(brokerOrder('filled', '100', 9, limit), executionOf('100', '150', '100', 9))
  const race: OrderUpdate[] = [
    ...refused,
    seen(
      brokerOrder('replaced', '60', 5, { ...limit, replacedBy: 'b2' }),
      executionOf('60', '150', '60', 5),
    ),
    seen(brokerOrder('partially_filled', '40', 6, { ...next, replaces: 'b1' }), {
      ...executionOf('40', '151', '40', 6),
      executionId: 'y40',
    }),
  ]
  const order = play(race).slice.order!
  expect([order.status, isExcess(order), hasPendingWork(order)]).toEqual(['filled', true, true])
  const whole = play([...refused.slice(0, 2), filled]).slice.order!
  expect([whole.status, isExcess(whole), hasPendingWork(whole)]).toEqual(['filled', false, false])
})

test('a size that persists becomes the quantity of the order, and is reported', () => {
  const sized = seen(brokerOrder('new', '0', 6, { ...next, quantity: dec('70'), replaces: 'b1' }))
  const before = [
    ...refused,
    seen(brokerOrder('replaced', '0', 5, { ...limit, replacedBy: 'b2' })),
    sized,
  ]
  const { slice, changes } = play([
    ...before,
    { type: 'size_stands', at: at(7) },
    { type: 'size_stands', at: at(8) },
  ])
  expect(slice.order?.quantity).toBe('70')
  expect(changes.filter(({ type }) => type === 'order.replaced')).toHaveLength(2)
})

test('a size does not count until the replaced order has reported its executions', () => {
  const sized = seen(brokerOrder('new', '0', 6, { ...next, quantity: dec('70'), replaces: 'b1' }))
  const stands: OrderUpdate = { type: 'size_stands', at: at(7) }
  const unread = play([...refused, sized, stands]).slice
  expect([unread.order?.quantity, missizedBy(unread.order!)]).toEqual(['100', null])
  const ended = seen(
    brokerOrder('replaced', '17', 5, { ...limit, replacedBy: 'b2' }),
    executionOf('17', '150', '17', 5),
  )
  const { slice } = play([ended], unread)
  expect(missizedBy(slice.order!)?.commandId).toBe('c1')
  expect(play([stands], slice).slice.order?.quantity).toBe('87')
})

test('after a refused one, a replacement counts once its original shows as replaced', () => {
  const { slice, changes } = play([
    ...refused,
    {
      type: 'replace_requested',
      request: { commandId: 'c2', leg: 'entry', terms, requestedAt: at(5) },
    },
    { type: 'replace_sent', commandId: 'c2', at: at(5) },
    seen(brokerOrder('replaced', '0', 6, { ...limit, replacedBy: 'b2' })),
    seen(
      brokerOrder('accepted', '0', 6, {
        ...next,
        clientOrderId: clientOrderIdOf('u1', 't1', '0.2'),
        replaces: 'b1',
      }),
    ),
  ])
  expect(changes.filter(({ type }) => type === 'order.replaced')).toHaveLength(1)
  expect(commandsOf(slice.order!)).toMatchObject([
    { commandId: 'c1', outcome: 'refused' },
    { commandId: 'c2', outcome: 'done' },
  ])
  expect(slice.order).toMatchObject({ limitPrice: '151', replaces: [] })
})
