import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createProducer, InvalidRequestError, type Producer, ProducerClosedError } from '#producer'
import { orderOf } from '../e2e/stage.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'

// The start and the end of a producer, and its errors for ids that cannot exist.

const log = pino({ level: 'silent' })
const vaultKeys = [{ kid: 't', key: new Uint8Array(32).fill(3) }]

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

describe('the options of a producer', () => {
  const key = new Uint8Array(32)
  const good = { redisUrl: 'redis://127.0.0.1:1', vaultKeys }

  test.each<[field: string, options: object]>([
    ['redisUrl', { vaultKeys }],
    ['redisUrl', { ...good, redisUrl: 'localhost' }],
    ['vaultKeys', { redisUrl: good.redisUrl }],
    ['vaultKeys', { ...good, vaultKeys: [] }],
    ['vaultKeys.0.key', { ...good, vaultKeys: [{ kid: 'k', key: 'a text that is no key' }] }],
    ['vaultKeys.0.key', { ...good, vaultKeys: [{ kid: 'k', key: new Uint8Array(31) }] }],
    ['vaultKeys.0.kid', { ...good, vaultKeys: [{ key }] }],
    [
      'vaultKeys',
      {
        ...good,
        vaultKeys: [
          { kid: 'k', key },
          { kid: 'k', key },
        ],
      },
    ],
    ['log', { ...good, log: {} }],
    ['log', { ...good, log: 'info' }],
    ['redisURL', { ...good, redisURL: 'redis://127.0.0.1' }],
  ])('%s is named when it is wrong, before anything is connected', async (field, options) => {
    const error: unknown = await createProducer(options as never).catch((e: unknown) => e)
    expect(error).toBeInstanceOf(InvalidRequestError)
    expect((error as InvalidRequestError).fields).toContain(field)
    expect((error as InvalidRequestError).message).not.toContain('a text that is no key')
  })

  test('works without a logger, and survives the loss of its connection', async () => {
    const quiet = await createProducer({ redisUrl: redis.url, vaultKeys })
    const observer = redis.connect()
    await observer.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    await expect.poll(() => quiet.orders.get('alice', 't-none').catch(() => 'away')).toBe(null)
    await quiet[Symbol.asyncDispose]()
  })
})

test.each([
  ['userId', '', 't1'],
  ['userId', 'a}b', 't1'],
  ['tradeId', 'alice', ''],
  ['tradeId', 'alice', 'no such/id'],
  ['tradeId', 'alice', undefined],
])('orders.get names a %s that no order can have', async (field, userId, tradeId) => {
  const error: unknown = await producer.orders
    .get(userId, tradeId as string)
    .catch((e: unknown) => e)
  expect((error as InvalidRequestError).fields).toEqual([field])
})

test('a disposed producer rejects every call with that reason', async () => {
  const closed = await createProducer({ redisUrl: redis.url, vaultKeys, log })
  await closed[Symbol.asyncDispose]()
  for (const call of [
    () => closed.submitOrder(orderOf()),
    () => closed.orders.get('alice', 't1'),
    () => closed.connections.list('alice'),
    () => closed.limits.get({ userId: 'alice' }),
    () => closed.sessions.logout({ userId: 'alice' }),
  ])
    await expect(call()).rejects.toThrow(ProducerClosedError)
  await closed[Symbol.asyncDispose]() // harmless when repeated
})
