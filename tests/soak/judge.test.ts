import { describe, expect, test } from 'vitest'
import { adopt, dec, type Order, reduce, type Slice } from '#domain'
import type { AccountLedger } from '#sandbox'
import type { LogEntry } from '#store'
import {
  at,
  brokerOrder,
  claimed,
  executionOf,
  orderKey,
  readingOf,
  seen,
} from '../domain/orders.ts'
import { emptyVerdict, type Evidence, judge } from './judge.ts'

// A judge that cannot find anything would make every soak clean: each of its findings is shown to
// it once.

const clientOrderId = 'fc1-0000000000-0.0-t1'
const view = { clientOrderId }
const adopted = adopt('broker_1', readingOf())

function filledOrder(): Slice {
  const updates = [
    claimed(),
    seen(brokerOrder('partially_filled', '40', 2, view), executionOf('40', '10', '40', 2)),
    seen(brokerOrder('filled', '100', 3, view), executionOf('60', '11', '100', 3)),
  ]
  let slice: Slice = { order: null, position: null, account: adopted.account }
  for (const update of updates) slice = reduce(slice, update, orderKey).slice
  return slice
}

const slice = filledOrder()
const order = slice.order as Order
const row = {
  id: 'b1',
  client_order_id: clientOrderId,
  status: 'filled',
  filled_qty: '100',
  legs: null,
}
const entry = (event: string, payload: object, n: number): LogEntry => ({
  id: `170000000000${n}-00000`,
  prev: `170000000000${n - 1}-00000`,
  event,
  payload: { tradeId: 't1', timestamp: at(n), ...payload },
})
const submitted = entry('trade.submitted', {}, 1)
const partial = entry('trade.partialFill', { filledQuantity: 40 }, 2)
const filled = entry('trade.filled', { quantity: 100 }, 3)

const ledger = {
  accountId: 'a',
  accountNumber: 'n',
  cash: '98940',
  deposits: '0',
  realized: '0',
  fees: '0',
  orders: [row],
  executions: [
    { order_id: 'b1', qty: '40', price: '10' },
    { order_id: 'b1', qty: '60', price: '11' },
  ],
  amendments: [],
  activities: [],
  positions: [{ symbol: 'AAPL', qty: '100', cost: '1060' }],
} as AccountLedger

const sound: Evidence = {
  userId: 'u1',
  ledger,
  archived: [],
  snapshot: {
    version: '1',
    lastEventId: filled.id,
    orders: [order],
    positions: slice.position === null ? [] : [slice.position],
    accounts: slice.account === null ? [] : [slice.account],
  },
  told: [submitted, partial, filled],
}

function verdictOn(over: Partial<Evidence>) {
  const verdict = emptyVerdict()
  judge({ ...sound, ...over }, verdict)
  return verdict
}
const withLedger = (over: object) => ({ ledger: { ...ledger, ...over } as AccountLedger })
const withOrder = (over: Partial<Order>) => ({
  snapshot: { ...sound.snapshot, orders: [{ ...order, ...over }] },
})

describe('the judge of the soak', () => {
  test('reports nothing where all sources agree', () =>
    expect(verdictOn({})).toEqual(emptyVerdict()))

  test.each<[string, Partial<Evidence>]>([
    ['cash', withLedger({ cash: '1' })],
    ['a position', withLedger({ positions: [{ symbol: 'AAPL', qty: '99', cost: '1' }] })],
    ['a position too many', withLedger({ positions: [] })],
    ['a status', withLedger({ orders: [{ ...row, status: 'canceled' }] })],
    ['a price', withLedger({ executions: [{ order_id: 'b1', qty: '100', price: '10' }] })],
    [
      'an order that we do not know',
      withLedger({ orders: [row, { ...row, id: 'b2', client_order_id: 'x' }] }),
    ],
    ['an order that the broker does not know', withLedger({ orders: [] })],
    ['a trade reported as submitted twice', { told: [submitted, submitted, partial, filled] }],
    ['a fill reported before the submission', { told: [partial, submitted, filled] }],
    ['an ending that was not reported', { told: [submitted, partial] }],
    ['another ending than there was', withOrder({ status: 'canceled' })],
  ])('reports %s that differs', (_what, over) =>
    expect(verdictOn(over).differences).not.toEqual([]),
  )

  test('a cost may be off by the rounding of a nine-decimal average, and no more', () => {
    const at = (price: string) =>
      withLedger({
        executions: [
          { order_id: 'b1', qty: '40', price: '10' },
          { order_id: 'b1', qty: '60', price },
        ],
      })
    expect(verdictOn(at('11.000000001')).differences).toEqual([])
    expect(verdictOn(at('11.000000002')).differences).toHaveLength(1)
  })

  test('counts an order that was sent twice', () => {
    expect(verdictOn(withLedger({ orders: [row, { ...row, id: 'b2' }] })).duplicateOrders).toBe(1)
  })

  test('counts a fill that was not reported, and one that was reported twice', () => {
    const short = entry('trade.filled', { quantity: 90 }, 3)
    expect(verdictOn({ told: [submitted, partial, short] }).missingFills).toBe(1)
    expect(verdictOn({ told: [submitted, partial, partial, filled] }).repeatedFills).toBe(1)
  })

  test('the ending of an order sized in money may add nothing to its last part', () => {
    const whole = entry('trade.partialFill', { filledQuantity: 100 }, 2)
    const told = [submitted, whole, filled]
    expect(verdictOn({ ...withOrder({ notional: dec('1060') }), told }).repeatedFills).toBe(0)
    expect(verdictOn({ told }).repeatedFills).toBe(1)
  })

  test('an order that has left the hot state is judged like any other', () => {
    const snapshot = { ...sound.snapshot, orders: [] }
    expect(verdictOn({ snapshot, archived: [order] })).toEqual(emptyVerdict())
    expect(verdictOn({ snapshot, archived: [] }).differences).not.toEqual([])
  })
})
