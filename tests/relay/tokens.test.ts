import { describe, expect, test } from 'vitest'
import { CLOCK_TOLERANCE_MS } from '#auth'
import { type Client, payloadsOf, signed, Stage } from './harness.ts'

const nowS = (): number => Math.floor(Date.now() / 1_000)
const DAY_S = 86_400
const closed = (client: Client) =>
  payloadsOf(client, 'connection.closed').map(({ reason }) => reason)

describe('a token that ends', () => {
  test('in thirty days, or in thousands of years, ends nothing now', async () => {
    await using stage = await Stage.open()
    const of = async (exp: number) => stage.authorized({ query: { token: await signed({ exp }) } })
    const clients = [await of(nowS() + 30 * DAY_S), await of(nowS() + 3_000 * 365 * DAY_S)]
    stage.clock.aheadMs = 29 * DAY_S * 1_000
    const short = await of(nowS() + 29 * DAY_S + 100) // shows that the relay has looked since
    await expect.poll(() => short.names()).toContain('token.expiring')
    expect(clients.flatMap((client) => [...client.closed, ...client.names()])).toEqual(
      clients.map(() => 'connection.authorized'),
    )
  })

  test('is announced five minutes before, once, and closes its connection on time', async () => {
    await using stage = await Stage.open()
    const client = await stage.authorized({
      query: { token: await signed({ exp: nowS() + DAY_S }) },
    })
    stage.clock.aheadMs = (DAY_S - 300) * 1_000
    await expect.poll(() => payloadsOf(client, 'token.expiring')).toHaveLength(1)
    const { expiresIn, message } = payloadsOf(client, 'token.expiring')[0]!
    expect(expiresIn).toBeGreaterThan(295)
    expect(expiresIn).toBeLessThanOrEqual(300)
    expect(message).toBe('Token expires in 5 minutes')
    stage.clock.aheadMs = DAY_S * 1_000 + CLOCK_TOLERANCE_MS
    await expect.poll(() => closed(client)).toEqual(['token_expired'])
    await expect.poll(() => client.closed).toEqual(['transport close']) // a plain client comes back after this one
    expect(payloadsOf(client, 'token.expiring')).toHaveLength(1)
  })
})

describe('a token that expired as long ago as clocks may differ', () => {
  test(
    'is valid for handshakes and connections, then for neither',
    { timeout: 20_000 },
    async () => {
      await using stage = await Stage.open()
      const token = await signed({ exp: nowS() + 60, jti: 'late' })
      stage.clock.aheadMs = 62_000
      const client = await stage.authorized({ query: { token } })
      const lastsMs = performance.now() + 1_500 // the relay looks once a second
      await expect.poll(() => performance.now() > lastsMs, { timeout: 5_000 }).toBe(true)
      expect([...closed(client), ...client.closed]).toEqual([])
      stage.clock.aheadMs = 60_000 + CLOCK_TOLERANCE_MS
      await expect.poll(() => closed(client)).toEqual(['token_expired'])
      const again = stage.connect({ query: { token } })
      await expect
        .poll(() => payloadsOf(again, 'connection.error'))
        .toMatchObject([{ message: 'JWT token expired' }])
    },
  )
})

describe('the text of token.expiring', () => {
  test.each([
    [200, /^Token expires in 3 minutes$/],
    [75, /^Token expires in 1 minute$/],
    [30, /^Token expires in (30|2\d) seconds$/],
  ])('%i seconds before the end name the remaining time', async (seconds, words) => {
    await using stage = await Stage.open()
    const client = await stage.authorized({
      query: { token: await signed({ exp: nowS() + DAY_S }) },
    })
    stage.clock.aheadMs = (DAY_S - seconds) * 1_000
    await expect.poll(() => payloadsOf(client, 'token.expiring')).toHaveLength(1)
    const { expiresIn, message } = payloadsOf(client, 'token.expiring')[0]!
    expect(message).toMatch(words)
    if (expiresIn < 60) expect(message).toContain(` ${expiresIn} second`)
  })
})

describe('a token', () => {
  test('is in no log line and no answer, valid or not, in any place', async () => {
    await using stage = await Stage.open()
    const good = [await signed({ jti: 'a' }), await signed({ jti: 'b' })]
    const bad = [await signed({ aud: 'c' }), await signed({ aud: 'd' })]
    const headers = { authorization: `Bearer ${good[0]}`, cookie: `token=${good[0]}` }
    await stage.authorized({
      query: { token: good[0] },
      extraHeaders: headers,
      transports: ['polling'],
    })
    await stage.authorized({ query: {}, auth: { token: good[1] } })
    const refused = [
      stage.connect({ query: { token: bad[0] } }),
      stage.connect({ auth: { token: bad[1] }, transports: ['polling'] }),
    ]
    await expect
      .poll(() => refused.flatMap((client) => payloadsOf(client, 'connection.error')))
      .toHaveLength(2)
    const said = [
      ...stage.logged,
      ...refused.flatMap((client) => JSON.stringify(client.heard)),
    ].join('\n')
    expect(said).toContain('connection.refused')
    for (const token of [...good, ...bad])
      for (const part of token.split('.').slice(1)) expect(said).not.toContain(part)
  })
})

describe('a client with a wrong token or none, left alone with default settings', () => {
  test.concurrent.each([
    ['?token=', 'websocket', (token: string) => ({ query: { token } })],
    ['?token=', 'polling', (token: string) => ({ query: { token } })],
    ['auth.token', 'websocket', (token: string) => ({ auth: { token } })],
    ['auth.token', 'polling', (token: string) => ({ auth: { token } })],
    ['no place', 'websocket', () => ({})],
  ])(
    'in %s over %s makes fewer than 20 attempts in a minute',
    { timeout: 90_000 },
    async (_place, transport, how) => {
      await using stage = await Stage.open()
      const token = await signed({ aud: `${transport} ${JSON.stringify(how(''))}` })
      const client = stage.connect({ ...how(token), transports: [transport], reconnection: true })
      let attempts = 1
      client.socket.io.on('reconnect_attempt', () => (attempts += 1))
      // A refusal is remembered for a minute: an attempt right after it would get the error once
      // more.
      const untilMs = performance.now() + 57_000
      await expect
        .poll(() => performance.now() >= untilMs, { timeout: 70_000, interval: 1_000 })
        .toBe(true)
      expect(attempts).toBeGreaterThan(3) // it does go on trying
      expect(attempts).toBeLessThan(20)
      expect(payloadsOf(client, 'connection.error').map(({ error }) => error)).toEqual([
        'AUTHENTICATION_FAILED',
      ])
    },
  )
})
