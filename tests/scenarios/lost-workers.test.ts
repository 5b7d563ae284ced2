import { Queue, type Worker } from 'bullmq'
import { pino } from 'pino'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { queues, submitJobId } from '#contract'
import { type BoundaryName, noBoundaries, systemClock } from '#runtime'
import { LOSSES_MAX } from '../../workers/orders/resolve-job.ts'
import { createJobQueue } from '../../workers/queue/enqueue.ts'
import { orderHandler } from '../../workers/orders/dispatch.ts'
import type { OrderDeps } from '../../workers/orders/deps.ts'
import { startQueueWorker } from '../../workers/queue/runner.ts'
import { submitOrder } from '../../workers/orders/submit.ts'
import { intentOf } from '../domain/orders.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { RedisLine } from '../support/redis-line.ts'
import { makeWorker } from '../workers/harness.ts'

// CRA-08 where the queue itself counts: workers that are gone with a job in hand, on a real queue.
// A worker is lost with all of its connections at once; its lock runs out, and whoever is there
// next finds that out.

/**
 * Of the workers that are lost, and of one that stays: a request is not sent in the last second of
 * it. Lost locks are looked for three times as often.
 */
const LOCK_MS = 300
const LASTING_LOCK_MS = 1_800
const soon = { timeout: 20_000, interval: 20 }
const { name, prefix } = queues.orders
const trade = { userId: 'u1', connectionId: 'broker_1', tradeId: 't1' }

let redis: TestRedis
beforeAll(async () => {
  redis = await startRedis()
})
afterAll(() => redis.stop())
const open: (() => Promise<unknown>)[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((close) => close()))
})

async function openShop() {
  await redis.connect().flushall()
  const orders = makeWorker()
  await orders.adopted()
  const lines: string[] = []
  const log = pino({ level: 'warn' }, { write: (text: string) => void lines.push(text) })
  const queue = new Queue(name, { connection: redis.connect(), prefix })
  open.push(() => queue.close())
  /** How often a worker had been lost with the job, each time it was given out. */
  const counted: number[] = []
  const start = async (deps: Partial<OrderDeps>, lockMs: number): Promise<RedisLine> => {
    const line = await RedisLine.to(redis.port)
    const connection = redis.connectTo(line.url)
    const handle = orderHandler({ ...orders.submit, log, ...deps })
    const watched: typeof handle = (...call) => {
      counted.push(call[2].losses)
      return handle(...call)
    }
    const worker: Worker = startQueueWorker('orders', watched, {
      redis: connection,
      clock: systemClock,
      log,
      lockMs,
    })
    open.push(async () => {
      connection.disconnect()
      await worker.close(true)
      await line[Symbol.asyncDispose]()
    })
    return line
  }
  /** A worker that comes as far as this step with the job, and is lost there. */
  const lose = async (step: BoundaryName): Promise<void> => {
    const reached = Promise.withResolvers<void>()
    const never = new Promise<void>(() => {})
    const boundaries = {
      reached: (at: BoundaryName) => (at === step ? (reached.resolve(), never) : undefined),
    }
    const line = await start({ boundaries }, LOCK_MS)
    await reached.promise
    line.newcomers = 'refused'
    line.drop()
  }
  const told = (event: string): boolean => lines.some((text) => text.includes(event))
  return {
    orders,
    queue,
    counted,
    lose,
    told,
    start: () => start({ boundaries: noBoundaries }, LASTING_LOCK_MS),
  }
}

describe('CRA-08 workers that are lost with a job', () => {
  test('CRA-08 workers lost with one order - quarantined after the sixth loss, not sent', async () => {
    const { orders, queue, counted, lose, told, start } = await openShop()
    orders.broker.fail('submit', { kind: 'lose_request' }, { times: Infinity })
    await submitOrder(orders.submit, intentOf(), orders.run)
    const sent = orders.broker.submissions.length
    await using asker = createJobQueue(redis.connect(), pino({ level: 'silent' }))
    await asker.resolve(trade)
    for (let loss = 0; loss <= LOSSES_MAX; loss += 1) await lose('resolve.dequeued')
    await start()
    await expect.poll(() => told('order.set_aside'), soon).toBe(true)
    expect(counted).toEqual([0, 1, 2, 3, 4, 5, 6])
    expect(orders.store.orderOf('u1', 't1')).toMatchObject({ status: 'submitting', endedAt: null })
    expect(orders.store.orderOf('u1', 't1')?.setAsideAt).toBeTypeOf('string')
    await expect.poll(() => queue.getJobCountByTypes('active', 'wait', 'delayed'), soon).toBe(0)
    // Asked for anew, it is left alone.
    await asker.resolve(trade)
    await expect.poll(() => counted.length, soon).toBe(8)
    await expect.poll(() => queue.getJobCountByTypes('active', 'wait', 'delayed'), soon).toBe(0)
    expect([orders.broker.submissions.length, orders.events()]).toEqual([sent, []])
  })

  test('CRA-08 workers lost before a submission - the job fails at the eleventh loss', async () => {
    const { orders, queue, counted, lose, told, start } = await openShop()
    const job = submitJobId('u1', 't1')
    await queue.add('submitOrder', { ...trade, ...marketBuy }, { jobId: job, attempts: 3 })
    for (let loss = 0; loss <= STALLS_MAX; loss += 1) await lose('submit.dequeued')
    await start()
    await expect.poll(() => told('job.set_aside'), soon).toBe(true)
    expect(counted).toEqual(Array.from({ length: STALLS_MAX + 1 }, (_, index) => index))
    expect(await queue.getJobState(job)).toBe('failed')
    expect([orders.broker.submissions, orders.events()]).toEqual([[], []])
    await queue.add(
      'submitOrder',
      { ...trade, ...marketBuy, tradeId: 't2' },
      { jobId: submitJobId('u1', 't2') },
    )
    await expect.poll(() => orders.events(), soon).toEqual(['trade.submitted'])
  })
})

/** As the queue is told (`maxStalledCount`). */
const STALLS_MAX = 10
const marketBuy = { symbol: 'AAPL', side: 'buy', orderType: 'market', quantity: '100' } as const
