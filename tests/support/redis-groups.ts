import type { Redis } from 'ioredis'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { vi } from 'vitest'
import { connectRedis, createLogger } from '#runtime'
import { startRedis, type TestRedis } from './redis.ts'

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
  return groupOf(`redis+cluster://${servers.map(({ port }) => `127.0.0.1:${port}`).join(',')}`, servers)
}

/** A master, its replica, and a Sentinel that makes the replica the master when the master is gone. */
export async function startRedisSentinel(): Promise<RedisGroup> {
  const master = await startRedis()
  const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(master.port)] })
  const link = replica.connect()
  await until('the replica follows', async () => (await link.info('replication')).includes('master_link_status:up'))
  const folder = mkdtempSync(join(tmpdir(), 'fillcast-sentinel-'))
  const lines = [
    `sentinel monitor main 127.0.0.1 ${master.port} 1`,
    'sentinel down-after-milliseconds main 1000',
    'sentinel failover-timeout main 5000',
  ]
  writeFileSync(join(folder, 'sentinel.conf'), `${lines.join('\n')}\n`)
  // A Sentinel is a Redis server that is started with a file of its own, in which it keeps what it learns.
  const bin = join(folder, 'sentinel.sh')
  const server = process.env['REDIS_SERVER_BIN'] ?? 'redis-server'
  writeFileSync(
    bin,
    `#!/bin/sh\nexec "${server}" "${join(folder, 'sentinel.conf')}" --sentinel "$1" "$2" --bind 127.0.0.1\n`,
  )
  chmodSync(bin, 0o755)
  const sentinel = await startRedis({ bin })
  const watcher = sentinel.connect()
  await until('the Sentinel knows both', async () => (await watcher.info('sentinel')).includes('slaves=1'))
  const group = groupOf(`redis+sentinel://127.0.0.1:${sentinel.port}/main`, [master, replica, sentinel])
  const stop = async (): Promise<void> => {
    await group.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  return { ...group, stop, [Symbol.asyncDispose]: stop }
}
