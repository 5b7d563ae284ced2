import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createLogger, systemClock } from '#runtime'
import { createQuarantinedOrders, createAssetReader, createAssets, createStoreEpoch } from '#store'
import { startDashboard } from '../../src/apps/dashboard/server.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { orderOf, System, told } from './stage.ts'

// The users of src/deploy/redis-users.acl are enough for each process, and for little else.

let redis: TestRedis
let folder: string
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'fillcast-acl-'))
  const file = join(folder, 'users.acl')
  const users = readFileSync(join(import.meta.dirname, '../../src/deploy/redis-users.acl'), 'utf8')
  writeFileSync(file, users.replace('user default off', 'user default on nopass ~* &* +@all')) // the suite looks on as that one
  redis = await startRedis({ args: ['--aclfile', file] })
})
afterEach(async () => {
  await redis.stop()
  rmSync(folder, { recursive: true, force: true })
})

const urlOf = (user: string): string => `redis://${user}:change-${user}@127.0.0.1:${redis.port}`
const slow = { timeout: 12_000, interval: 50 }

test('a trade, cancel, quotes, devices, logout and dashboard need no other permission', async () => {
  const system = await System.openOn(redis, urlOf, ['alice'])
  try {
    const log = createLogger('dashboard', 'silent')
    const config = {
      redisUrl: urlOf('dashboard'),
      port: 0,
      probePort: 0,
      listenHost: '127.0.0.1',
      logLevel: 'silent',
    } as const
    await using dashboard = await startDashboard({ ...config, users: new Map() }, systemClock, log)
    expect((await fetch(`http://127.0.0.1:${dashboard.probePort}/readyz`)).status).toBe(200)

    const client = await system.client('alice', { auth: { deviceId: 'phone', symbols: ['AAPL'] } })
    await system.producer.submitOrder(orderOf())
    await system.producer.submitOrder(
      orderOf({ tradeId: 'rest', orderType: 'limit', limitPrice: '1' }),
    )
    await expect.poll(() => told(client), slow).toContain('trade.filled')
    const rest = { userId: 'alice', connectionId: 'broker_alice', tradeId: 'rest' }
    await expect
      .poll(async () => (await system.producer.orders.get('alice', 'rest'))?.status, slow)
      .toBe('submitted')
    await system.producer.cancelOrder({ ...rest, commandId: 'c1' })
    await expect.poll(() => told(client), slow).toContain('trade.cancelled')
    await expect.poll(() => client.names(), slow).toContain('market.quote')
    expect(await client.socket.emitWithAck('state.requestSync', {})).toEqual({ ok: true })
    await system.client('alice', { auth: { deviceId: 'phone' } })
    await expect.poll(() => client.names(), slow).toContain('connection.closed')
    await system.producer.sessions.logout({ userId: 'alice' })
    const denied = (await redis.connect().call('ACL', 'LOG')) as unknown[][]
    expect(denied.map((entry) => [entry[7], entry[9], entry[5]].join(' '))).toEqual([])
  } finally {
    await system[Symbol.asyncDispose]().catch(() => {})
  }
}, 40_000)

const everywhere = ['workers', 'relay', 'producer', 'dashboard']
const refused: Record<string, [command: string, ...args: string[]][]> = {
  workers: [['SET', 'relay:x', 'y']],
  relay: [
    ['HSET', 'state:{alice}', 'v', '1'],
    ['XADD', 'log:{alice}', '*', 'e', 'x'],
    ['HSET', 'control:{alice}', 'x', 'y'],
    ['HSET', 'assets:{paper}', 'x', 'y'],
    ['LPUSH', '{fc:orders}:orders:wait', '1'],
    ['PSUBSCRIBE', '*'],
  ],
  producer: [
    ['HSET', 'state:{alice}', 'v', '1'],
    ['XRANGE', 'log:{alice}', '-', '+'],
    ['HSET', 'assets:{paper}', 'x', 'y'],
    ['PUBLISH', 'socket.io#/#market:AAPL#', 'x'],
  ],
  dashboard: [
    ['HGETALL', 'control:{alice}'],
    ['HGETALL', 'state:{alice}'],
    ['PUBLISH', 'socket.io#/#user:alice#', 'x'],
    ['ZADD', 'aside', '1', 'x'],
  ],
}
const fromAll: [command: string, ...args: string[]][] = [
  ['FLUSHALL'],
  ['KEYS', '*'],
  ['CONFIG', 'GET', '*'],
  ['ACL', 'LIST'],
  ['SHUTDOWN'],
  ['SET', 'anything', 'else'],
]

test('workers write quarantined orders, the dashboard reads them and accepts a store', async () => {
  const workers = new Redis(urlOf('workers'))
  const dashboard = new Redis(urlOf('dashboard'))
  const order = {
    userId: 'alice',
    connectionId: 'broker_alice',
    tradeId: 't1',
    symbol: 'AAPL',
    due: 'nothing',
  } as const
  await createQuarantinedOrders(workers, Date.now).note([
    { ...order, at: '2024-03-15T14:00:00.000Z' },
  ])
  expect((await createQuarantinedOrders(dashboard, Date.now).list()).total).toBe(1)
  expect(await createStoreEpoch(dashboard, () => 'made').mint()).toBeTypeOf('string')
  for (const link of [workers, dashboard]) link.disconnect()
})

test('workers write the broker’s assets, the producer and the relay read them', async () => {
  const workers = new Redis(urlOf('workers'))
  const assets = createAssets(workers, () => 'draft')
  expect(await assets.takeTurn('paper')).toBe(true)
  await assets.put('paper', [])
  for (const user of ['producer', 'relay']) {
    const link = new Redis(urlOf(user))
    expect((await createAssetReader(link).find(['AAPL'])).get('AAPL'), user).toEqual({
      kind: 'not_listed',
    })
    link.disconnect()
  }
  workers.disconnect()
})

test.each(everywhere)(
  'user %s - Redis refuses every command outside its permissions',
  async (user) => {
    const link = new Redis(urlOf(user))
    for (const [command, ...args] of [...(refused[user] ?? []), ...fromAll])
      await expect(link.call(command, ...args), command).rejects.toThrow(/NOPERM/)
    link.disconnect()
  },
)

describe('start-redis.sh', () => {
  const passwords = {
    REDIS_WORKERS_PASSWORD: 'w1',
    REDIS_RELAY_PASSWORD: 'r2',
    REDIS_PRODUCER_PASSWORD: 'p3',
    REDIS_DASHBOARD_PASSWORD: 'd4',
  }
  /** Runs the script with a server that prints its arguments. */
  const started = (
    env: Record<string, string>,
  ): { status: number | null; stdout: string; stderr: string } => {
    writeFileSync(
      join(folder, 'redis-server'),
      '#!/bin/sh\ncat "$2"; shift 2; echo "arguments: $*"',
      { mode: 0o755 },
    )
    const deploy = join(import.meta.dirname, '../../src/deploy')
    const args = [
      join(deploy, 'start-redis.sh'),
      join(deploy, 'redis-users.acl'),
      '--appendonly',
      'yes',
    ]
    const path = `${folder}:${process.env['PATH'] ?? ''}`
    return spawnSync('sh', args, { env: { PATH: path, TMPDIR: folder, ...env }, encoding: 'utf8' })
  }

  test('gives each user its password, and passes its arguments on', async () => {
    const { status, stdout } = started(passwords)
    expect(status).toBe(0)
    expect(stdout).not.toContain('change-')
    expect(stdout).toContain('arguments: --appendonly yes')
    const file = join(folder, 'made.acl')
    const made = stdout.replace(/^arguments:.*$/m, '')
    writeFileSync(file, made.replace('user default off', 'user default on nopass ~* &* +@all')) // the suite looks on as that one
    await using server = await startRedis({ args: ['--aclfile', file] })
    const link = server.connect()
    for (const [name, password] of Object.entries({
      ...passwords,
      REDIS_HEALTH_PASSWORD: 'none',
    })) {
      await link.call('AUTH', name.split('_')[1]?.toLowerCase() ?? '', password)
      expect(await link.ping(), name).toBe('PONG')
    }
  })

  test.each([
    ['missing', ''],
    ['one that does not fit into a URL', 'a/b'],
    ['one that would be a command of sed', 'x /;e id;'],
  ])('ends when a password is %s, and names the setting', (_what, password) => {
    const { status, stdout, stderr } = started({ ...passwords, REDIS_RELAY_PASSWORD: password })
    expect([status, stdout]).toEqual([1, ''])
    expect(stderr).toContain('REDIS_RELAY_PASSWORD must be set')
  })
})
