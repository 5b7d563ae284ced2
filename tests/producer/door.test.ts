import { Queue } from 'bullmq'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { queues, type SubmitOrder } from '#contract'
import type { Asset } from '#domain'
import { createProducer, InvalidRequestError, type Producer } from '#producer'
import { createAssets } from '#store'
import { orderOf } from '../e2e/stage.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'

// What the producer says of an order by the broker's list of assets, before the order is queued.

let redis: TestRedis
let producer: Producer
beforeAll(async () => {
  redis = await startRedis()
  const vaultKeys = [{ kid: 't', key: new Uint8Array(32).fill(3) }]
  producer = await createProducer({ redisUrl: redis.url, vaultKeys, log: pino({ level: 'silent' }) })
})
afterAll(async () => {
  await producer[Symbol.asyncDispose]()
  await redis.stop()
})
beforeEach(async () => {
  await redis.connect().flushall()
})

const share = (symbol: string, over: Partial<Asset> = {}): Asset => ({
  ...{ symbol, assetClass: 'us_equity', isTradable: true, isFractionable: true, isShortable: true },
  ...{ quantityMin: null, quantityIncrement: null, priceIncrement: null },
  ...over,
})
const coin = (symbol: string, over: Partial<Asset> = {}): Asset =>
  share(symbol, { assetClass: 'crypto', isShortable: false, ...over })
const list = (...assets: Asset[]) => createAssets(redis.connect(), () => 'draft').put('sandbox', assets)

const coins = (over: Partial<SubmitOrder> = {}): SubmitOrder =>
  orderOf({ tradeId: 'coins', symbol: 'ETH/USD', timeInForce: 'gtc', quantity: '0.5', ...over })

/** The symbols of what lies in a queue. */
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
  test('is refused while there is no list, with the way to write it', async () => {
    await expect(producer.submitOrder(coins({ symbol: 'ETHUSD' }))).rejects.toThrow('with its slash, like ETH/USD')
    expect(await fieldsOf(producer.closePosition({ ...command, tradeId: 't1', symbol: 'ETHUSD' }))).toEqual(['symbol'])
    expect(await fieldsOf(producer.cancelAll({ ...command, symbol: 'ETHUSD' }))).toEqual(['symbol'])
    expect([await queued('orders'), await queued('commands')]).toEqual([[], []])
    await producer.submitOrder(coins())
    expect(await queued('orders')).toEqual(['ETH/USD'])
  })

  test('is queued under its canonical symbol where the list has it, and is the same trade either way', async () => {
    await list(coin('ETH/USD'))
    await producer.submitOrder(coins({ symbol: 'ETHUSD' }))
    expect(await producer.submitOrder(coins())).toMatchObject({ isRepeat: true })
    await producer.closePosition({ ...command, tradeId: 't1', symbol: 'ETHUSD' })
    await producer.cancelAll({ ...command, symbol: 'ETHUSD' })
    expect([await queued('orders'), await queued('commands')]).toEqual([['ETH/USD'], ['ETH/USD', 'ETH/USD']])
  })

  test('is kept with its slash in limits', async () => {
    await producer.limits.set({ userId: 'alice' }, { symbolsDenied: ['ETHUSD'] })
    expect((await producer.limits.get({ userId: 'alice' }))?.symbolsDenied).toEqual(['ETH/USD'])
  })
})
