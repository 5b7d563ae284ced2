import { SignJWT, UnsecuredJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { serverEvents } from '#contract'
import { adopt, dec } from '#domain'
import { ConfigError } from '#runtime'
import { readRelayConfig } from '../../relay/config.ts'
import { notice, numbers, SECRET, signed, Stage } from './harness.ts'
import { readingOf } from '../domain/orders.ts'

let stage: Stage
beforeAll(async () => {
  stage = await Stage.open({ RELAY_CORS_ORIGINS: 'http://app.example' })
})
afterAll(() => stage[Symbol.asyncDispose]())

let users = 0
const newUser = (): string => `relay-user-${(users += 1)}`

describe('authorization', () => {
  test.each(['websocket', 'polling'])('a valid token over %s is authorized', async (transport) => {
    const client = await stage.authorized({ transports: [transport] })
    const [, payload] = client.heard[0]!
    expect(serverEvents['connection.authorized'].schema.parse(payload)).toMatchObject({
      userId: 'alice',
    })
    expect((payload as { sessionId: string }).sessionId).toMatch(/^ws_/)
  })

  test('auth.token works as ?token= does', async () => {
    await stage.authorized({ query: {}, auth: { token: await signed() } })
  })

  const key = new TextEncoder().encode(SECRET)
  const unsigned = (jti: string): UnsecuredJWT =>
    new UnsecuredJWT({ aud: 'fillcast', jti }).setSubject('alice')
  const hs = (alg: string, jti: string): SignJWT =>
    new SignJWT({ aud: 'fillcast', jti }).setProtectedHeader({ alg })
  /** Each asked for a token of its own, because a refused one is remembered. */
  const bad: Record<string, (jti: string) => Promise<string>> = {
    'a forged signature': (jti) => signed({ jti }, 'another secret of thirty-two bytes!!'),
    'an expired token': (jti) => signed({ jti, exp: Math.floor(Date.now() / 1000) - 60 }),
    'alg none': async (jti) => unsigned(jti).setExpirationTime('1h').encode(),
    'another audience': (jti) => signed({ jti, aud: 'somebody-else' }),
    'another algorithm': (jti) =>
      hs('HS512', jti).setSubject('alice').setExpirationTime('1h').sign(key),
    'no expiry': (jti) => hs('HS256', jti).setSubject('alice').sign(key),
    'no subject': (jti) => hs('HS256', jti).setExpirationTime('1h').sign(key),
    'a subject that breaks keys': (jti) => signed({ jti, sub: 'alice}#' }),
    'no token but words': async (jti) => `let me in by ${jti}`,
  }
  const ways = Object.keys(bad).flatMap((name) => [
    [name, 'query'] as const,
    [name, 'auth'] as const,
  ])
  test.each(ways)(
    '%s in %s gets one connection.error, then the close, and no event',
    async (name, place) => {
      const token = await bad[name]!(place)
      const client = stage.connect(place === 'query' ? { query: { token } } : { auth: { token } })
      await expect.poll(() => client.closed).toEqual(['transport close'])
      await stage.tell('alice', notice(1))
      expect(client.names()).toEqual(['connection.error'])
      const told = serverEvents['connection.error'].schema.parse(client.heard[0]![1])
      expect(told).toMatchObject({ error: 'AUTHENTICATION_FAILED' })
    },
  )

  test('a refused token is turned away unread when it comes again', async () => {
    const token = await signed({ aud: 'again' })
    const first = stage.connect({ query: { token } })
    await expect.poll(() => first.names()).toEqual(['connection.error'])
    const second = stage.connect({ query: { token } })
    await expect.poll(() => second.closed).toEqual(['websocket error'])
    expect(second.heard).toEqual([])
  })

  test('a page of another origin is refused, our own page is not', async () => {
    const token = await signed()
    const foreign = stage.connect({
      query: { token },
      extraHeaders: { origin: 'http://evil.example' },
    })
    await expect.poll(() => foreign.closed).toEqual(['websocket error'])
    await stage.authorized({ extraHeaders: { origin: 'http://app.example' } })
  })

  test('the relay’s own host as origin is accepted, for pages and other clients', async () => {
    for (const transports of [['websocket'], ['polling']])
      await stage.authorized({ transports, extraHeaders: { origin: stage.relay.url } })
  })

  test('a refused origin is logged once, with the setting that would allow the origin', async () => {
    const refuse = async (origin: string): Promise<void> => {
      const client = stage.connect({ extraHeaders: { origin } })
      await expect.poll(() => client.closed).toEqual(['websocket error'])
    }
    for (const origin of ['http://one.example', 'http://two.example', 'http://one.example'])
      await refuse(origin)
    const lines = stage.logged.filter(
      (line) => line.includes('origin.refused') && line.includes('one.example'),
    )
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain('"setting":"RELAY_CORS_ORIGINS"')
  })
})

describe('events of a connection', () => {
  test('two devices of a user get the same events in order; another user gets none', async () => {
    const user = newUser()
    const [laptop, phone, other] = await Promise.all([
      stage.authorized({}, user),
      stage.authorized({ transports: ['polling'] }, user),
      stage.authorized({}, newUser()),
    ])
    for (let n = 0; n < 20; n += 1) await stage.tell(user, notice(n))
    const all = Array.from({ length: 20 }, (_, n) => n)
    await expect.poll(() => [numbers(laptop), numbers(phone)]).toEqual([all, all])
    expect(other.names()).toEqual(['connection.authorized'])
  })

  test('one argument for a plain client; the event id as a second one on request', async () => {
    const user = newUser()
    const plain = await stage.authorized({}, user)
    const asking = await stage.authorized(
      { auth: { token: await signed({ sub: user }), lastEventId: '' } },
      user,
    )
    const id = await stage.tell(user, notice(1))
    await expect.poll(() => [numbers(plain), numbers(asking)]).toEqual([[1], [1]])
    expect(plain.heard.at(-1)).toHaveLength(2)
    expect(asking.heard.at(-1)![2]).toEqual({ id, prev: '0000000000000-00000' })
  })

  test('a message that Redis dropped is read from the log, once and in its place', async () => {
    const user = newUser()
    const client = await stage.authorized({}, user)
    const connection = stage.redis.connect()
    await stage.tell(user, notice(1))
    await expect.poll(() => numbers(client)).toEqual([1])
    await connection.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await stage.tell(user, notice(2), notice(3))
    await stage.tell(user, notice(4))
    await expect.poll(() => numbers(client)).toEqual([1, 2, 3, 4])
  })

  test('bytes that are no packet harm no client', async () => {
    const user = newUser()
    const client = await stage.authorized({}, user)
    const connection = stage.redis.connect()
    const channel = `socket.io#/#user:${user}#`
    for (const bytes of ['', 'x', '\xc1', '{"a":1}', '\x93\x01\x02\x03']) {
      await connection.publish(channel, Buffer.from(bytes, 'latin1'))
      await connection.publish('socket.io#/#', Buffer.from(bytes, 'latin1'))
    }
    await stage.tell(user, notice(1))
    await expect.poll(() => numbers(client)).toEqual([1])
  })
})

describe('coming back', () => {
  test('with lastEventId: every later event once, in order', async () => {
    const user = newUser()
    const from = await stage.tell(user, notice(1))
    await stage.tell(user, notice(2), notice(3))
    const client = await stage.authorized(
      { auth: { token: await signed({ sub: user }), lastEventId: from } },
      user,
    )
    await stage.tell(user, notice(4))
    await expect.poll(() => numbers(client)).toEqual([2, 3, 4])
    expect(client.heard[0]![1]).toMatchObject({ lastEventId: from })
  })

  test.each([
    ['an id that the log does not have', '1600000000000-00000'],
    ['an id from the future', '9999999999999-00000'],
    ['words', 'yesterday'],
    ['an object', { $gt: '' }],
  ])('with %s: resync, the whole state, then later events', async (_name, lastEventId) => {
    const user = newUser()
    await stage.tell(user, notice(1))
    const client = await stage.authorized(
      { auth: { token: await signed({ sub: user }), lastEventId } },
      user,
    )
    await expect
      .poll(() => client.names())
      .toEqual(['connection.authorized', 'state.resync', 'state.sync'])
    await stage.tell(user, notice(2))
    await expect.poll(() => numbers(client)).toEqual([2])
  })

  test('a long absence is replayed in full', async () => {
    const user = newUser()
    const from = await stage.tell(user, notice(0))
    for (let n = 1; n <= 500; n += 100)
      await stage.tell(user, ...Array.from({ length: 100 }, (_, i) => notice(n + i)))
    const client = await stage.authorized(
      { auth: { token: await signed({ sub: user }), lastEventId: from } },
      user,
    )
    await expect.poll(() => numbers(client)).toEqual(Array.from({ length: 500 }, (_, i) => i + 1))
  })
})

describe('state.requestSync', () => {
  test('answers with the state and its place in the log', async () => {
    const user = newUser()
    const { account } = adopt('c1', readingOf({ cash: dec('1000.5') }))
    const fence = { kind: 'version' } as const
    await stage.store.commit(user, {
      expectVersion: '0',
      fence,
      writes: [{ kind: 'account', account }],
      events: [notice(1)],
    })
    const client = await stage.authorized({}, user)
    client.socket.emit('state.requestSync', {})
    await expect.poll(() => client.names()).toContain('state.sync')
    const sync = serverEvents['state.sync'].schema.parse(client.heard.at(-1)![1])
    expect(sync).toMatchObject({
      portfolio: { totalValue: 1000.5, cashBalance: 1000.5, positionsValue: 0 },
      positions: [],
      pendingTrades: [],
    })
    expect(sync.lastEventId).toBe((client.heard[0]![1] as { lastEventId: string }).lastEventId)
  })

  test('sends only the requested parts, and names the error of a bad request', async () => {
    const client = await stage.authorized({}, newUser())
    expect(await client.socket.emitWithAck('state.requestSync', { syncTypes: ['trades'] })).toEqual(
      { ok: true },
    )
    expect(Object.keys(client.heard.at(-1)![1] as object).sort()).toEqual([
      'lastEventId',
      'pendingTrades',
      'timestamp',
    ])
    expect(
      await client.socket.emitWithAck('state.requestSync', { syncTypes: ['everything'] }),
    ).toMatchObject({
      ok: false,
      error: 'INVALID_PAYLOAD',
    })
  })

  test('never overlaps with the events around it', async () => {
    const user = newUser()
    const client = await stage.authorized({}, user)
    const telling = (async () => {
      for (let n = 1; n <= 60; n += 1) await stage.tell(user, notice(n))
    })()
    for (let i = 0; i < 5; i += 1) await client.socket.emitWithAck('state.requestSync')
    await telling
    await expect.poll(() => numbers(client)).toEqual(Array.from({ length: 60 }, (_, n) => n + 1))
  })
})

describe('market data', () => {
  test('a subscription is passed to the market worker, and brings the last quote', async () => {
    const quote = {
      symbol: 'AAPL',
      bid: 1,
      ask: 2,
      last: 1.5,
      volume: 3,
      change: 0,
      changePercent: 0,
      timestamp: '2024-03-15T14:00:00.000Z',
    }
    await stage.redis.connect().hset('quotes', 'AAPL', JSON.stringify(quote))
    const client = await stage.authorized({}, newUser())
    expect(
      await client.socket.emitWithAck('market.subscribe', { symbols: ['AAPL', 'BTC/USD'] }),
    ).toEqual({
      ok: true,
      symbols: ['AAPL', 'BTC/USD'],
      subscribed: ['AAPL', 'BTC/USD'],
      refused: [],
    })
    await expect.poll(() => client.heard.at(-1)).toEqual(['market.quote', quote])
    await expect
      .poll(() => stage.redis.connect().zrange('demand', 0, -1))
      .toEqual(['AAPL', 'BTC/USD'])
    expect(await client.socket.emitWithAck('market.unsubscribe', { symbols: ['AAPL'] })).toEqual({
      ok: true,
      symbols: ['BTC/USD'],
    })
  })

  test.each([
    [{ symbols: ['aapl'] }, 'INVALID_PAYLOAD'],
    [{ symbols: [] }, 'INVALID_PAYLOAD'],
    [{ symbols: ['user:bob'] }, 'INVALID_PAYLOAD'],
    [{ symbols: Array.from({ length: 101 }, (_, i) => `S${i}`) }, 'INVALID_PAYLOAD'],
    ['AAPL', 'INVALID_PAYLOAD'],
    [null, 'INVALID_PAYLOAD'],
  ])('%j is refused', async (payload, error) => {
    const client = await stage.authorized({}, newUser())
    expect(await client.socket.emitWithAck('market.subscribe', payload)).toMatchObject({
      ok: false,
      error,
    })
  })

  test('at most 100 symbols a connection', async () => {
    const client = await stage.authorized({}, newUser())
    const symbols = (prefix: string, n: number) =>
      Array.from({ length: n }, (_, i) => `${prefix}${i}`)
    await client.socket.emitWithAck('market.subscribe', { symbols: symbols('A', 60) })
    expect(
      await client.socket.emitWithAck('market.subscribe', { symbols: symbols('B', 60) }),
    ).toMatchObject({
      ok: false,
      error: 'TOO_MANY_SYMBOLS',
    })
  })
})

describe('messages of a client', () => {
  test('names that are no commands are ignored', async () => {
    const client = await stage.authorized({}, newUser())
    for (const event of [
      '__proto__',
      'constructor',
      'toString',
      '0',
      'connection.authorized',
      'join',
    ])
      client.socket.emit(event, { room: 'user:bob' })
    expect(
      await client.socket.emitWithAck('market.subscribe', { symbols: ['AAPL'] }),
    ).toMatchObject({ ok: true })
    expect(
      client
        .names()
        .slice(1)
        .every((event) => event === 'market.quote'),
    ).toBe(true)
  })

  test('a message over the limit closes its own connection only', async () => {
    const [client, other] = await Promise.all([
      stage.authorized({}, newUser()),
      stage.authorized({}, newUser()),
    ])
    client.socket.emit('market.subscribe', { symbols: ['A'.repeat(20_000)] })
    await expect.poll(() => client.closed).toEqual(['transport close'])
    expect(other.closed).toEqual([])
  })
})

describe('tokens that end', () => {
  test('a short one is announced at once, and its connection closes at the expiry', async () => {
    const exp = Math.floor(Date.now() / 1000) + 2
    const client = stage.connect({ query: { token: await signed({ sub: newUser(), exp }) } })
    await expect.poll(() => client.closed, { timeout: 10_000 }).toEqual(['transport close'])
    expect(client.names()).toEqual(['connection.authorized', 'token.expiring', 'connection.closed'])
    expect(client.heard[2]![1]).toMatchObject({ reason: 'token_expired' })
    serverEvents['token.expiring'].schema.parse(client.heard[1]![1])
  })
})

describe('drain', () => {
  test('informs every client, closes, and leaves them free to reconnect', async () => {
    await using own = await Stage.open()
    const client = await own.authorized()
    await own.relay[Symbol.asyncDispose]()
    await expect.poll(() => client.closed).toEqual(['transport close'])
    expect(client.heard.at(-1)).toMatchObject(['connection.closed', { reason: 'server_shutdown' }])
  })
})

describe('configuration', () => {
  const base = { REDIS_URL: 'redis://127.0.0.1:6379', JWT_HS256_SECRET: SECRET }
  test.each([
    [{ JWT_HS256_SECRET: 'short' }, ['JWT_HS256_SECRET']],
    [{ JWT_HS256_SECRET: '' }, ['JWT_HS256_SECRET or JWT_JWKS_URL']],
    [{ JWT_JWKS_URL: 'https://auth.example/jwks' }, ['exactly one']],
    [
      {
        REDIS_URL: 'localhost',
        RELAY_PORT: '99999',
        RELAY_CORS_ORIGINS: '*',
        RELAY_TRUSTED_PROXIES: '10.0.0.0/33',
      },
      ['REDIS_URL', 'RELAY_PORT', 'RELAY_CORS_ORIGINS', 'RELAY_TRUSTED_PROXIES'],
    ],
  ])('%j is refused, naming every error', (change, named) => {
    const read = (): unknown => readRelayConfig({ ...base, ...change })
    expect(read).toThrow(ConfigError)
    for (const name of named) expect(read).toThrow(name)
  })
})
