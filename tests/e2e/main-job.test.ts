import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeIssues, submitJobId, submitOrderSchema } from '#contract'
import { clientOrderIdOf } from '#domain'
import { InvalidRequestError, TradeIdConflictError } from '#producer'
import { orderOf, System, told } from './stage.ts'

let system: System
beforeAll(async () => {
  system = await System.open('alice', 'bob')
})
afterAll(() => system[Symbol.asyncDispose]())

const slow = { timeout: 30_000, interval: 50 }
const trade = [
  'trade.submitted',
  'trade.filled',
  'portfolio.positionAdded',
  'portfolio.balanceChanged',
]

describe('the main job', () => {
  test('a market buy reaches both devices of its user, and no other user', async () => {
    const [laptop, phone, other] = await Promise.all([
      system.client('alice'),
      system.client('alice'),
      system.client('bob'),
    ])
    await system.producer.submitOrder(orderOf())
    await expect.poll(() => [told(laptop), told(phone)], slow).toEqual([trade, trade])
    const of = (event: string) =>
      laptop.heard.find(([name]) => name === event)![1] as Record<string, number>
    const filled = of('trade.filled')
    const balance = of('portfolio.balanceChanged')
    expect(filled['fillPrice']! * filled['quantity']!).toBeCloseTo(filled['totalCost']!, 6)
    expect(-balance['change']!).toBeCloseTo(filled['totalCost']!, 6)
    expect(laptop.heard.slice(1)).toEqual(phone.heard.slice(1))
    expect(told(other)).toEqual([])
    expect(await system.producer.orders.get('alice', 't1')).toMatchObject({
      status: 'filled',
      cumulativeQuantity: '10',
    })
  })

  test('the same trade twice is one order; with other parameters it is a conflict', async () => {
    const order = orderOf({ tradeId: 'twice', symbol: 'MSFT', quantity: '1' })
    const [first, second] = await Promise.all([
      system.producer.submitOrder(order),
      system.producer.submitOrder(order),
    ])
    expect(first.jobId).toBe(second.jobId)
    await expect
      .poll(async () => (await system.producer.orders.get('alice', 'twice'))?.status, slow)
      .toBe('filled')
    expect(await system.producer.submitOrder(order)).toMatchObject({ isRepeat: true })
    await expect(system.producer.submitOrder({ ...order, quantity: '2' })).rejects.toThrow(
      TradeIdConflictError,
    )
    const ledger = system.sandbox.control.ledger('demo-key').accounts['demo-key']!
    const mine = ledger.orders.filter(
      (one) => one['client_order_id'] === clientOrderIdOf('alice', 'twice'),
    )
    expect(mine).toHaveLength(1)
  })

  test('a resting order is canceled on request; only the broker’s report ends it', async () => {
    const client = await system.client('alice')
    await system.producer.submitOrder(
      orderOf({
        tradeId: 'rest',
        symbol: 'NVDA',
        orderType: 'limit',
        limitPrice: '1',
        quantity: '3',
      }),
    )
    await expect.poll(() => told(client), slow).toEqual(['trade.submitted'])
    const command = {
      userId: 'alice',
      connectionId: 'broker_alice',
      tradeId: 'rest',
      commandId: 'c1',
    }
    await Promise.all([system.producer.cancelOrder(command), system.producer.cancelOrder(command)])
    await expect.poll(() => told(client), slow).toEqual(['trade.submitted', 'trade.cancelled'])
    expect(client.heard.at(-1)![1]).toMatchObject({ cancelledBy: 'user', filledQuantity: 0 })
  })

  test('an order beyond the buying power is rejected with the contract’s reason', async () => {
    const client = await system.client('bob')
    await system.producer.submitOrder(
      orderOf({ userId: 'bob', connectionId: 'broker_bob', tradeId: 'rich', quantity: '90000' }),
    )
    await expect.poll(() => told(client), slow).toEqual(['trade.rejected'])
    expect(client.heard.at(-1)![1]).toMatchObject({ reason: 'INSUFFICIENT_FUNDS', tradeId: 'rich' })
  })

  test('watched symbols are quoted, at most once a second each', async () => {
    const client = await system.client('bob')
    client.socket.emit('market.subscribe', { symbols: ['AAPL'] })
    const quotes = () => client.heard.filter(([event]) => event === 'market.quote')
    const began = performance.now()
    await expect.poll(() => quotes().length, slow).toBeGreaterThan(2)
    expect(quotes().length).toBeLessThanOrEqual(2 + (performance.now() - began) / 1_000)
    expect(quotes().at(-1)![1]).toMatchObject({ symbol: 'AAPL', bid: expect.any(Number) as number })
  })
})

describe('a bad request', () => {
  const bad = [
    ['a negative quantity', { quantity: '-5' }, 'quantity'],
    ['an unknown order type', { orderType: 'iceberg' }, 'orderType'],
    ['a limit order without a price', { orderType: 'limit' }, 'limitPrice'],
  ] as const
  test.each(bad)(
    '%s is refused by the producer, naming the field',
    async (_what, change, field) => {
      const error: unknown = await system.producer
        .submitOrder({ ...orderOf({ tradeId: 'bad' }), ...change } as never)
        .catch((e: unknown) => e)
      expect(error).toBeInstanceOf(InvalidRequestError)
      expect((error as InvalidRequestError).fields).toEqual([field])
      expect(await system.queue('orders').getJob(submitJobId('alice', 'bad'))).toBeUndefined()
    },
  )

  test.each(bad)(
    '%s put into the queue by hand fails for good, in the same words, with no effect',
    async (_what, change) => {
      const requests = system.sandbox.control.ledger('demo-key').accounts['demo-key']!.orders.length
      const version = await system.redis.connect().hget('state:{alice}', 'last')
      const data = { ...orderOf({ tradeId: 'by-hand' }), ...change }
      const job = await system.queue('orders').add('submitOrder', data, { attempts: 5 })
      await expect.poll(() => job.getState(), slow).toBe('failed')
      const failed = await system.queue('orders').getJob(job.id ?? '')
      const parsed = submitOrderSchema.safeParse(data)
      expect(failed?.failedReason).toBe(parsed.success ? '' : describeIssues(parsed.error))
      expect(failed?.attemptsMade).toBe(1)
      expect(await system.redis.connect().hget('state:{alice}', 'last')).toBe(version)
      expect(system.sandbox.control.ledger('demo-key').accounts['demo-key']!.orders).toHaveLength(
        requests,
      )
    },
  )
})

describe('revoked keys', () => {
  test('each device of the user gets one event with the fix; no other user gets one', async () => {
    const [laptop, phone, other] = await Promise.all([
      system.client('bob'),
      system.client('bob'),
      system.client('alice'),
    ])
    system.sandbox.control.revokeKey('demo-key-2')
    const lost = (client: typeof laptop) =>
      client.heard.filter(([event]) => event === 'error.brokerDisconnected')
    await expect.poll(() => [lost(laptop).length, lost(phone).length], slow).toEqual([1, 1])
    expect(lost(laptop)[0]![1]).toMatchObject({
      brokerConnectionId: 'broker_bob',
      reason: 'API authentication failed',
    })
    expect(lost(laptop)[0]![1]['action']).toContain('Verify API keys')
    // A second check of the same trouble says nothing more.
    const job = await system
      .queue('connections')
      .add('checkConnection', { userId: 'bob', connectionId: 'broker_bob' })
    await expect.poll(() => job.getState(), slow).toBe('completed')
    expect([lost(laptop).length, lost(phone).length, lost(other).length]).toEqual([1, 1, 0])
    system.sandbox.control.restoreKey('demo-key-2')
    await system
      .queue('connections')
      .add('checkConnection', { userId: 'bob', connectionId: 'broker_bob' })
    await expect.poll(() => laptop.names().at(-1), slow).toBe('broker.connected')
  })
})
