import type { Redis } from 'ioredis'
import RedisMock from 'ioredis-mock'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createMessageRates, createSessions } from '#store'
import { startRedis, type TestRedis } from '../support/redis.ts'

// The same on ioredis-mock and on a server, so that a difference between the two shows.
// (ioredis-mock knows no ZADD GT, so that logouts, demand and control records are tested on a
// server only.)

let server: TestRedis
beforeAll(async () => {
  server = await startRedis()
})
afterAll(() => server.stop())

const MINUTE_MS = 60_000
const alice = { userId: 'alice', session: 'phone' }

describe.each([
  ['ioredis-mock', (): Redis => new RedisMock()],
  ['a server', (): Redis => server.connect()],
])('on %s', (_name, connect) => {
  let redis: Redis
  beforeEach(async () => {
    redis = connect()
    await redis.flushall()
  })

  describe('message rates', () => {
    test('ten messages of a session a minute pass, the eleventh bars only it for a minute', async () => {
      const rates = createMessageRates(redis)
      for (let n = 1; n <= 10; n += 1)
        expect(await rates.count(alice)).toMatchObject({
          limit: 10,
          current: n,
          isOver: false,
          isFallback: false,
        })
      expect(await rates.barredMs(alice)).toBe(0)
      const over = await rates.count(alice)
      expect(over).toMatchObject({ limit: 10, current: 11, isOver: true })
      expect(over.resetInMs).toBeGreaterThan(MINUTE_MS - 5_000)
      const barredMs = await rates.barredMs(alice)
      expect(barredMs).toBeGreaterThan(MINUTE_MS - 5_000)
      expect(barredMs).toBeLessThanOrEqual(MINUTE_MS)
      expect(await rates.barredMs({ ...alice, session: 'laptop' })).toBe(0)
      expect(await rates.count({ userId: 'bob', session: 'phone' })).toMatchObject({
        current: 1,
        isOver: false,
      })
    })

    test('further messages of a barred session do not prolong its bar', async () => {
      const rates = createMessageRates(redis)
      for (let n = 1; n <= 11; n += 1) await rates.count(alice)
      const first = await rates.barredMs(alice)
      const later = async (): Promise<number> => {
        await rates.count(alice)
        return rates.barredMs(alice)
      }
      await expect.poll(later).toBeLessThan(first - 10)
    })

    test('sixty messages of a user a minute pass, over any sessions; the next bar them all', async () => {
      const rates = createMessageRates(redis)
      const count = (n: number) => rates.count({ userId: 'alice', session: `s${n % 10}` })
      for (let n = 0; n < 60; n += 1) expect(await count(n)).toMatchObject({ isOver: false })
      expect(await rates.count({ userId: 'alice', session: 'new' })).toMatchObject({
        limit: 60,
        current: 61,
        isOver: true,
      })
      expect(await rates.barredMs({ userId: 'alice', session: 'newer' })).toBeGreaterThan(
        MINUTE_MS - 5_000,
      )
    })

    test('another relay continues the same count', async () => {
      for (let n = 1; n <= 9; n += 1) await createMessageRates(redis).count(alice)
      expect(await createMessageRates(redis).count(alice)).toMatchObject({ current: 10 })
    })
  })

  describe('devices', () => {
    const claims = { sub: 'alice', sid: 'phone', iat: 1, jti: undefined }

    test('the newest connection of a device has the highest generation of that device', async () => {
      const sessions = createSessions(redis)
      const generations = [
        await sessions.enter('alice', 'phone'),
        await sessions.enter('alice', 'phone'),
      ]
      expect(BigInt(generations[1] ?? 0)).toBeGreaterThan(BigInt(generations[0] ?? 0))
      const tablet = await sessions.enter('alice', 'tablet')
      const validity = { isBarred: false, newestGeneration: generations[1] }
      expect(await sessions.validity(claims, 'phone')).toEqual(validity)
      expect(await sessions.validity(claims, 'tablet')).toEqual({
        ...validity,
        newestGeneration: tablet,
      })
      expect(await sessions.validity(claims, 'unknown')).toEqual({
        ...validity,
        newestGeneration: null,
      })
      expect(await sessions.validity(claims)).toEqual({ ...validity, newestGeneration: null })
    })

    test('of many devices the longest unused is evicted', async () => {
      const sessions = createSessions(redis)
      for (let n = 0; n <= 100; n += 1) await sessions.enter('alice', `d${n}`)
      const newest = async (device: string) =>
        (await sessions.validity(claims, device)).newestGeneration
      expect([await newest('d0'), typeof (await newest('d1'))]).toEqual([null, 'string'])
    })
  })
})
