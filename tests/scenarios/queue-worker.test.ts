import { Queue } from 'bullmq'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { queues } from '#contract'
import { connectRedis, systemClock } from '#runtime'
import type { Handler } from '../../workers/queue/runner.ts'
import { type QueueMetrics, QueueWorker } from '../../workers/queue/watchdog.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { RedisLine } from '../support/redis-line.ts'

/** A worker is thought stuck after five looks. */
const LOOK_MS = 60
const soon = { timeout: 15_000, interval: 20 }
/** Silent links are not replaced here: the tests show that jobs run without a replacement. */
const never = { beatMs: 3_600_000, silentBeatsMax: 1, blockedBeatsMax: 1 }
const log = pino({ level: 'silent' })

let redis: TestRedis
beforeAll(async () => {
  redis = await startRedis()
})
afterAll(() => redis.stop())

/** One queue, one worker on a breakable line, and a record of its actions. */
async function openShop(
  newcomers: RedisLine['newcomers'] = 'pass',
  handle: (id: string) => Promise<void> = async () => {},
) {
  await redis.connect().flushall()
  const line = await RedisLine.to(redis.port)
  const connection = connectRedis(line.url, 'patient', log, never)
  await connection.ping()
  const queue = new Queue(queues.orders.name, {
    connection: redis.connect(),
    prefix: queues.orders.prefix,
  })
  const told = { rebuilds: 0, stuck: false, isGivenUp: false, isPaused: false }
  const queueMetrics: QueueMetrics = {
    stuck: (_queue, isStuck) => (told.stuck = isStuck),
    rebuilt: () => (told.rebuilds += 1),
    paused: (_queue, isPaused) => (told.isPaused = isPaused),
    givenUp: () => (told.isGivenUp = true),
  }
  const done: string[] = []
  const work: Handler = async (name) => {
    await handle(name)
    done.push(name)
    return { kind: 'done' }
  }
  line.newcomers = newcomers
  const deps = {
    redis: connection,
    watch: redis.connect(),
    clock: systemClock,
    log,
    queueMetrics,
    lookEveryMs: LOOK_MS,
  }
  const worker = new QueueWorker('orders', work, deps)
  return {
    line,
    queue,
    worker,
    told,
    done,
    /** The number of jobs not begun yet. */
    left: () => queue.getWaitingCount(),
    /** A new worker takes what is there; only later jobs show whether it can be woken. */
    addUntil: (isEnough: () => boolean) =>
      expect
        .poll(async () => {
          await queue.add('more', {})
          return isEnough()
        }, soon)
        .toBe(true),
    /** Waits until the worker blocks on Redis for a job. */
    waits: () =>
      expect
        .poll(async () => /blocked_clients:1\b/.test(await redis.connect().info('clients')), soon)
        .toBe(true),
    async [Symbol.asyncDispose]() {
      line.newcomers = 'pass'
      await worker[Symbol.asyncDispose]()
      await queue.close()
      connection.disconnect()
      await line[Symbol.asyncDispose]()
    },
  }
}

type Shop = Awaited<ReturnType<typeof openShop>>

/** The states in which the blocking connection is met. */
const states: Readonly<Record<string, () => Promise<Shop>>> = {
  async connecting() {
    const shop = await openShop('silent')
    await expect.poll(() => shop.line.count, soon).toBe(2)
    return shop
  },
  async ready() {
    const shop = await openShop()
    await shop.waits()
    return shop
  },
  async reconnecting() {
    const shop = await openShop()
    await shop.waits()
    shop.line.newcomers = 'refused'
    shop.line.cut()
    const { count } = shop.line
    await expect.poll(() => shop.line.count, soon).toBeGreaterThan(count)
    shop.line.newcomers = 'silent'
    const refused = shop.line.count
    await expect.poll(() => shop.line.count, soon).toBeGreaterThan(refused)
    return shop
  },
}

describe.each(Object.entries(states))(
  'RDQ-08 alive and consuming nothing: the blocking connection is %s',
  (state, open) => {
    test(`RDQ-08 cut while ${state} - jobs run again`, async () => {
      await using shop = await open()
      shop.line.newcomers = 'pass'
      shop.line.cut()
      await shop.queue.add('a', {})
      await expect.poll(() => shop.done, soon).toEqual(['a'])
      expect(shop.told.isGivenUp).toBe(false)
    })

    test(`RDQ-08 silent while ${state} - the worker is rebuilt, and jobs run again`, async () => {
      await using shop = await open()
      shop.line.newcomers = 'pass'
      shop.line.silence(1)
      await shop.addUntil(() => shop.told.rebuilds === 1)
      await expect.poll(() => shop.left(), soon).toBe(0)
      await shop.queue.add('next', {})
      await expect.poll(() => shop.done, soon).toContain('next')
      await expect
        .poll(() => shop.told, soon)
        .toEqual({ rebuilds: 1, stuck: false, isGivenUp: false, isPaused: false })
    })

    test(`RDQ-08 silent while ${state}, for good - not ready, and given up`, async () => {
      await using shop = await open()
      shop.line.newcomers = 'silent'
      shop.line.silence(1)
      await shop.addUntil(() => shop.told.isGivenUp)
      // A job that comes just before a rebuilt worker waits for jobs is taken, and is a sign of
      // life.
      expect(shop.told.rebuilds).toBeGreaterThanOrEqual(1)
      expect(shop.told.stuck).toBe(true)
      expect(shop.worker.stuckBecause).toContain('orders')
      expect(await shop.left()).toBeGreaterThan(0)
    })
  },
)

describe('RDQ-08 the periodic check of a queue', () => {
  test('RDQ-08 a delayed job is due - counted as waiting, the worker is rebuilt', async () => {
    await using shop = await openShop()
    await shop.waits()
    shop.line.silence(1)
    await shop.queue.add('late', {}, { delay: 10 })
    await expect.poll(() => shop.done, soon).toEqual(['late'])
    expect(shop.told.rebuilds).toBe(1)
  })

  test('RDQ-08 a paused queue or a job not yet due - the worker is not rebuilt', async () => {
    await using shop = await openShop()
    await shop.waits()
    await shop.queue.add('later', {}, { delay: 3_600_000 })
    await shop.queue.pause()
    await shop.queue.add('a', {})
    const looksOf = async (): Promise<number> =>
      Number(
        /cmdstat_hexists:calls=(\d+)/.exec(await redis.connect().info('commandstats'))?.[1] ?? 0,
      )
    const before = await looksOf()
    await expect.poll(looksOf, soon).toBeGreaterThan(before + 12)
    expect(shop.told).toEqual({ rebuilds: 0, stuck: false, isGivenUp: false, isPaused: true })
    expect(shop.worker.stuckBecause).toBeUndefined()
    await shop.queue.resume()
    await expect.poll(() => shop.done, soon).toEqual(['a'])
  })

  test('a pause is reported while it lasts, and the process stays ready', async () => {
    await using shop = await openShop()
    expect([shop.worker.remark, shop.told.isPaused]).toEqual([undefined, false])
    await shop.queue.pause()
    await expect.poll(() => shop.told.isPaused, soon).toBe(true)
    expect(shop.worker.remark).toBe(
      'paused: the queue orders gives no jobs out; resume it on the dashboard',
    )
    expect(shop.worker.stuckBecause).toBeUndefined()
    await shop.queue.resume()
    await expect.poll(() => shop.told.isPaused, soon).toBe(false)
    expect(shop.worker.remark).toBeUndefined()
  })

  test('RDQ-08 a running job at a rebuild - run once, to its end', async () => {
    const held = Promise.withResolvers<void>()
    const begun: string[] = []
    await using shop = await openShop('pass', async (name) => {
      begun.push(name)
      if (name === 'long') await held.promise
    })
    const long = await shop.queue.add('long', {})
    await expect.poll(() => begun, soon).toEqual(['long'])
    await shop.waits()
    shop.line.silence(1)
    await shop.queue.add('next', {})
    await expect.poll(() => shop.done, soon).toEqual(['next'])
    held.resolve()
    await expect.poll(() => long.getState(), soon).toBe('completed')
    expect([begun, shop.told.rebuilds]).toEqual([['long', 'next'], 1])
  })
})
