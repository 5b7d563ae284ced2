import { Queue } from 'bullmq'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { queues, type SubmitOrder } from '#contract'
import { applyFill, type Asset, dec } from '#domain'
import { createProducer, InvalidRequestError, type Producer } from '#producer'
import { createAssets, createStore, type Write } from '#store'
import { emptySlice } from '../domain/orders.ts'
import { orderOf } from '../e2e/stage.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'

// The producer checks an order against the broker's list of assets before the order is queued.

let redis: TestRedis
let producer: Producer
beforeAll(async () => {
  redis = await startRedis()
  const vaultKeys = [{ kid: 't', key: new Uint8Array(32).fill(3) }]
  producer = await createProducer({
    redisUrl: redis.url,
    vaultKeys,
    log: pino({ level: 'silent' }),
  })
})
afterAll(async () => {
  await producer[Symbol.asyncDispose]()
  await redis.stop()
})
beforeEach(async () => {
  await redis.connect().flushall()
})

const share = (symbol: string, over: Partial<Asset> = {}): Asset => ({
  symbol,
  assetClass: 'us_equity',
  isTradable: true,
  isFractionable: true,
  isShortable: true,
  quantityMin: null,
  quantityIncrement: null,
  priceIncrement: null,
  ...over,
})
const coin = (symbol: string, over: Partial<Asset> = {}): Asset =>
  share(symbol, { assetClass: 'crypto', isShortable: false, ...over })
const list = (...assets: Asset[]) =>
  createAssets(redis.connect(), () => 'draft').put('sandbox', assets)

const coins = (over: Partial<SubmitOrder> = {}): SubmitOrder =>
  orderOf({ tradeId: 'coins', symbol: 'ETH/USD', timeInForce: 'gtc', quantity: '0.5', ...over })

/** The symbols of the jobs in a queue. */
async function queued(which: 'orders' | 'commands'): Promise<unknown[]> {
  const { name, prefix } = queues[which]
  const jobs = await new Queue(name, { connection: redis.connect(), prefix }).getJobs()
  return jobs.map(({ data }) => (data as { symbol: string }).symbol)
}

async function fieldsOf(request: Promise<unknown>): Promise<readonly string[]> {
  const error: unknown = await request.then(
    () => null,
    (thrown: unknown) => thrown,
  )
  return error instanceof InvalidRequestError ? error.fields : [String(error)]
}

const command = { userId: 'alice', connectionId: 'broker_alice', commandId: 'c1' }

describe('a pair without its slash', () => {
  test('is refused while there is no list, and the error shows the right spelling', async () => {
    await expect(producer.submitOrder(coins({ symbol: 'ETHUSD' }))).rejects.toThrow(
      'with its slash, like ETH/USD',
    )
    expect(
      await fieldsOf(producer.closePosition({ ...command, tradeId: 't1', symbol: 'ETHUSD' })),
    ).toEqual(['symbol'])
    expect(await fieldsOf(producer.cancelAll({ ...command, symbol: 'ETHUSD' }))).toEqual(['symbol'])
    expect([await queued('orders'), await queued('commands')]).toEqual([[], []])
    await producer.submitOrder(coins())
    expect(await queued('orders')).toEqual(['ETH/USD'])
  })

  test('is queued under its canonical symbol, and is the same trade in both spellings', async () => {
    await list(coin('ETH/USD'))
    await producer.submitOrder(coins({ symbol: 'ETHUSD' }))
    expect(await producer.submitOrder(coins())).toMatchObject({ isRepeat: true })
    await producer.closePosition({ ...command, tradeId: 't1', symbol: 'ETHUSD' })
    await producer.cancelAll({ ...command, symbol: 'ETHUSD' })
    expect([await queued('orders'), await queued('commands')]).toEqual([
      ['ETH/USD'],
      ['ETH/USD', 'ETH/USD'],
    ])
  })

  test('is kept with its slash in limits', async () => {
    await producer.limits.set({ userId: 'alice' }, { symbolsDenied: ['ETHUSD'] })
    expect((await producer.limits.get({ userId: 'alice' }))?.symbolsDenied).toEqual(['ETH/USD'])
  })
})

const stop = { orderType: 'stop', stopPrice: '150' } as const
const bracket = {
  orderClass: 'bracket',
  takeProfit: { limitPrice: '200' },
  stopLoss: { stopPrice: '140' },
} as const

describe('a new order', () => {
  test.each<[what: string, order: Partial<SubmitOrder>, field: string]>([
    ['of something that is not listed', { symbol: 'ZZZZ' }, 'symbol'],
    ['of something that cannot be traded', { symbol: 'RGC' }, 'symbol'],
    ['of part of a whole share', { symbol: 'BRK.A', quantity: '0.5' }, 'quantity'],
    ['in money, of whole shares', { symbol: 'BRK.A', quantity: null, notional: '100' }, 'notional'],
    ['below the least quantity', { ...coins({ quantity: '0.00001' }) }, 'quantity'],
    ['between two increments', { ...coins({ quantity: '0.12345' }) }, 'quantity'],
    [
      'with a limit between two increments',
      { ...coins({ orderType: 'limit', limitPrice: '1800.123' }) },
      'limitPrice',
    ],
    ['with a stop, of coins', { ...coins(stop) }, 'orderType'],
    [
      'with a trail, of coins',
      { ...coins({ orderType: 'trailing_stop', trailPercent: '1' }) },
      'orderType',
    ],
    ['whose entry is a stop with exits', { ...stop, ...bracket }, 'orderType'],
    ['that is too late already', { notAfter: '2024-03-15T14:00:00Z' }, 'notAfter'],
  ])('%s is refused, naming the field, and is not queued', async (_what, order, field) => {
    const eth = coin('ETH/USD', {
      quantityMin: dec('0.0001'),
      quantityIncrement: dec('0.0001'),
      priceIncrement: dec('0.01'),
    })
    const halted = share('RGC', { isTradable: false })
    await list(share('AAPL'), halted, share('BRK.A', { isFractionable: false }), eth)
    expect(await fieldsOf(producer.submitOrder(orderOf({ tradeId: 'new', ...order })))).toEqual([
      field,
    ])
    expect(await queued('orders')).toEqual([])
  })

  test('is left to the broker without a list, or with that of another environment', async () => {
    await producer.submitOrder(orderOf({ tradeId: 'no_list', symbol: 'ZZZZ' }))
    const credentials = { keyId: 'K', secretKey: 'S' }
    await producer.connections.connect({
      userId: 'alice',
      connectionId: 'live_1',
      env: 'live',
      credentials,
    })
    await list(share('AAPL'))
    await producer.submitOrder(
      orderOf({ tradeId: 'other_list', connectionId: 'live_1', symbol: 'ZZZZ' }),
    )
    expect(await queued('orders')).toEqual(['ZZZZ', 'ZZZZ'])
  })

  test('that is a repeat is answered as a repeat, also when the list has changed', async () => {
    await producer.submitOrder(orderOf({ tradeId: 'repeat' }))
    await list(share('AAPL', { isTradable: false }))
    expect(await producer.submitOrder(orderOf({ tradeId: 'repeat' }))).toMatchObject({
      isRepeat: true,
    })
  })

  test('that would sell short an unshortable stock is refused; held shares may be sold', async () => {
    await list(share('AMC', { isShortable: false }))
    const sell = (tradeId: string) =>
      producer.submitOrder(
        orderOf({ tradeId, symbol: 'AMC', side: 'sell', quantity: '1', connectionId: 'broker_1' }),
      )
    await sell('unread') // the account was not read yet: the broker decides
    const store = createStore(redis.connect())
    const { account } = emptySlice
    const position = applyFill(null, {
      connectionId: 'broker_1',
      symbol: 'AMC',
      side: 'buy',
      quantity: dec('5'),
      price: dec('4'),
      at: '2024-03-15T14:00:00Z',
      key: 'k',
    }).position
    const write = async (writes: Write[]): Promise<void> => {
      const { version } = await store.loadHealth('alice', 'broker_1')
      await store.commit('alice', {
        expectVersion: version,
        fence: { kind: 'version' },
        writes,
        events: [],
      })
    }
    await write([{ kind: 'account', account: account! }])
    expect(await fieldsOf(sell('short'))).toEqual(['side'])
    await write([{ kind: 'position', connectionId: 'broker_1', symbol: 'AMC', position }])
    await sell('held')
    expect(await queued('orders')).toEqual(['AMC', 'AMC'])
  })
})
