import { Queue } from 'bullmq'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { queues, submitJobId } from '#contract'
import { clientOrderIdOf } from '#domain'
import { type BoundaryName, noBoundaries, systemClock } from '#runtime'
import { orderHandler } from '../../workers/orders/dispatch.ts'
import type { OrderDeps } from '../../workers/orders/deps.ts'
import { QueueWorker } from '../../workers/queue/watchdog.ts'
import { makeWorker } from '../workers/harness.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { RedisLine } from '../support/redis-line.ts'

/** Of the workers here; a request is not sent in the last second of it. */
const LOCK_MS = 1_500
/** Longer than any request; by the clock of the orders, which stands still. */
const REQUEST_MS_MAX = 10_000
const soon = { timeout: 15_000, interval: 20 }
const queueMetrics = { stuck: () => {}, rebuilt: () => {}, paused: () => {}, givenUp: () => {} }
const { name, prefix } = queues.orders
const job = submitJobId('u1', 't1')
const order = {
  userId: 'u1',
  connectionId: 'broker_1',
  tradeId: 't1',
  symbol: 'AAPL',
  side: 'buy',
  orderType: 'market',
  quantity: '100',
}

let redis: TestRedis
beforeAll(async () => {
  redis = await startRedis()
})
afterAll(() => redis.stop())

/**
 * A first worker that stands at `step` with the job in hand, and a second one that would take it.
 */
async function openShop(step: BoundaryName) {
  await redis.connect().flushall()
  const orders = makeWorker()
  await orders.adopted()
  const line = await RedisLine.to(redis.port)
  const lines: string[] = []
  const log = pino({ level: 'warn' }, { write: (text: string) => void lines.push(text) })
  const reached = Promise.withResolvers<void>()
  const held = Promise.withResolvers<void>()
  orders.at.set(step, () => (reached.resolve(), held.promise))
  const runs: [worker: number, what: string][] = []
  const workers: QueueWorker[] = []
  const start = (connection: ReturnType<TestRedis['connect']>, deps: OrderDeps): void => {
    const worker = workers.length + 1
    const handle = orderHandler(deps)
    const watched: typeof handle = async (...call) => {
      runs.push([worker, 'begun'])
      return handle(...call).then(
        (result) => (runs.push([worker, result.kind]), result),
        (error: Error) => {
          runs.push([worker, error.name])
          throw error
        },
      )
    }
    workers.push(
      new QueueWorker('orders', watched, {
        redis: connection,
        watch,
        clock: systemClock,
        log,
        queueMetrics,
        lockMs: LOCK_MS,
      }),
    )
  }
  const watch = redis.connect()
  start(redis.connectTo(line.url), orders.submit)
  const queue = new Queue(name, { connection: redis.connect(), prefix })
  await queue.add('submitOrder', order, { jobId: job, attempts: 3 })
  await reached.promise
  start(redis.connect(), { ...orders.submit, boundaries: noBoundaries })
  return {
    orders,
    line,
    queue,
    runs,
    release: held.resolve,
    /** Waits until the first worker knows that its lock is lost. */
    told: () =>
      expect.poll(() => lines.some((text) => text.includes('job.lock_lost')), soon).toBe(true),
    /** Waits until the job was delivered a second time, to any worker. */
    again: () =>
      expect
        .poll(() => runs.filter(([, what]) => what === 'begun').length, soon)
        .toBeGreaterThan(1),
    /** How the first run ended. */
    first: async () => {
      await expect
        .poll(() => runs.some(([worker, what]) => worker === 1 && what !== 'begun'), soon)
        .toBe(true)
      return runs.find(([worker, what]) => worker === 1 && what !== 'begun')?.[1]
    },
    async [Symbol.asyncDispose]() {
      held.resolve()
      await Promise.all(workers.map((worker) => worker[Symbol.asyncDispose]()))
      await queue.close()
      await line[Symbol.asyncDispose]()
    },
  }
}

type Shop = Awaited<ReturnType<typeof openShop>>

/**
 * Ways in which a lock is lost while its run goes on; each ends when the run may not count on it
 * any more.
 */
const losses: Readonly<Record<string, (shop: Shop) => Promise<void>>> = {
  async 'the lock is gone from Redis'({ told }) {
    await redis.connect().del(`${prefix}:${name}:${job}:lock`)
    await told()
  },
  async 'Redis does not answer the first worker'({ line, again }) {
    line.silence()
    await again()
  },
  async 'the event loop stands still'() {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOCK_MS)
  },
}

describe.each(Object.entries(losses))(
  'RDQ-01 a lock is lost while its job runs: %s',
  (why, lose) => {
    test(`RDQ-01 ${why} - the first run sends nothing more, one order exists`, async () => {
      await using shop = await openShop('submit.sending')
      const { orders } = shop
      await lose(shop)
      shop.release()
      expect(await shop.first()).toBe('LockLostError')
      expect(orders.broker.submissions).toEqual([])
      await shop.again()
      await orders.clock.advance(REQUEST_MS_MAX)
      await expect.poll(() => orders.events(), soon).toEqual(['trade.submitted'])
      expect(orders.broker.submissions.map(({ clientOrderId }) => clientOrderId)).toEqual([
        clientOrderIdOf('u1', 't1'),
      ])
      await expect.poll(() => shop.queue.getJobState(job), soon).toBe('completed')
    })
  },
)

test('RDQ-01 lock lost between request and answer - the order is recorded once', async () => {
  await using shop = await openShop('submit.answered')
  const { orders } = shop
  await losses['the lock is gone from Redis']!(shop)
  shop.release()
  await shop.first()
  await shop.again()
  await orders.clock.advance(REQUEST_MS_MAX)
  await expect.poll(() => shop.queue.getJobState(job), soon).toBe('completed')
  expect([orders.broker.submissions.length, orders.events()]).toEqual([1, ['trade.submitted']])
})
