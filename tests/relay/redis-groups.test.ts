import { io, type Socket } from 'socket.io-client'
import { describe, expect, test } from 'vitest'
import { createLogger, systemClock, systemRandomness } from '#runtime'
import { createStoreEpoch, createStore } from '#store'
import { readRelayConfig } from '../../relay/config.ts'
import { type Relay, startRelay } from '../../relay/server.ts'
import { type RedisGroup, startRedisCluster, startRedisSentinel } from '../support/redis-groups.ts'
import { notice, SECRET, signed } from './harness.ts'

const relayOn = ({ url }: RedisGroup): Promise<Relay> => {
  const env = {
    REDIS_URL: url,
    LISTEN_HOST: '127.0.0.1',
    RELAY_PORT: '0',
    JWT_HS256_SECRET: SECRET,
  }
  const log = createLogger('relay', 'silent')
  return startRelay(readRelayConfig(env), { clock: systemClock, random: systemRandomness, log })
}

/**
 * Commits events one after another, each again until it is stored: the repetition of a commit that
 * was stored without an answer is a conflict.
 */
function teller(group: RedisGroup, userId: string): (n: number) => Promise<void> {
  const store = createStore(group.connect())
  return async (n) => {
    const before = await store.version(userId)
    const commit = {
      expectVersion: before,
      fence: { kind: 'version' },
      writes: [],
      events: [notice(n)],
    } as const
    const attempt = async (): Promise<string> => (await store.commit(userId, commit)).kind
    await expect
      .poll(() => attempt().catch(() => 'failed'), { timeout: 25_000 })
      .toMatch(/^(committed|clash)$/)
  }
}

class Clients implements Disposable {
  readonly #sockets: Socket[] = []

  async open(relay: Relay, sub: string, auth: Record<string, unknown> = {}) {
    const socket = io(relay.url, {
      forceNew: true,
      auth: { token: await signed({ sub }), lastEventId: '', ...auth },
    })
    this.#sockets.push(socket)
    const heard: string[] = []
    const names: string[] = []
    socket.onAny((event: string) => names.push(event))
    socket.on('broker.connected', (payload: { brokerConnectionId: string }) =>
      heard.push(payload.brokerConnectionId),
    )
    await expect.poll(() => names, { timeout: 20_000 }).toContain('connection.authorized')
    return { socket, heard, names }
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.disconnect()
  }
}

describe('on a Cluster of three masters', () => {
  test('users of every slot get events through any relay; commands and sessions work', async () => {
    await using group = await startRedisCluster()
    await createStoreEpoch(group.connect(), () => 'the-store').mint()
    await using one = await relayOn(group)
    await using two = await relayOn(group)
    using clients = new Clients()
    for (let n = 0; n < 12; n += 1) {
      const user = `cluster-user-${n}`
      const tell = teller(group, user)
      const [here, there] = await Promise.all([clients.open(one, user), clients.open(two, user)])
      await tell(n)
      await tell(n + 100)
      await expect
        .poll(() => [here.heard, there.heard])
        .toEqual(Array(2).fill([`b${n}`, `b${n + 100}`]))
      expect(await here.socket.emitWithAck('state.requestSync', {})).toEqual({ ok: true })
      expect(
        await there.socket.emitWithAck('market.subscribe', { symbols: ['AAPL'] }),
      ).toMatchObject({ ok: true })
    }
    const older = await clients.open(one, 'cluster-user-0', { deviceId: 'phone' })
    await clients.open(two, 'cluster-user-0', { deviceId: 'phone' })
    await expect.poll(() => older.names).toContain('connection.closed')
  }, 60_000)
})

describe('when the master that Sentinels watch is gone', () => {
  test('the relay and the store use the next master, and each event arrives once', async () => {
    await using group = await startRedisSentinel()
    await using relay = await relayOn(group)
    using clients = new Clients()
    const tell = teller(group, 'alice')
    const { heard, names } = await clients.open(relay, 'alice')
    for (const n of [1, 2, 3]) await tell(n)
    await expect.poll(() => heard).toEqual(['b1', 'b2', 'b3'])
    const [master, replica] = group.servers
    await expect
      .poll(() => replica?.connect().hget('state:{alice}', 'last'))
      .toBe(await master?.connect().hget('state:{alice}', 'last'))
    await master?.kill()
    for (const n of [4, 5, 6]) await tell(n)
    await expect
      .poll(() => heard, { timeout: 30_000 })
      .toEqual(['b1', 'b2', 'b3', 'b4', 'b5', 'b6'])
    expect(names).not.toContain('state.resync')
    await tell(7)
    await expect.poll(() => heard.at(-1)).toBe('b7')
  }, 90_000)
})
