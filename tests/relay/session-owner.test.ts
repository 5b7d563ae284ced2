import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Relay } from '../../relay/server.ts'
import { startBalancer } from './balancer.ts'
import { type Client, notice, numbers, payloadsOf, signed, Stage } from './harness.ts'

let stage: Stage
let relays: Relay[]
let balancer: Awaited<ReturnType<typeof startBalancer>>
beforeAll(async () => {
  stage = await Stage.open()
  relays = [stage.relay, await stage.another(), await stage.another()]
  balancer = await startBalancer(relays)
})
afterAll(async () => {
  await balancer[Symbol.asyncDispose]()
  await stage[Symbol.asyncDispose]()
})

let users = 0
const newUser = (): string => `owner-user-${(users += 1)}`
const transportOf = (client: Client): string => client.socket.io.engine.transport.name
const counts = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1)

describe('behind a balancer that picks any relay for each request', () => {
  test.each<[string, string[], string]>([
    ['polling only', ['polling'], 'polling'],
    ['polling, then upgraded', ['polling', 'websocket'], 'websocket'],
    ['websocket only', ['websocket'], 'websocket'],
  ])('%s works: events in order, commands answered', async (_name, transports, ends) => {
    const sub = newUser()
    const clients = await Promise.all(
      counts(6).map(() => stage.authorized({ at: balancer.url, transports }, sub)),
    )
    await expect
      .poll(() => clients.map(transportOf), { timeout: 15_000 })
      .toEqual(clients.map(() => ends))
    for (const n of counts(20)) await stage.tell(sub, notice(n))
    await expect.poll(() => clients.map(numbers)).toEqual(clients.map(() => counts(20)))
    const answer: unknown = await clients[0]!.socket.emitWithAck('market.subscribe', {
      symbols: ['AAPL'],
    })
    expect(answer).toMatchObject({ ok: true, symbols: ['AAPL'] })
    expect(clients.flatMap((client) => client.closed)).toEqual([])
    for (const client of clients) client.socket.disconnect()
  })

  test('a relay stops - its clients are closed with a reason, and lose nothing elsewhere', async () => {
    const user = newUser()
    const leaving = await stage.another()
    const shared = [leaving]
    await using own = await startBalancer(shared)
    const reconnection = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 100 }
    const clients = await Promise.all(
      [['polling'], ['websocket'], ['polling', 'websocket']].map(async (transports) => {
        const auth = { token: await signed({ sub: user }), lastEventId: '' }
        const client = await stage.authorized(
          { at: own.url, transports, auth, ...reconnection },
          user,
        )
        client.socket.on(
          'broker.connected',
          (_payload, meta: { id: string }) => (auth.lastEventId = meta.id),
        )
        return client
      }),
    )
    for (const n of counts(5)) await stage.tell(user, notice(n))
    await expect.poll(() => clients.map(numbers)).toEqual(clients.map(() => counts(5)))
    shared.push(...relays)
    const telling = (async () => {
      for (let n = 6; n <= 40; n += 1) await stage.tell(user, notice(n))
    })()
    const stopping = leaving[Symbol.asyncDispose]()
    await stopping
    shared.shift()
    await telling
    await expect
      .poll(() => clients.map(numbers), { timeout: 15_000 })
      .toEqual(clients.map(() => counts(40)))
    for (const client of clients)
      expect(payloadsOf(client, 'connection.closed').map(({ reason }) => reason)).toEqual([
        'server_shutdown',
      ])
  })
})

describe('a session id', () => {
  const ask = (relay: Relay, sid: string, headers: Record<string, string> = {}) =>
    fetch(`${relay.url}/socket.io/?EIO=4&transport=polling&sid=${sid}`, { headers })

  /** The owner and the rest of a session that is open at a relay. */
  async function open(relay: Relay): Promise<string> {
    const text = await (await fetch(`${relay.url}/socket.io/?EIO=4&transport=polling`)).text()
    return (JSON.parse(text.slice(1)) as { sid: string }).sid
  }

  test.each([
    ['of a relay that is not there', 'nobodyAtHome.abc'],
    ['that is an address', '127.0.0.1:6379.abc'],
    ['that is a path', '..%2F..%2Fetc.abc'],
    ['of an object’s insides', '__proto__.constructor'],
    ['without an owner', 'abc'],
    ['that is empty at the end', 'nobodyAtHome.'],
  ])('%s is unknown: the client starts over', async (_name, sid) => {
    const answer = await ask(relays[0]!, sid)
    expect(answer.status).toBe(400)
    expect(await answer.json()).toMatchObject({ code: 1 })
  })

  test('of another relay is served there, also for an answer slower than idle timeouts', async () => {
    const sid = await open(relays[0]!)
    for (const relay of relays)
      expect((await ask(relay, `${sid.split('.')[0]}.x`)).status).toBe(400)
    const answer = await ask(relays[1]!, sid) // held until the relay gives up on a client that does not say who it is
    expect([answer.status, await answer.text()]).toEqual([200, '1'])
  })

  test('with a hop header that no relay wrote is not served', async () => {
    const sid = await open(relays[0]!)
    for (const relay of relays.slice(0, 2)) {
      const answer = await ask(relay, sid, { 'x-fillcast-hop': 'let me in' })
      expect([400, 404]).toContain(answer.status)
    }
  })

  test('of a crashed relay is unknown within seconds, and its record makes no loop', async () => {
    const redis = stage.redis.connect()
    const { port } = relays[1]!
    // A record that leads back to a relay which does not own it, under the key of no relay.
    await redis.set(
      'relay:ghost',
      JSON.stringify({ host: '127.0.0.1', port, hopKey: 'stale' }),
      'PX',
      60_000,
    )
    expect((await ask(relays[0]!, 'ghost.abc')).status).toBeGreaterThanOrEqual(400)
    await redis.set(
      'relay:dead',
      JSON.stringify({ host: '127.0.0.1', port: 1, hopKey: 'k' }),
      'PX',
      60_000,
    )
    const answer = await ask(relays[0]!, 'dead.abc')
    expect([answer.status, await answer.json()]).toMatchObject([400, { code: 1 }])
  })
})

describe('the registry', () => {
  test('lists the live relays, and drops one that stops', async () => {
    const redis = stage.redis.connect()
    const before = (await redis.keys('relay:*')).length
    const relay = await stage.another()
    expect(await redis.keys('relay:*')).toHaveLength(before + 1)
    await relay[Symbol.asyncDispose]()
    expect(await redis.keys('relay:*')).toHaveLength(before)
    for (const key of await redis.keys('relay:*'))
      if (!/ghost|dead/.test(key)) expect(await redis.pttl(key)).toBeLessThanOrEqual(15_000)
  })
})
