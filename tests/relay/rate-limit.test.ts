import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Relay } from '../../relay/server.ts'
import { type Client, counted, notice, numbers, payloadsOf, signed, Stage } from './harness.ts'

let stage: Stage
let second: Relay
beforeAll(async () => {
  stage = await Stage.open()
  second = await stage.another()
})
afterAll(() => stage[Symbol.asyncDispose]())

let users = 0
const newUser = (): string => `rate-user-${(users += 1)}`
const failed = (client: Client) => payloadsOf(client, 'connection.error').map(({ error }) => error)
const send = async (client: Client, times: number): Promise<void> => {
  for (let i = 0; i < times; i += 1)
    await client.socket.emitWithAck('market.unsubscribe', { symbols: ['AAPL'] })
}

describe('messages a minute', () => {
  test('warns from the eighth with the true count, closes at the eleventh with a reason', async () => {
    const user = newUser()
    const client = await stage.authorized({}, user)
    const startedMs = Date.now()
    await send(client, 10)
    const warnings = payloadsOf(client, 'error.rateLimitWarning')
    expect(warnings.map(({ limit, current }) => [limit, current])).toEqual([
      [10, 8],
      [10, 9],
      [10, 10],
    ])
    for (const { resetAt } of warnings) {
      expect(Date.parse(resetAt)).toBeGreaterThan(startedMs + 55_000)
      expect(Date.parse(resetAt)).toBeLessThanOrEqual(Date.now() + 60_000)
    }
    client.socket.emit('market.unsubscribe', { symbols: ['AAPL'] })
    await expect.poll(() => client.closed).toEqual(['transport close'])
    expect(client.heard.at(-1)).toMatchObject([
      'connection.error',
      { error: 'RATE_LIMIT_EXCEEDED' },
    ])
  })

  test('every message counts, also an unknown one', async () => {
    const client = await stage.authorized({}, newUser())
    for (let i = 0; i < 11; i += 1) client.socket.emit(`nonsense-${i}`, i)
    await expect.poll(() => failed(client)).toEqual(['RATE_LIMIT_EXCEEDED'])
  })

  test('a flood in one turn is not carried out beyond the limit', async () => {
    const client = await stage.authorized({}, newUser())
    let answered = 0
    for (let i = 0; i < 100; i += 1)
      client.socket.emit('market.unsubscribe', { symbols: ['AAPL'] }, () => (answered += 1))
    await expect.poll(() => client.closed).toHaveLength(1)
    expect(answered).toBeLessThanOrEqual(10)
    expect(failed(client)).toEqual(['RATE_LIMIT_EXCEEDED'])
  })

  test('reconnects and other relays do not reset it, and the cooldown holds everywhere', async () => {
    const user = newUser()
    const token = await signed({ sub: user, sid: 's1' })
    const first = await stage.authorized({ query: { token } })
    await send(first, 6)
    first.socket.disconnect()
    const next = await stage.authorized({ query: { token }, at: second.url })
    await send(next, 4)
    expect(payloadsOf(next, 'error.rateLimitWarning').map(({ current }) => current)).toEqual([
      8, 9, 10,
    ])
    next.socket.emit('anything')
    await expect.poll(() => failed(next)).toEqual(['RATE_LIMIT_EXCEEDED'])
    // At the relay that closed it: turned away unread. At the other relay: one error, in no room,
    // then turned away unread.
    const here = stage.connect({ query: { token }, at: second.url })
    await expect.poll(() => here.closed).toEqual(['websocket error'])
    const there = stage.connect({ query: { token } })
    await expect.poll(() => there.names()).toEqual(['connection.error'])
    expect(failed(there)).toEqual(['RATE_LIMIT_EXCEEDED'])
    const thereAgain = stage.connect({ query: { token } })
    await expect.poll(() => thereAgain.closed).toEqual(['websocket error'])
  })

  test('other sessions of the user and open connections of the session stay open', async () => {
    const user = newUser()
    const of = async (sid: string) =>
      stage.authorized({ query: { token: await signed({ sub: user, sid }) } })
    const loud = await of('s1')
    const quiet = await of('s1')
    const other = await of('s2')
    await send(loud, 10)
    loud.socket.emit('anything')
    await expect.poll(() => failed(loud)).toEqual(['RATE_LIMIT_EXCEEDED'])
    await stage.tell(user, notice(1))
    await expect.poll(() => [numbers(quiet), numbers(other)]).toEqual([[1], [1]])
    await send(other, 1)
  })

  test('a cap of the user limits all sessions together', async () => {
    const user = newUser()
    const clients: Client[] = []
    for (let n = 0; n < 7; n += 1) {
      const token = await signed({ sub: user, jti: `t${n}` })
      clients.push(await stage.authorized({ query: { token } }))
    }
    for (const client of clients.slice(0, 6)) await send(client, 10)
    expect(payloadsOf(clients[5]!, 'error.rateLimitWarning').at(-1)).toMatchObject({
      limit: 10,
      current: 10,
    })
    clients[6]!.socket.emit('anything')
    await expect.poll(() => failed(clients[6]!)).toEqual(['RATE_LIMIT_EXCEEDED'])
    const barred = stage.connect({ query: { token: await signed({ sub: user, jti: 'new' }) } })
    await expect.poll(() => failed(barred)).toEqual(['RATE_LIMIT_EXCEEDED'])
  })

  test('auth.symbols watches without a message', async () => {
    const user = newUser()
    await stage.redis.connect().hset('quotes', 'TSLA', JSON.stringify({ symbol: 'TSLA' }))
    const client = await stage.authorized({ auth: { symbols: ['TSLA', 'BTC/USD'] } }, user)
    await expect.poll(() => client.names()).toEqual(['connection.authorized', 'market.quote'])
    await send(client, 7)
    expect(client.names()).not.toContain('error.rateLimitWarning')
    expect(
      await client.socket.emitWithAck('market.subscribe', { symbols: ['TSLA'] }),
    ).toMatchObject({
      ok: true,
      symbols: ['TSLA', 'BTC/USD'],
    })
  })
})

describe('while Redis does not answer', () => {
  test('waiting messages are bounded: the eleventh closes its connection', async () => {
    await using own = await Stage.open()
    const client = await own.authorized()
    process.kill(own.redis.pid, 'SIGSTOP')
    try {
      for (let n = 0; n < 10; n += 1)
        client.socket.emit('market.unsubscribe', { symbols: ['AAPL'] })
      const other = own.connect({}) // its error shows that the relay has received the ten
      await expect.poll(() => failed(other)).toHaveLength(1)
      expect(failed(client)).toEqual([])
      client.socket.emit('market.unsubscribe', { symbols: ['AAPL'] })
      await expect.poll(() => failed(client), { timeout: 3_000 }).toEqual(['RATE_LIMIT_EXCEEDED'])
    } finally {
      process.kill(own.redis.pid, 'SIGCONT')
    }
  })
})

describe('while Redis is away', () => {
  test('five a minute, warned at the fourth, and a metric shows it', async () => {
    await using own = await Stage.open()
    const client = await own.authorized()
    await own.redis.kill()
    for (let i = 0; i < 5; i += 1) client.socket.emit('nonsense')
    await expect
      .poll(() => payloadsOf(client, 'error.rateLimitWarning'))
      .toMatchObject([
        { limit: 5, current: 4 },
        { limit: 5, current: 5 },
      ])
    expect(await counted(own.relay, 'fillcast_relay_rate_limit_fallback_total')).toBe(5)
    client.socket.emit('nonsense')
    await expect.poll(() => failed(client)).toEqual(['RATE_LIMIT_EXCEEDED'])
    await own.redis.restart()
  })
})
