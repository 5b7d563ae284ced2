import { Socket } from 'node:net'
import { expect, onTestFinished, test, vi } from 'vitest'
import { connectRedis, createLogger } from '#runtime'
import { startRedis } from '../support/redis.ts'
import { startRedisCluster } from '../support/redis-groups.ts'

const log = createLogger('test', 'silent')

/** Counts the writes to sockets from now on, of any size. */
function writes(): () => number {
  const names = ['_write', '_writev'] as const
  const spies = names.map((name) => vi.spyOn(Socket.prototype, name))
  onTestFinished(() => spies.forEach((spy) => spy.mockRestore()))
  return () => spies.reduce((total, { mock }) => total + mock.calls.length, 0)
}

test('commands of one turn leave in one ordered write, those of the next in another', async () => {
  await using server = await startRedis()
  const redis = connectRedis(server.url, 'patient', log)
  onTestFinished(() => redis.disconnect())
  await redis.ping()
  const written = writes()
  const twenty = Array.from({ length: 20 }, (_, n) => n + 1)
  expect(await Promise.all(twenty.map(() => redis.incr('count')))).toEqual(twenty)
  expect(written()).toBe(1)
  expect(await redis.incr('count')).toBe(21)
  expect(written()).toBe(2)
})

test('a reconnected link writes so too, and a last unawaited command still leaves', async () => {
  await using server = await startRedis()
  const redis = connectRedis(server.url, 'patient', log)
  const id = await redis.client('ID')
  await server.connect().client('KILL', 'ID', id)
  await expect.poll(() => redis.client('ID')).toBeGreaterThan(id)
  const written = writes()
  await Promise.all([redis.set('a', 1), redis.set('b', 2)])
  expect(written()).toBe(1)
  redis.set('b', 3).catch(() => {}) // its answer may come too late
  redis.disconnect()
  const other = server.connect()
  await expect.poll(() => other.mget('a', 'b')).toEqual(['1', '3'])
})

test('each node of a Cluster gets its commands of one turn in one write', async () => {
  await using group = await startRedisCluster()
  const redis = connectRedis(group.url, 'patient', log)
  onTestFinished(() => redis.disconnect())
  const keys = Array.from({ length: 12 }, (_, n) => `key-${n}`)
  await Promise.all(keys.map((key) => redis.get(key)))
  const written = writes()
  expect(await Promise.all(keys.map((key) => redis.incr(key)))).toEqual(keys.map(() => 1))
  expect(written()).toBe(group.servers.length)
}, 60_000)
