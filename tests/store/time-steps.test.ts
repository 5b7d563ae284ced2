import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  createDemand,
  createLeases,
  createMessageRates,
  createRegistry,
  DEMAND_TTL_MS,
  leaseKey,
} from '#store'
import { startRedis, type TestRedis } from '../support/redis.ts'

/**
 * The time of Redis steps back when a replica takes over whose clock is behind: times stored before
 * then end in the far future.
 */
const STEP_MS = 3_600_000

let redis: TestRedis
beforeAll(async () => void (redis = await startRedis()))
afterAll(() => redis.stop())

describe('after Redis time stepped back by an hour', () => {
  test('the lease of a worker that died before is free after its own lifetime', async () => {
    const connection = redis.connect()
    const key = leaseKey('u1', 'c')
    const leases = createLeases(connection)
    expect(await leases.take(key, 300)).not.toBeNull()
    await connection.pexpire(key, STEP_MS)
    expect(await leases.take(key, 300)).toBeNull()
    await expect.poll(() => leases.take(key, 300), { interval: 20, timeout: 5_000 }).not.toBeNull()
  })

  test('a worker that died before counts as alive for its own lifetime, not longer', async () => {
    const connection = redis.connect()
    const registry = createRegistry(connection)
    await connection.zadd('workers', Date.now() + STEP_MS, 'dead')
    expect(await registry.beat('alive')).toBe(2)
    expect(Number(await connection.zscore('workers', 'dead'))).toBeLessThanOrEqual(
      Date.now() + 1_000,
    )
  })

  test('a symbol that was watched before is wanted for its own lifetime, not longer', async () => {
    let nowMs = Date.UTC(2024, 2, 15)
    const demand = createDemand(redis.connect(), () => nowMs)
    await demand.announce(['AAPL', 'TSLA'])
    nowMs -= STEP_MS
    await demand.announce(['MSFT'])
    expect((await demand.wanted()).toSorted()).toEqual(['AAPL', 'MSFT', 'TSLA'])
    nowMs += DEMAND_TTL_MS
    expect(await demand.wanted()).toEqual([])
  })

  test('a session that had sent too much is barred for a minute, not for an hour', async () => {
    const connection = redis.connect()
    const rates = createMessageRates(connection)
    const party = { userId: 'u1', session: 's1' }
    await connection.ping() // while there is no connection, it counts by itself
    for (let count = 0; count < 11; count += 1) await rates.count(party)
    for (const key of await connection.keys('messages*')) await connection.pexpire(key, STEP_MS)
    expect(await rates.barredMs(party)).toBeLessThanOrEqual(60_000)
    expect((await rates.count(party)).resetInMs).toBeLessThanOrEqual(60_000)
    for (const key of await connection.keys('messages*'))
      expect(await connection.pttl(key)).toBeLessThanOrEqual(60_000)
  })
})
