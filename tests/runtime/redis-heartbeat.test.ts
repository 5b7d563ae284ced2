import type { Redis } from 'ioredis'
import { describe, expect, onTestFinished, test } from 'vitest'
import { connectRedis, createLogger, linkTrouble } from '#runtime'
import type { RedisPatience } from '../../src/runtime/redis.ts'
import { HEARTBEAT_LIMITS } from '../../src/runtime/redis-heartbeat.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import {
  startLinedCluster,
  startLinedSentinel,
  startRedisSentinel,
} from '../support/redis-groups.ts'
import { RedisLine } from '../support/redis-line.ts'

/** A silent link is replaced after 200 ms, a blocking one after 2 s. */
const limits = { beatMs: 40, silentBeatsMax: 5, blockedBeatsMax: 50 }
/** Longer than a link may be silent, and shorter than one that blocks may be. */
const LONG_MS = 1_000
const soon = { timeout: 15_000, interval: 10 }
const log = createLogger('test', 'silent')

function open(url: string, patience: RedisPatience = 'patient'): Redis {
  const redis = connectRedis(url, patience, log, limits)
  onTestFinished(() => redis.disconnect())
  return redis
}

async function openLine() {
  const server = await startRedis()
  const line = await RedisLine.to(server.port)
  onTestFinished(async () => {
    await line[Symbol.asyncDispose]()
    await server.stop()
  })
  return { server, line }
}

/** Until the server was asked so often that a silent link would have been replaced long since. */
async function untilAsked(server: TestRedis): Promise<void> {
  const link = server.connect()
  const asked = async (): Promise<number> =>
    Number(/cmdstat_ping:calls=(\d+)/.exec(await link.info('commandstats'))?.[1] ?? 0)
  const before = await asked()
  await expect.poll(asked, soon).toBeGreaterThan(before + 5 * limits.silentBeatsMax)
}

describe('a link that went silent', () => {
  test('is replaced, its pending command is answered, and meanwhile it is not ready', async () => {
    const { line } = await openLine()
    const redis = open(line.url)
    await redis.set('a', 'here')
    expect(linkTrouble(redis)).toBeUndefined()
    line.silence()
    const answer = redis.get('a')
    await expect
      .poll(() => linkTrouble(redis), { ...soon, interval: 2 })
      .toBe('Redis does not answer')
    expect(await answer).toBe('here')
    await expect.poll(() => linkTrouble(redis), soon).toBeUndefined()
    expect(line.count).toBe(2)
  })

  test('and only subscribes - gets messages again once it is replaced', async () => {
    const { server, line } = await openLine()
    const sub = open(line.url, 'subscriber')
    const heard: string[] = []
    sub.on('message', (_channel: string, message: string) => heard.push(message))
    await sub.subscribe('news')
    line.silence()
    const publisher = server.connect()
    await expect
      .poll(async () => [await publisher.publish('news', 'new'), heard.at(-1)][1], soon)
      .toBe('new')
    expect(linkTrouble(sub)).toBeUndefined()
  })

  test('and so do its replacements - it recovers as soon as one of them connects', async () => {
    const { line } = await openLine()
    const redis = open(line.url)
    await redis.ping()
    line.newcomers = 'silent'
    line.silence()
    await expect.poll(() => line.count, soon).toBeGreaterThan(2)
    expect(linkTrouble(redis)).toBeTypeOf('string')
    line.newcomers = 'pass'
    expect(await redis.ping()).toBe('PONG')
  })

  test('and blocks - is replaced together with the link it duplicates', async () => {
    const { server, line } = await openLine()
    const redis = open(line.url)
    const blocking = redis.duplicate()
    onTestFinished(() => blocking.disconnect())
    await Promise.all([redis.ping(), blocking.ping()])
    const popped = blocking.blpop('list', 60)
    line.silence()
    await server.connect().rpush('list', 'one')
    expect(await popped).toEqual(['list', 'one'])
    await expect.poll(() => linkTrouble(redis), soon).toBeUndefined()
  })

  test('and blocks, alone - is replaced once its timeout is long over', async () => {
    const { line } = await openLine()
    const redis = open(line.url)
    await redis.ping()
    const blocking = redis.duplicate()
    onTestFinished(() => blocking.disconnect())
    await blocking.ping()
    line.silence(1)
    await expect
      .poll(() => linkTrouble(redis), { ...soon, interval: 2 })
      .toBe('Redis does not answer')
    expect(await blocking.ping()).toBe('PONG')
    expect(line.count).toBe(3)
  })
})

describe('a link that is well', () => {
  test('and idle, or held by Redis, is left alone', async () => {
    const { server, line } = await openLine()
    const redis = open(line.url)
    const blocking = redis.duplicate()
    onTestFinished(() => blocking.disconnect())
    await Promise.all([redis.ping(), blocking.ping()])
    const popped = blocking.blpop('list', LONG_MS / 1_000)
    await untilAsked(server)
    expect(await popped).toBeNull()
    expect(line.count).toBe(2)
  })

  test('is not replaced when its own process stood still', async () => {
    // Not by a line, which is in this process and would stand still too.
    await using server = await startRedis()
    const redis = open(server.url)
    const id = await redis.client('ID')
    for (let n = 0; n < 3; n += 1) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LONG_MS / 2)
      await redis.ping()
    }
    expect(await redis.client('ID')).toBe(id)
  })
})

describe('every link of a Cluster goes silent', () => {
  test('each is replaced, those of a replica too, and every node answers', async () => {
    await using group = await startLinedCluster()
    const redis = open(group.url)
    const blocking = redis.duplicate()
    onTestFinished(() => blocking.disconnect())
    const keys = Array.from({ length: 12 }, (_, n) => `key-${n}`)
    const ask = (link: Redis): Promise<unknown> => Promise.all(keys.map((key) => link.incr(key)))
    await Promise.all([ask(redis), ask(blocking)])
    const before = group.lines.map(({ count }) => count)
    for (const line of group.lines) line.silence()
    await expect.poll(() => linkTrouble(redis), { ...soon, interval: 2 }).toBeTypeOf('string')
    const works = (link: Redis): Promise<string> =>
      ask(link).then(
        () => 'works',
        () => 'not yet',
      )
    await expect.poll(() => works(redis), soon).toBe('works')
    await expect.poll(() => works(blocking), soon).toBe('works')
    await expect.poll(() => linkTrouble(redis), soon).toBeUndefined()
    for (const [n, line] of group.lines.entries())
      expect(line.count).toBeGreaterThan(before[n] ?? 0)
  }, 60_000)
})

describe('with Sentinels', () => {
  test('every link is silent - those to the master and to the Sentinels are replaced', async () => {
    await using group = await startLinedSentinel()
    const [toSentinel, toMaster] = group.lines
    const [, master] = group.servers
    const redis = open(group.url)
    const id = await redis.client('ID')
    // Asked for the master's address, and then listened to.
    await expect.poll(() => toSentinel?.count, soon).toBe(2)
    if (master !== undefined) await untilAsked(master)
    expect(toSentinel?.count).toBe(2)
    toMaster?.silence()
    const next = await redis.client('ID')
    expect(next).toBeGreaterThan(id)
    await expect.poll(() => toSentinel?.count, soon).toBe(4)
    toSentinel?.silence()
    await expect.poll(() => toSentinel?.count, soon).toBe(5)
    expect(await redis.client('ID')).toBe(next)
  }, 60_000)

  test('a silent Sentinel does not delay a new connection for ever', async () => {
    await using group = await startLinedSentinel()
    const [toSentinel] = group.lines
    if (toSentinel !== undefined) toSentinel.newcomers = 'silent'
    const redis = open(group.url)
    await expect.poll(() => toSentinel?.count, soon).toBeGreaterThan(0)
    if (toSentinel !== undefined) toSentinel.newcomers = 'pass'
    expect(await redis.ping()).toBe('PONG')
  }, 60_000)

  test('an old master that still answers is left as soon as another takes its place', async () => {
    // A Sentinel that makes it a replica ends its clients' connections in the same step: without
    // that command it can do neither.
    await using group = await startRedisSentinel(['--rename-command', 'CLIENT', ''])
    const redis = open(group.url)
    await redis.set('a', 'old')
    const [, replica, sentinel] = group.servers
    // It refuses while it has not yet heard enough of the replica.
    const promote = sentinel?.connect()
    const agreed = async (): Promise<unknown> => promote?.call('SENTINEL', 'FAILOVER', 'main')
    await expect.poll(() => agreed().catch(String), soon).toBe('OK')
    const role = async (): Promise<string> =>
      /role:(\w+)/.exec((await replica?.connect().info('replication')) ?? '')?.[1] ?? ''
    await expect.poll(role, soon).toBe('master')
    const isThere = async (): Promise<string | null | undefined> => {
      await redis.set('b', 'new')
      return replica?.connect().get('b')
    }
    await expect.poll(isThere, soon).toBe('new')
  }, 60_000)
})

test('production: a ping each second, a new link within 6 s, for a blocking one 15 s', () => {
  expect(HEARTBEAT_LIMITS).toEqual({ beatMs: 1_000, silentBeatsMax: 4, blockedBeatsMax: 13 })
})

test('every link keeps TCP alive, and gives up an unreachable server', async () => {
  const { line } = await openLine()
  const redis = open(line.url)
  for (const { options } of [redis, redis.duplicate({ lazyConnect: true })])
    expect(options).toMatchObject({ keepAlive: 10_000, connectTimeout: 5_000 })
})
