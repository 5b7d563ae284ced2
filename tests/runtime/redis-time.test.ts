import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { RedisTime, systemClock } from '#runtime'
import { FakeClock, settle } from '../support/fake-clock.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'

let redis: TestRedis
beforeAll(async () => void (redis = await startRedis()))
afterAll(() => redis.stop())

/**
 * A Redis whose time runs with the test's clock, `aheadMs` ahead of it, and answers after `slowMs`.
 */
async function start({ aheadMs = 0, slowMs = 0 } = {}) {
  const clock = new FakeClock()
  const remote = { aheadMs, slowMs, isAway: false }
  const lines: string[] = []
  const skews: number[] = []
  const log = pino(
    { level: 'info' },
    { write: (line: string) => void lines.push((JSON.parse(line) as { msg: string }).msg) },
  )
  const time = async (): Promise<number[]> => {
    if (remote.isAway) throw new Error('Redis is away')
    const atMs = clock.now() + remote.aheadMs
    if (remote.slowMs > 0) await clock.sleep(remote.slowMs)
    return [Math.floor(atMs / 1_000), (atMs % 1_000) * 1_000]
  }
  const starting = RedisTime.start({ time }, clock, log, (seconds) => void skews.push(seconds))
  await clock.advance(slowMs * 10)
  return { clock, remote, lines, skews, shared: await starting }
}

test('returns the time of Redis, and keeps its pace between measurements', async () => {
  const { clock, shared } = await start({ aheadMs: -7_000 })
  expect(shared.now()).toBe(clock.now() - 7_000)
  await clock.advance(1_234)
  expect(shared.now()).toBe(clock.now() - 7_000)
})

test('follows Redis when its time steps, and logs the step', async () => {
  const { clock, remote, shared, lines } = await start()
  remote.aheadMs = -3_600_000
  await clock.advance(5_000)
  expect(shared.now()).toBe(clock.now() - 3_600_000)
  expect(lines).toEqual(['redis.time_stepped', 'clock.skewed'])
})

test('keeps the time while Redis is away', async () => {
  const { clock, remote, shared, lines } = await start({ aheadMs: 300 })
  remote.isAway = true
  await clock.advance(60_000)
  expect(shared.now()).toBe(clock.now() + 300)
  expect(lines).toEqual([])
})

test('a slow answer is ignored: it may be wrong by half its duration', async () => {
  const { clock, remote, shared } = await start({ aheadMs: 300 })
  Object.assign(remote, { aheadMs: 900, slowMs: 401 })
  await clock.advance(20_000)
  expect(shared.now()).toBe(clock.now() + 300)
  Object.assign(remote, { slowMs: 100 })
  await clock.advance(10_000)
  expect(shared.now()).toBe(clock.now() + 850)
})

test('starts with a slow measurement where every answer is slow', async () => {
  const { clock, shared } = await start({ aheadMs: 5_000, slowMs: 1_000 })
  expect(Math.abs(shared.now() - clock.now() - 5_000)).toBeLessThanOrEqual(500)
})

test('a clock more than a second off is logged once, and shown in /readyz meanwhile', async () => {
  const { clock, remote, shared, lines, skews } = await start({ aheadMs: -1_000 })
  expect([shared.remark, lines]).toEqual([undefined, []])
  remote.aheadMs = -3_200
  await clock.advance(30_000)
  expect(shared.remark).toBe('clock: this machine is 3.2 s ahead of Redis; set both by NTP')
  expect(lines.filter((line) => line === 'clock.skewed')).toHaveLength(1)
  expect(skews.at(-1)).toBe(3.2)
  remote.aheadMs = 0
  await clock.advance(5_000)
  expect([shared.remark, lines.at(-1)]).toEqual([undefined, 'clock.agrees'])
  await settle()
})

test('measures a real Redis', async () => {
  using shared = await RedisTime.start(redis.connect(), systemClock, pino({ level: 'silent' }))
  expect(Math.abs(shared.now() - Date.now())).toBeLessThan(500)
})
