import { describe, expect, test } from 'vitest'
import {
  type BrokerOrder,
  dec,
  excessOf,
  type Order,
  type OrderUpdate,
  type Placement,
  type Position,
} from '#domain'
import { at, brokerOrder, claimed, executionOf, intentOf, play, seen } from './orders.ts'

const exits = {
  takeProfit: { limitPrice: dec('190') },
  stopLoss: { stopPrice: dec('170'), limitPrice: null },
}
const exit = (brokerOrderId: string, over: Partial<BrokerOrder> = {}): BrokerOrder =>
  brokerOrder('new', '0', 2, { brokerOrderId, clientOrderId: brokerOrderId, side: 'sell', ...over })
const legs = [
  exit('b2', { orderType: 'limit', limitPrice: dec('190') }),
  exit('b3', { orderType: 'stop', stopPrice: dec('170') }),
]
const whole = (second: number) => executionOf('100', '180', '100', second)

/** A bracket of 100, both of whose exits executed in full, and the short position that is left. */
const updates: readonly OrderUpdate[] = [
  claimed(intentOf({ orderClass: 'bracket', ...exits })),
  seen(brokerOrder('filled', '100', 2, { orderClass: 'bracket', legs }), whole(2)),
  ...['b2', 'b3'].map((brokerOrderId, index): OrderUpdate => {
    return { type: 'execution', brokerOrderId, execution: whole(3 + index) }
  }),
]
const { order, position } = play(updates).slice as { order: Order; position: Position }
const nowMs = Date.parse(at(30))
const changed = (index: number, change: Partial<Placement>): Order => ({
  ...order,
  placements: order.placements.map((one, i) => (i === index ? { ...one, ...change } : one)),
})

describe('the quantity to close of an over-exited order', () => {
  test('is the excess, on the side that the exits made', () => {
    expect(excessOf(order, position, nowMs)).toEqual({
      symbol: 'AAPL',
      quantity: '100',
      positionSide: 'short',
    })
    const part = { ...position, quantity: dec('-30') }
    expect(excessOf(order, part, nowMs)).toEqual({
      symbol: 'AAPL',
      quantity: '100',
      positionSide: 'short',
    })
    const sold = { ...order, side: 'sell' } as const
    const long = { ...position, quantity: dec('100') }
    expect(excessOf(sold, long, nowMs)).toEqual({
      symbol: 'AAPL',
      quantity: '100',
      positionSide: 'long',
    })
    expect(excessOf(sold, position, nowMs)).toBeNull()
  })

  test.each<[string, Order, Position | null, number]>([
    ['the position is long', order, { ...position, quantity: dec('100') }, nowMs],
    ['the position was opened later', order, { ...position, openedAt: at(5) }, nowMs],
    ['nothing is held', order, null, nowMs],
    ['an exit is open', changed(1, { status: 'partially_filled' }), position, nowMs],
    [
      'an execution is not booked yet',
      changed(1, { reportedQuantity: dec('120') }),
      position,
      nowMs,
    ],
    ['it was placed elsewhere', { ...order, origin: 'external' }, position, nowMs],
    ['it is of another day', order, position, nowMs + 86_400_000],
  ])('is zero while %s', (_why, of, held, now) => expect(excessOf(of, held, now)).toBeNull())
})
