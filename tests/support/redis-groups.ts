import type { Redis } from 'ioredis'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { vi } from 'vitest'
import { connectRedis, createLogger } from '#runtime'
import { startRedis, type TestRedis } from './redis.ts'
import { RedisLine } from './redis-line.ts'

const SLOTS = 16_384

/** Resolves once `isSo` says so. */
const until = (what: string, isSo: () => Promise<boolean>): Promise<void> =>
  vi.waitFor(
    async () => {
      if (!(await isSo())) throw new Error(`not within 25 s: ${what}`)
    },
    { timeout: 25_000, interval: 50 },
  )

/** Several Redis servers that belong together, and one URL for them. */
export type RedisGroup = AsyncDisposable &
  Readonly<{ url: string; servers: readonly TestRedis[]; connect(): Redis; stop(): Promise<void> }>

function groupOf(url: string, servers: readonly TestRedis[]): RedisGroup {
  const links: Redis[] = []
  const stop = async (): Promise<void> => {
    for (const link of links) link.disconnect()
    for (const server of servers) await server.stop()
  }
  const connect = (): Redis => {
    const link = connectRedis(url, 'patient', createLogger('test', 'silent'))
    links.push(link)
    return link
  }
  return { url, servers, connect, stop, [Symbol.asyncDispose]: stop }
}

/** A group each server of which is reached by a line of its own, which can go silent. */
export type LinedGroup = RedisGroup & Readonly<{ lines: readonly RedisLine[] }>

function lined(group: RedisGroup, url: string, lines: readonly RedisLine[]): LinedGroup {
  const stop = async (): Promise<void> => {
    await group.stop()
    await Promise.all(lines.map((line) => line[Symbol.asyncDispose]()))
  }
  return { ...group, url, lines, stop, [Symbol.asyncDispose]: stop }
}

/** A Cluster of three masters that tell of each other by their lines. */
export async function startLinedCluster(): Promise<LinedGroup> {
  const group = await startRedisCluster()
  const lines = await Promise.all(group.servers.map(({ port }) => RedisLine.to(port)))
  const announced = group.servers.map(async (server, n) => {
    const link = server.connect()
    await link.config('SET', 'cluster-announce-bus-port', server.port + 10_000)
    await link.config('SET', 'cluster-announce-port', lines[n]?.port ?? 0)
    return link
  })
  const links = await Promise.all(announced)
  const knows = async (link: Redis): Promise<boolean> => {
    const told = String(await link.call('CLUSTER', 'NODES'))
    return lines.every(({ port }) => told.includes(`127.0.0.1:${port}@`))
  }
  await until('each tells of the others by their lines', async () =>
    (await Promise.all(links.map(knows))).every(Boolean),
  )
  return lined(
    group,
    `redis+cluster://${lines.map(({ port }) => `127.0.0.1:${port}`).join(',')}`,
    lines,
  )
}

/** A Sentinel and the master that it watches: `lines` in this order. */
export async function startLinedSentinel(): Promise<LinedGroup> {
  const master = await startRedis()
  const toMaster = await RedisLine.to(master.port)
  const sentinel = await startSentinel(toMaster.port)
  const toSentinel = await RedisLine.to(sentinel.port)
  const url = `redis+sentinel://127.0.0.1:${toSentinel.port}/main`
  return lined(groupOf(url, [sentinel, master]), url, [toSentinel, toMaster])
}

/** A Cluster of three masters, each with a third of the slots. */
export async function startRedisCluster(): Promise<RedisGroup> {
  const args = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '2000']
  const servers = await Promise.all([1, 2, 3].map(() => startRedis({ args })))
  const links = servers.map((server) => server.connect())
  const third = Math.ceil(SLOTS / 3)
  for (const [n, link] of links.entries()) {
    await link.call('CLUSTER', 'ADDSLOTSRANGE', n * third, Math.min((n + 1) * third, SLOTS) - 1)
    await link.call('CLUSTER', 'SET-CONFIG-EPOCH', n + 1)
    if (n > 0) await link.call('CLUSTER', 'MEET', '127.0.0.1', servers[0]?.port ?? 0)
  }
  const isUp = async (link: Redis): Promise<boolean> => {
    const info = String(await link.call('CLUSTER', 'INFO'))
    return info.includes('cluster_state:ok') && info.includes('cluster_known_nodes:3')
  }
  await until('the Cluster is up', async () => (await Promise.all(links.map(isUp))).every(Boolean))
  return groupOf(
    `redis+cluster://${servers.map(({ port }) => `127.0.0.1:${port}`).join(',')}`,
    servers,
  )
}

/**
 * A master, its replica, and a Sentinel that makes the replica the master when the master is gone,
 * or on command.
 * @param masterArgs further arguments of the first master
 */
export async function startRedisSentinel(masterArgs: readonly string[] = []): Promise<RedisGroup> {
  const master = await startRedis({ args: masterArgs })
  const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(master.port)] })
  const link = replica.connect()
  await until('the replica follows', async () =>
    (await link.info('replication')).includes('master_link_status:up'),
  )
  const sentinel = await startSentinel(master.port)
  const watcher = sentinel.connect()
  await until('the Sentinel knows both', async () =>
    (await watcher.info('sentinel')).includes('slaves=1'),
  )
  return groupOf(`redis+sentinel://127.0.0.1:${sentinel.port}/main`, [master, replica, sentinel])
}

/** A Sentinel that watches the master at this port, under the name `main`. */
async function startSentinel(masterPort: number): Promise<TestRedis> {
  const folder = mkdtempSync(join(tmpdir(), 'fillcast-sentinel-'))
  const lines = [
    `sentinel monitor main 127.0.0.1 ${masterPort} 1`,
    'sentinel down-after-milliseconds main 1000',
    'sentinel failover-timeout main 5000',
  ]
  writeFileSync(join(folder, 'sentinel.conf'), `${lines.join('\n')}\n`)
  // A Sentinel is a Redis server that is started with a file of its own, in which it stores its
  // state.
  const bin = join(folder, 'sentinel.sh')
  const server = process.env['REDIS_SERVER_BIN'] ?? 'redis-server'
  writeFileSync(
    bin,
    `#!/bin/sh\nexec "${server}" "${join(folder, 'sentinel.conf')}" --sentinel "$1" "$2" --bind 127.0.0.1\n`,
  )
  chmodSync(bin, 0o755)
  const sentinel = await startRedis({ bin })
  const stop = async (): Promise<void> => {
    await sentinel.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  return Object.assign(Object.create(sentinel) as TestRedis, { stop, [Symbol.asyncDispose]: stop })
}
