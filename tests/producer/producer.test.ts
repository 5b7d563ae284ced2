import { Queue, Worker } from 'bullmq'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { parametersHash, queues, submitOrderSchema } from '#contract'
import {
  createProducer,
  InvalidRequestError,
  type Producer,
  TradeIdConflictError,
  UnavailableError,
} from '#producer'
import { type Order, reduce } from '#domain'
import { createStore } from '#store'
import { tombstoneKey } from '../../src/store/keys.ts'
import { claimed, emptySlice, intentOf, orderKey } from '../domain/orders.ts'
import { orderOf } from '../e2e/stage.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'

const log = pino({ level: 'silent' })
const vaultKeys = [{ kid: 't', key: new Uint8Array(32).fill(3) }]
const credentials = { keyId: 'K', secretKey: 'S3CRET' }
const connect = { userId: 'alice', connectionId: 'broker_1', env: 'sandbox', credentials } as const

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

describe('submitOrder', () => {
  test('the same trade twice is one job', async () => {
    const before = await waiting()
    const all = await Promise.all(
      Array.from({ length: 10 }, () => producer.submitOrder(orderOf({ tradeId: 'same' }))),
    )
    expect(new Set(all.map(({ jobId }) => jobId)).size).toBe(1)
    expect(await waiting()).toBe(before + 1)
    expect(await producer.submitOrder(orderOf({ tradeId: 'same' }))).toMatchObject({
      isRepeat: true,
    })
  })

  test('RDQ-04 job done, store lost its writes - submitted again, the order runs again', async () => {
    const lost = orderOf({ tradeId: 'lost' })
    const { jobId } = await producer.submitOrder(lost)
    const { name, prefix } = queues.orders
    const worker = new Worker(name, null, { connection: redis.connect(), prefix })
    for (
      let job = await worker.getNextJob('t');
      job !== undefined;
      job = await worker.getNextJob('t', { block: false })
    )
      await job.moveToCompleted(null, 't', false)
    await worker.close()
    const before = await waiting()
    await expect(producer.submitOrder({ ...lost, quantity: '11' })).rejects.toThrow(
      TradeIdConflictError,
    )
    expect(await producer.submitOrder(lost)).toEqual({ tradeId: 'lost', jobId, isRepeat: false })
    expect(await producer.submitOrder(lost)).toMatchObject({ isRepeat: true })
    expect(await waiting()).toBe(before + 1)
  })

  test('a forgotten order is a repeat, or a conflict', async () => {
    const old = orderOf({ tradeId: 'old' })
    await redis
      .connect()
      .set(tombstoneKey('alice', 'old'), parametersHash(submitOrderSchema.parse(old)))
    const before = await waiting()
    expect(await producer.submitOrder(old)).toEqual({
      tradeId: 'old',
      jobId: expect.any(String) as unknown,
      isRepeat: true,
    })
    await expect(producer.submitOrder({ ...old, quantity: '11' })).rejects.toThrow(
      TradeIdConflictError,
    )
    expect(await waiting()).toBe(before)
  })

  test('the same trade in another spelling is a repeat', async () => {
    await producer.submitOrder(orderOf({ tradeId: 'written', quantity: '1.50' }))
    expect(
      await producer.submitOrder(orderOf({ tradeId: 'written', quantity: '1.5', notional: null })),
    ).toMatchObject({
      isRepeat: true,
    })
  })

  test('with other parameters it is a conflict, also while it waits in the queue', async () => {
    await producer.submitOrder(orderOf({ tradeId: 'other' }))
    await expect(
      producer.submitOrder(orderOf({ tradeId: 'other', quantity: '11' })),
    ).rejects.toThrow(TradeIdConflictError)
  })

  test('two different orders under one id - one is accepted, the other is a conflict', async () => {
    const orders = ['1', '2'].map((quantity) =>
      producer.submitOrder(orderOf({ tradeId: 'race', quantity })),
    )
    const results = await Promise.allSettled(orders)
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  })

  test('every error is named at once', async () => {
    const bad = { ...orderOf(), quantity: '-5', symbol: 'aapl', timeinforce: 'ioc' }
    const error: unknown = await producer.submitOrder(bad).catch((e: unknown) => e)
    expect(error).toBeInstanceOf(InvalidRequestError)
    expect((error as InvalidRequestError).fields).toEqual(
      expect.arrayContaining(['quantity', 'symbol', 'timeinforce']),
    )
  })
})

describe('limits', () => {
  test('are set, read and removed, of a user and of a connection', async () => {
    const of = { userId: 'dave', connectionId: 'broker_1' }
    await producer.limits.set(
      { userId: 'dave' },
      { orderNotionalMax: '1000.50', symbolsDenied: ['TSLA'] },
    )
    await producer.limits.set(of, { openOrdersMax: 3 })
    expect(await producer.limits.get({ userId: 'dave' })).toMatchObject({
      orderNotionalMax: '1000.5',
      positionNotionalMax: null,
      symbolsAllowed: null,
      symbolsDenied: ['TSLA'],
      sessions: 'any',
      schema: 1,
    })
    expect(await producer.limits.get(of)).toMatchObject({
      openOrdersMax: 3,
      orderNotionalMax: null,
    })
    await producer.limits.set(of, null)
    expect(await producer.limits.get(of)).toBeNull()
  })

  test('a misspelled limit is refused, because it would not limit anything', async () => {
    const limits = { orderNotionalMaximum: '5', openOrdersMax: 1.5 } as never
    const error: unknown = await producer.limits
      .set({ userId: 'dave' }, limits)
      .catch((e: unknown) => e)
    expect((error as InvalidRequestError).fields).toEqual(
      expect.arrayContaining(['orderNotionalMaximum', 'openOrdersMax']),
    )
  })
})

describe('acceptStore', () => {
  test('marks the store for every worker, once, with a name and a reason, or not at all', async () => {
    const marker = (): Promise<string | null> => redis.connect().get('epoch')
    await expect(producer.acceptStore({ by: 'ops' } as never)).rejects.toThrow('say why')
    expect(await marker()).toBeNull()
    expect(
      await producer.acceptStore({ by: 'ops', reason: 'accounts are connected again' }),
    ).toEqual({ isNew: true })
    const made = await marker()
    expect(made).not.toBeNull()
    expect(await producer.acceptStore({ by: 'ops', reason: 'again' })).toEqual({ isNew: false })
    expect(await marker()).toBe(made)
  })
})

describe('halt', () => {
  const who = { by: 'ops', reason: 'drill' }

  /** The only order of a user, as a worker writes it. */
  async function write(
    userId: string,
    status: Order['status'],
    connectionId = 'broker_1',
  ): Promise<void> {
    const store = createStore(redis.connect())
    const order = { ...orderRecordOf(userId, 't-halt'), connectionId, status }
    const expectVersion = await store.version(userId)
    const writes = [{ kind: 'order', order }] as const
    await store.commit(userId, { expectVersion, fence: { kind: 'version' }, writes, events: [] })
  }

  test('names its scope, and ends only there', async () => {
    const connection = { userId: 'erin', connectionId: 'broker_1' }
    for (const target of [{}, { userId: 'erin' }, connection]) {
      expect(await producer.halt({ ...target, ...who, waitMs: 0 })).toEqual({
        isComplete: true,
        waitingFor: 0,
      })
    }
    const scopes = async () => (await producer.halts(connection)).map(({ scope }) => scope)
    expect(await scopes()).toEqual(['global', 'user', 'connection'])
    await producer.resume({ userId: 'erin' })
    await producer.resume({})
    expect(await scopes()).toEqual(['connection'])
    await expect(producer.halt({ connectionId: 'broker_1', ...who })).rejects.toThrow(
      'say whose connection it is',
    )
    await expect(producer.halt({ userId: 'erin', by: 'ops' } as never)).rejects.toThrow('say why')
  })

  test.each([{}, { userId: 'frank' }, { userId: 'frank', connectionId: 'broker_1' }])(
    'S17 is complete only when every claim before it has an outcome: %o',
    async (target) => {
      await producer.connections.connect({ ...connect, userId: 'frank' })
      await write('frank', 'submitting')
      expect(await producer.halt({ ...target, ...who, waitMs: 0 })).toEqual({
        isComplete: false,
        waitingFor: 1,
      })
      const waiting = producer.halt({ ...target, ...who, waitMs: 20_000 })
      await write('frank', 'rejected')
      expect(await waiting).toEqual({ isComplete: true, waitingFor: 0 })
      await write('frank', 'submitting', 'broker_2')
      const isOther = 'connectionId' in target
      expect(await producer.halt({ ...target, ...who, waitMs: 0 })).toEqual({
        isComplete: isOther,
        waitingFor: isOther ? 0 : 1,
      })
      await write('frank', 'rejected', 'broker_2')
      await producer.resume(target)
    },
  )

  test.each([{}, { userId: 'heidi' }, { userId: 'heidi', connectionId: 'broker_1' }])(
    'S17 is not complete when the halt ends while it waits: %o',
    async (target) => {
      await producer.connections.connect({ ...connect, userId: 'heidi' })
      await write('heidi', 'submitting')
      const waiting = producer.halt({ ...target, ...who, waitMs: 20_000 })
      await vi.waitFor(async () => expect(await producer.halts(target)).toHaveLength(1))
      await producer.resume(target)
      await write('heidi', 'rejected')
      expect(await waiting).toEqual({ isComplete: false, waitingFor: 0 })
    },
  )

  const request = {
    commandId: 'r1',
    leg: 'entry',
    replacement: 1,
    requestedAt: '',
    sentAt: '2024-03-15T14:00:00Z',
  } as const
  const sent = {
    ...request,
    terms: { quantity: null, limitPrice: null, stopPrice: null, trail: null, timeInForce: null },
  }
  test.each<[string, Partial<Order>, boolean]>([
    ['a replacement that was sent has none', { status: 'submitted', replaces: [sent] }, false],
    [
      'a replacement that waits for its turn has none',
      { status: 'submitted', replaces: [{ ...sent, sentAt: null }] },
      true,
    ],
    [
      'an order in quarantine has none',
      { status: 'submitting', setAsideAt: '2024-03-15T14:00:00Z' },
      true,
    ],
  ])('S17 an outcome: %s', async (_what, over, isComplete) => {
    const store = createStore(redis.connect())
    await producer.connections.connect({ ...connect, userId: 'grace' })
    const order = { ...orderRecordOf('grace', 't-halt'), connectionId: 'broker_1', ...over }
    const writes = [{ kind: 'order', order }] as const
    const expectVersion = await store.version('grace')
    await store.commit('grace', { expectVersion, fence: { kind: 'version' }, writes, events: [] })
    const halted = await producer.halt({ userId: 'grace', ...who, waitMs: 0 })
    expect(halted).toEqual({ isComplete, waitingFor: isComplete ? 0 : 1 })
  })
})

test('without Redis every call fails at once, as safe to repeat', async () => {
  const own = await startRedis()
  const lonely = await createProducer({ redisUrl: own.url, vaultKeys, log })
  await own.stop()
  await expect
    .poll(() => lonely.submitOrder(orderOf()).catch((e: unknown) => e), { timeout: 10_000 })
    .toBeInstanceOf(UnavailableError)
  await expect(lonely.orders.get('alice', 't')).rejects.toThrow('repeat the request')
  await lonely[Symbol.asyncDispose]()
})
