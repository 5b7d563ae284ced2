import { Queue } from 'bullmq'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { closeHash, closePositionSchema, queues } from '#contract'
import {
  CommandIdConflictError,
  createProducer,
  InvalidRequestError,
  type Producer,
  TradeIdConflictError,
} from '#producer'
import { type Order, reduce } from '#domain'
import { createStore } from '#store'
import { tombstoneKey } from '../../src/store/keys.ts'
import { claimed, emptySlice, intentOf, orderKey } from '../domain/orders.ts'
import { orderOf } from '../e2e/stage.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'

const log = pino({ level: 'silent' })
const vaultKeys = [{ kid: 't', key: new Uint8Array(32).fill(3) }]

/** An order that a worker has claimed. */
const orderRecordOf = (userId: string, id: string): Order =>
  reduce(emptySlice, claimed(intentOf({ userId, tradeId: id })), { ...orderKey, userId, id }).slice
    .order as Order

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

describe('commands', () => {
  const of = { userId: 'alice', connectionId: 'broker_1' }
  const ofTrade = { ...of, tradeId: 't1' }

  test('each kind is queued once for its id, in another queue than new orders', async () => {
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
    expect(jobs.map((job) => job.name).sort()).toEqual([
      'cancelAll',
      'cancelOrder',
      'closePosition',
      'replaceOrder',
    ])
    expect(await waiting()).toBe(before)
  })

  test('a cancel is queued, also under the commandId of a replace of the same trade', async () => {
    const { name, prefix } = queues.commands
    const queue = new Queue(name, { connection: redis.connect(), prefix })
    const command = { ...of, tradeId: 'shared', commandId: 'same' }
    const replaced = await producer.replaceOrder({ ...command, limitPrice: '151' })
    const canceled = await producer.cancelOrder(command)
    expect((await queue.getJob(replaced.jobId))?.name).toBe('replaceOrder')
    expect((await queue.getJob(canceled.jobId))?.name).toBe('cancelOrder')
  })

  test.each<[string, (over: object) => Promise<unknown>, object]>([
    [
      'replace',
      (over) =>
        producer.replaceOrder({ ...ofTrade, commandId: 'x1', limitPrice: '151.0', ...over }),
      { limitPrice: '152' },
    ],
    [
      'cancel',
      (over) => producer.cancelOrder({ ...ofTrade, commandId: 'x2', ...over }),
      { reason: 'another' },
    ],
    [
      'cancel of all',
      (over) => producer.cancelAll({ ...of, commandId: 'x3', ...over }),
      { symbol: 'AAPL' },
    ],
  ])(
    'a %s with a used commandId is a repeat, or a conflict where its terms differ',
    async (_what, ask, other) => {
      const first = await ask({})
      expect(await ask({})).toEqual(first)
      const error: unknown = await ask(other).catch((e: unknown) => e)
      expect(error).toBeInstanceOf(CommandIdConflictError)
      expect(error).toMatchObject({
        code: 'COMMAND_ID_CONFLICT',
        message: expect.stringContaining('new commandId') as unknown,
      })
    },
  )

  test('two different commands under one id - one is accepted, the other is a conflict', async () => {
    const asked = ['151', '152'].map((limitPrice) =>
      producer.replaceOrder({ ...ofTrade, commandId: 'x4', limitPrice }),
    )
    const results = await Promise.allSettled(asked)
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  })

  test('a close under a used trade id is a conflict; the same close again is a repeat', async () => {
    const of1 = { ...of, commandId: 'c6', symbol: 'AAPL' }
    await producer.submitOrder(orderOf({ tradeId: 'used' }))
    await expect(producer.closePosition({ ...of1, tradeId: 'used' })).rejects.toThrow(
      TradeIdConflictError,
    )
    const connection = redis.connect()
    await connection.set(
      tombstoneKey('alice', 'closed'),
      closeHash(closePositionSchema.parse({ ...of1, tradeId: 'closed' })),
    )
    await expect(
      producer.closePosition({ ...of1, tradeId: 'closed', quantity: '1' }),
    ).rejects.toThrow(TradeIdConflictError)
    const { jobId } = await producer.closePosition({ ...of1, tradeId: 'closed' })
    expect((await producer.closePosition({ ...of1, tradeId: 'closed' })).jobId).toBe(jobId)
  })

  test('the outcome of each command is read back with the order', async () => {
    const order = orderRecordOf('alice', 'commanded')
    const command = {
      commandId: 'c7',
      kind: 'replace',
      outcome: 'refused',
      message: 'no',
      at: '2024-03-15T14:00:00.000Z',
    } as const
    const store = createStore(redis.connect())
    await store.commit('alice', {
      expectVersion: await store.version('alice'),
      fence: { kind: 'version' },
      events: [],
      writes: [
        {
          kind: 'order',
          order: { ...order, status: 'denied', endedAt: command.at, endedCommands: [command] },
        },
      ],
    })
    expect((await producer.orders.get('alice', 'commanded'))?.commands).toEqual([command])
  })

  test('a close carries the side of its position', async () => {
    const { jobId } = await producer.closePosition({
      ...of,
      tradeId: 'close-2',
      commandId: 'c5',
      symbol: 'AAPL',
      positionSide: 'short',
    })
    const { name, prefix } = queues.commands
    const job = await new Queue(name, { connection: redis.connect(), prefix }).getJob(jobId)
    expect(job?.data).toMatchObject({ tradeId: 'close-2', positionSide: 'short' })
  })

  test('a command that changes nothing is refused before it is queued', async () => {
    await expect(producer.replaceOrder({ ...ofTrade, commandId: 'c9' })).rejects.toThrow(
      InvalidRequestError,
    )
  })
})
