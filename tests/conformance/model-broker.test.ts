import { describe, expect, test } from 'vitest'
import { clientOrderIdOf, dec, type OrderIntent } from '#domain'
import type { StreamUpdate } from '../../workers/broker/port.ts'
import { intentOf } from '../domain/orders.ts'
import { FakeBroker } from '../support/fake-broker.ts'
import { FakeClock } from '../support/fake-clock.ts'

// Behavior of the model broker beyond the suite that it shares with the real adapter: settings and
// faults of the scenarios.

let trades = 0
async function place(broker: FakeBroker, over: Partial<OrderIntent> = {}): Promise<string> {
  const intent = intentOf({ tradeId: `model-${(trades += 1)}`, quantity: dec('100'), ...over })
  const clientOrderId = clientOrderIdOf(intent.userId, intent.tradeId)
  await broker.submit({ intent, clientOrderId })
  return clientOrderId
}

const limited = { orderType: 'limit', limitPrice: dec('10'), timeInForce: 'gtc' } as const
const terms = {
  quantity: dec('100'),
  limitPrice: dec('11'),
  stopPrice: null,
  trail: null,
  timeInForce: null,
}
const make = () => {
  const clock = new FakeClock()
  return { clock, broker: new FakeBroker({ clock }) }
}

describe('replacements', () => {
  test.each([
    ['own', '100'],
    ['total', '70'],
  ] as const)(
    'sized as %s: of 100 asked with 30 filled the new order has %s',
    async (sizing, quantity) => {
      const { broker } = make()
      broker.replaceSizing = sizing
      const id = await place(broker, limited)
      broker.fill(id, '10', '30')
      const { brokerOrderId } = broker.ledger.order(id)
      const outcome = await broker.replace({ brokerOrderId, clientOrderId: 'next', terms })
      expect(outcome).toMatchObject({
        kind: 'accepted',
        order: { quantity, filledQuantity: '0', status: 'new' },
      })
      expect(broker.ledger.order(id)).toMatchObject({ status: 'replaced', filledQuantity: '30' })
    },
  )

  test('held: the old order may fill first, and the new order is then rejected', async () => {
    const { broker } = make()
    broker.holdsReplaces = true
    const id = await place(broker, limited)
    await broker.replace({
      brokerOrderId: broker.ledger.order(id).brokerOrderId,
      clientOrderId: 'next',
      terms,
    })
    expect([broker.ledger.order(id).status, broker.ledger.order('next').status]).toEqual([
      'pending_replace',
      'accepted',
    ])
    broker.fill(id, '10')
    expect([broker.ledger.order(id).status, broker.ledger.order('next').status]).toEqual([
      'filled',
      'rejected',
    ])
  })

  test.each(['accepted', 'pending_new'] as const)(
    'an order that is %s cannot be replaced',
    async (status) => {
      const { broker } = make()
      broker.acceptedAs = status
      const { brokerOrderId } = broker.ledger.order(await place(broker, limited))
      expect(await broker.replace({ brokerOrderId, clientOrderId: 'next', terms })).toEqual({
        kind: 'refused',
        message: `cannot replace order in ${status} status`,
      })
    },
  )
})

describe('groups', () => {
  const exits = {
    ...limited,
    orderClass: 'bracket',
    takeProfit: { limitPrice: dec('12') },
    stopLoss: { stopPrice: dec('9'), limitPrice: null },
  } as const
  const legsOf = (broker: FakeBroker, id: string) =>
    broker.ledger.nested(broker.ledger.order(id)).legs
  const statuses = (broker: FakeBroker, id: string) =>
    legsOf(broker, id).map(({ status }) => status)

  test('exits are held until the entry is filled; a filled exit cancels the other exit', async () => {
    const { broker } = make()
    const id = await place(broker, exits)
    broker.fill(id, '10', '60')
    expect(statuses(broker, id)).toEqual(['held', 'held'])
    broker.fill(id, '10')
    expect(statuses(broker, id)).toEqual(['new', 'held'])
    broker.fill(legsOf(broker, id)[1]!.brokerOrderId, '9')
    expect(statuses(broker, id)).toEqual(['canceled', 'filled'])
    expect((await broker.readPortfolio()).positions).toEqual([])
  })

  test('both exits can fill in a fast market: the position flips', async () => {
    const { broker } = make()
    const id = await place(broker, exits)
    broker.fill(id, '10')
    for (const leg of legsOf(broker, id)) broker.fill(leg.brokerOrderId, '12', '100')
    expect((await broker.readPortfolio()).positions).toMatchObject([
      { symbol: 'AAPL', quantity: '-100' },
    ])
  })

  test('a canceled entry cancels its exits', async () => {
    const { broker } = make()
    const id = await place(broker, exits)
    await broker.cancel(broker.ledger.order(id).brokerOrderId)
    expect(statuses(broker, id)).toEqual(['canceled', 'canceled'])
  })
})

describe('the books', () => {
  test('buys, sells, flips, splits, fees in kind and cash are booked at average cost', async () => {
    const { broker } = make()
    const buy = await place(broker, { quantity: dec('10') })
    broker.fill(buy, '10', '4')
    broker.fill(buy, '20', '6')
    expect((await broker.readPortfolio()).positions).toMatchObject([
      { quantity: '10', averageEntryPrice: '16' },
    ])
    broker.split('AAPL', '2')
    expect((await broker.readPortfolio()).positions).toMatchObject([
      { quantity: '20', averageEntryPrice: '8' },
    ])
    broker.fill(broker.placeElsewhere('AAPL', '25', 'sell').brokerOrderId, '9')
    expect((await broker.readPortfolio()).positions).toMatchObject([
      { quantity: '-5', averageEntryPrice: '9' },
    ])
    broker.deposit('100')
    broker.moveCash('cash', 'FEE', '-1.5')
    const coins = await place(broker, {
      symbol: 'BTC/USD',
      quantity: dec('0.1'),
      timeInForce: 'gtc',
    })
    broker.fill(coins, '1000', undefined, { fee: '0.00025' })
    const { cash, positions } = await broker.readPortfolio()
    expect(cash).toBe('100063.5') // 100,000 - 40 - 120 + 225 + 100 - 1.5 - 100
    expect(positions.find(({ symbol }) => symbol === 'BTC/USD')?.quantity).toBe('0.09975')
    expect(broker.activities.map(({ type }) => type)).toEqual(['SPLIT', 'CSD', 'FEE', 'CFEE'])
  })

  test('a busted or corrected execution leaves no trace in the books', async () => {
    const { broker } = make()
    const id = await place(broker)
    broker.fill(id, '10', '40')
    broker.fill(id, '20')
    broker.bust(id, 0)
    broker.correct(id, { quantity: '50', price: '21' })
    expect(broker.ledger.order(id)).toMatchObject({
      filledQuantity: '50',
      filledAveragePrice: '21',
      status: 'filled',
    })
    const { cash, positions } = await broker.readPortfolio()
    expect([cash, positions]).toMatchObject([
      '98950',
      [{ quantity: '50', averageEntryPrice: '21' }],
    ])
  })
})

describe('faults', () => {
  test('a request delayed past its deadline is carried out', async () => {
    const { broker, clock } = make()
    broker.fail('submit', { kind: 'delay_request', ms: 30_000 })
    const intent = intentOf({})
    const outcome = broker.submit({ intent, clientOrderId: 'late' })
    await clock.advance(8_000)
    expect(await outcome).toMatchObject({ kind: 'unknown' })
    expect(broker.orders.size).toBe(0)
    await clock.advance(22_000)
    expect(broker.ledger.find('late')).not.toBeNull()
  })

  test('orders, executions and positions can each lag by their own delay', async () => {
    const { broker, clock } = make()
    broker.visibleAfterMs = 5_000
    broker.executionLagMs = 3_000
    broker.portfolioLagMs = 10_000
    const id = await place(broker)
    broker.fill(id, '10')
    const seen = async () => [
      (await broker.findByClientOrderId(id)) !== null,
      (await broker.listOrders({ status: 'all', since: '2020-01-01T00:00:00Z' })).length,
      (await broker.listExecutions('2020-01-01T00:00:00Z')).length,
      (await broker.readPortfolio()).positions.length,
    ]
    expect(await seen()).toEqual([false, 0, 0, 0])
    await clock.advance(3_000)
    expect(await seen()).toEqual([false, 0, 1, 0])
    await clock.advance(2_000)
    expect(await seen()).toEqual([true, 1, 1, 0])
    await clock.advance(5_000)
    expect(await seen()).toEqual([true, 1, 1, 1])
  })

  test('events can be lost, repeated, delayed and reordered', async () => {
    const { broker, clock } = make()
    const told: string[] = []
    const onUpdate = ({ order, execution }: StreamUpdate) =>
      void told.push(execution === null ? order.status : `fill ${execution.quantity}`)
    const listener = {
      onLive: () => void told.push('live'),
      onUpdate,
      onUnreadable: () => {},
      onDown: () => {},
    }
    broker.openTradeStream(listener)
    await clock.advance(0)
    broker.streams.drop()
    const id = await place(broker)
    broker.streams.repeat(2)
    broker.fill(id, '10', '10')
    broker.streams.repeat(1)
    broker.streams.hold()
    broker.fill(id, '10', '20')
    broker.fill(id, '10', '30')
    broker.streams.release((updates) => updates.toReversed())
    broker.streams.cut()
    broker.fill(id, '10', '40')
    await clock.advance(1_000)
    expect(told).toEqual(['live', 'fill 10', 'fill 10', 'fill 30', 'fill 20', 'live'])
  })

  test('with `while_open`, an id is free again once its order is closed', async () => {
    const { broker } = make()
    broker.idsLast = 'while_open'
    const intent = intentOf({})
    const again = () => broker.submit({ intent, clientOrderId: 'same' })
    expect((await again()).kind).toBe('accepted')
    expect((await again()).kind).toBe('duplicate')
    broker.move('same', 'canceled')
    expect((await again()).kind).toBe('accepted')
  })
})

test('the clock follows the sessions: early closes, and days without a session', async () => {
  const { broker, clock } = make() // Friday 2024-03-15, 10:00 in New York
  expect(await broker.readClock()).toMatchObject({
    isOpen: true,
    nextClose: '2024-03-15T20:00:00.000Z',
  })
  broker.sessions.set('2024-03-15', {
    date: '2024-03-15',
    openAt: '2024-03-15T13:30:00.000Z',
    closeAt: '2024-03-15T17:00:00.000Z',
  })
  broker.sessions.set('2024-03-18', null)
  await clock.advance(3 * 3_600_000)
  expect(await broker.readClock()).toMatchObject({
    isOpen: false,
    nextOpen: '2024-03-19T13:30:00.000Z',
  })
})
