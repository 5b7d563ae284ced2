import { Queue } from 'bullmq'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { queues } from '#contract'
import { createProducer, InvalidRequestError, type Producer, TradeIdConflictError, UnavailableError } from '#producer'
import { orderOf } from '../e2e/stage.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'

const log = pino({ level: 'silent' })
const vaultKeys = [{ kid: 't', key: new Uint8Array(32).fill(3) }]
const credentials = { keyId: 'K', secretKey: 'S3CRET' }
const connect = { userId: 'alice', connectionId: 'broker_1', env: 'sandbox', credentials } as const

let redis: TestRedis
let producer: Producer
beforeAll(async () => {
  redis = await startRedis()
  producer = await createProducer({ redisUrl: redis.url, vaultKeys, log })
})
afterAll(async () => {
  await producer[Symbol.asyncDispose]()
  await redis.stop()
})

const waiting = (): Promise<number> => {
  const { name, prefix } = queues.orders
  return new Queue(name, { connection: redis.connect(), prefix }).getWaitingCount()
}

describe('submitOrder', () => {
  test('the same trade twice is one job', async () => {
    const before = await waiting()
    const all = await Promise.all(Array.from({ length: 10 }, () => producer.submitOrder(orderOf({ tradeId: 'same' }))))
    expect(new Set(all.map(({ jobId }) => jobId)).size).toBe(1)
    expect(await waiting()).toBe(before + 1)
    expect(await producer.submitOrder(orderOf({ tradeId: 'same' }))).toMatchObject({ isRepeat: true })
  })

  test('written in another way it is still the same trade', async () => {
    await producer.submitOrder(orderOf({ tradeId: 'written', quantity: '1.50' }))
    expect(await producer.submitOrder(orderOf({ tradeId: 'written', quantity: '1.5', notional: null }))).toMatchObject({
      isRepeat: true,
    })
  })

  test('with other parameters it is a conflict, also while it waits in the queue', async () => {
    await producer.submitOrder(orderOf({ tradeId: 'other' }))
    await expect(producer.submitOrder(orderOf({ tradeId: 'other', quantity: '11' }))).rejects.toThrow(
      TradeIdConflictError,
    )
  })

  test('two callers with different orders under one id: one is taken, the other hears of the conflict', async () => {
    const orders = ['1', '2'].map((quantity) => producer.submitOrder(orderOf({ tradeId: 'race', quantity })))
    const results = await Promise.allSettled(orders)
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  })

  test('all that is wrong is named at once', async () => {
    const bad = { ...orderOf(), quantity: '-5', symbol: 'aapl', timeinforce: 'ioc' }
    const error: unknown = await producer.submitOrder(bad).catch((e: unknown) => e)
    expect(error).toBeInstanceOf(InvalidRequestError)
    expect((error as InvalidRequestError).fields).toEqual(expect.arrayContaining(['quantity', 'symbol', 'timeinforce']))
  })
})

describe('commands', () => {
  const of = { userId: 'alice', connectionId: 'broker_1' }
  const ofTrade = { ...of, tradeId: 't1' }

  test('each kind is queued once for its id, away from new orders', async () => {
    const before = await waiting()
    const [close, ...others] = await Promise.all([
      producer.closePosition({ ...of, tradeId: 'close-1', commandId: 'c4', symbol: 'AAPL' }),
      producer.cancelOrder({ ...ofTrade, commandId: 'c1' }),
      producer.replaceOrder({ ...ofTrade, commandId: 'c2', limitPrice: '151' }),
      producer.cancelAll({ ...of, commandId: 'c3' }),
    ])
    expect(close.tradeId).toBe('close-1')
    expect(await producer.cancelOrder({ ...ofTrade, commandId: 'c1' })).toEqual(others[0])
    const { name, prefix } = queues.commands
    const jobs = await new Queue(name, { connection: redis.connect(), prefix }).getWaiting()
    expect(jobs.map((job) => job.name).sort()).toEqual(['cancelAll', 'cancelOrder', 'closePosition', 'replaceOrder'])
    expect(await waiting()).toBe(before)
  })

  test('one that changes nothing is refused before it is queued', async () => {
    await expect(producer.replaceOrder({ ...ofTrade, commandId: 'c9' })).rejects.toThrow(InvalidRequestError)
  })
})

describe('connections.connect', () => {
  test('what reaches Redis is sealed', async () => {
    await producer.connections.connect(connect)
    const connection = redis.connect()
    const records = await connection.hgetall('control:{alice}')
    expect(Object.keys(records)).toEqual(['connection:broker_1'])
    expect(JSON.stringify(records)).not.toContain('S3CRET')
    expect(await connection.zrange('controls', 0, -1)).toEqual(['alice'])
  })

  test('makes an id where none is given', async () => {
    const { userId, env } = connect
    const made = await producer.connections.connect({ userId, env, credentials })
    expect(made.connectionId).toMatch(/^broker_[\w-]{16}$/)
  })

  test.each([
    ['userId', { ...connect, userId: 'a}b' }],
    ['env', { ...connect, env: 'moon' }],
    ['credentials', { ...connect, credentials: undefined }],
    ['credentials.secretKey', { ...connect, credentials: { keyId: 'K' } }],
    ['credentials.accessToken', { ...connect, credentials: { accessToken: 'T' } }],
  ])('%s is named when it is wrong, and no secret is repeated', async (field, request) => {
    const error: unknown = await producer.connections.connect(request as never).catch((e: unknown) => e)
    expect((error as InvalidRequestError).fields).toContain(field)
    expect((error as InvalidRequestError).message).not.toContain('S3CRET')
  })
})

test('without Redis every call fails at once, and says that repeating it is safe', async () => {
  const own = await startRedis()
  const lonely = await createProducer({ redisUrl: own.url, vaultKeys, log })
  await own.stop()
  await expect
    .poll(() => lonely.submitOrder(orderOf()).catch((e: unknown) => e), { timeout: 10_000 })
    .toBeInstanceOf(UnavailableError)
  await expect(lonely.orders.get('alice', 't')).rejects.toThrow('repeat the request')
  await lonely[Symbol.asyncDispose]()
})
