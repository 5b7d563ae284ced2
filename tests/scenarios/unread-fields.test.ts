import { describe, expect, test } from 'vitest'
import type { BrokerOrder } from '#domain'
import { openWorld, type World } from './world.ts'

// Fields of an order that say nothing: a time that is missing, a word that is not known here.

const silent: [what: string, over: Partial<BrokerOrder>][] = [
  ['type', { orderType: null, unread: ['orderType'] }],
  ['side', { side: null, unread: ['side'] }],
  ['time in force', { timeInForce: null, unread: ['timeInForce'] }],
  ['symbol', { symbol: '', unread: ['symbol'] }],
  ['quantity', { quantity: null, unread: ['quantity'] }],
  ['client order id', { clientOrderId: '', unread: ['clientOrderId'] }],
]

/**
 * Everything that the broker tells of orders is without these fields. The truth of the ledger is
 * not touched.
 */
function withhold(world: World, over: Partial<BrokerOrder>): void {
  const { broker } = world
  const told = (order: BrokerOrder): BrokerOrder => ({ ...order, ...over })
  const list = broker.listOrders.bind(broker)
  const send = broker.streams.tell.bind(broker.streams)
  broker.listOrders = async (filter) => (await list(filter)).map(told)
  broker.streams.tell = (update) => send({ ...update, order: told(update.order) })
}

describe.each(silent)('orders whose %s cannot be read', (_what, over) => {
  test('are followed to their end', async () => {
    const world = await openWorld({ seed: 3 })
    withhold(world, over)
    world.broker.fail('submit', { kind: 'lose_reply' })
    world.submit()
    await world.advance(10_000)
    expect(world.told('t1')).toEqual(['trade.submitted'])
    expect(await world.order('t1')).toMatchObject({
      side: 'buy',
      symbol: 'AAPL',
      quantity: '100',
      orderType: 'market',
    })
    world.fill('t1', '180.5', '40')
    world.fill('t1', '180.5')
    await world.quiesce()
    expect(world.told('t1')).toEqual(['trade.submitted', 'trade.partialFill', 'trade.filled'])
    expect(world.anomalies()).toEqual([])
  })
})

test('an external order without a readable side - not booked, the account ends right', async () => {
  const world = await openWorld({ seed: 3 })
  withhold(world, { side: null, unread: ['side'] })
  const { brokerOrderId } = world.broker.placeElsewhere('MSFT', '10')
  world.broker.fill(brokerOrderId, '400')
  await world.quiesce()
  expect(world.warnings.join('')).not.toContain('record_unworkable')
})
