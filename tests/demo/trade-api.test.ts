import { randomBytes } from 'node:crypto'
import { decodeJwt, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTradeApi, type TradeApiOptions } from '../../src/apps/demo/trade-api.ts'
import { queues, type TokenClaims } from '#contract'
import { createProducer, type Producer } from '#producer'
import { createLogger } from '#runtime'
import { createSessions } from '#store'
import { Queue } from 'bullmq'
import { startRedis, type TestRedis } from '../support/redis.ts'

const jwt = { secret: randomBytes(32).toString('base64url'), issuer: 'demo', audience: 'fillcast' }
const log = createLogger('test', 'silent')
let redis: TestRedis
let producer: Producer
let api: AsyncDisposable & { url: string }
let orders: Queue

beforeAll(async () => {
  redis = await startRedis()
  const vaultKeys = [{ kid: 'k', key: new Uint8Array(32) }]
  producer = await createProducer({ redisUrl: redis.url, vaultKeys, log })
  const users: TradeApiOptions['users'] = [
    { userId: 'u-alice', name: 'alice', password: 'demo', connectionId: 'broker_alice' },
    { userId: 'u-bob', name: 'bob', password: 'other', connectionId: 'broker_bob' },
    { userId: 'u-carol', name: 'carol', password: 'third', connectionId: 'broker_carol' },
    { userId: 'u-dave', name: 'dave', password: 'fourth', connectionId: 'broker_dave' },
  ]
  const urls = { relayUrl: 'http://127.0.0.1:9', dashboardUrl: 'http://127.0.0.1:9' }
  api = await startTradeApi({ port: 0, producer, jwt, users, urls, log })
  orders = new Queue(queues.orders.name, {
    connection: redis.connect(),
    prefix: queues.orders.prefix,
  })
})
afterAll(async () => {
  await orders.close()
  await api[Symbol.asyncDispose]()
  await producer[Symbol.asyncDispose]()
  await redis.stop()
})

type Answer = { status: number; body: Record<string, unknown>; headers: Headers }
async function ask(method: string, path: string, body?: unknown, token?: string): Promise<Answer> {
  const response = await fetch(api.url + path, {
    method,
    headers: {
      'content-type': 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  return {
    status: response.status,
    body: (await response.json().catch(() => ({}))) as Record<string, unknown>,
    headers: response.headers,
  }
}
const logIn = async (username = 'alice', password = 'demo'): Promise<string> =>
  (await ask('POST', '/auth/login', { username, password })).body['token'] as string
const jobOf = async (tradeId: string): Promise<unknown> =>
  (await orders.getJobs(['waiting', 'delayed', 'prioritized'])).find(
    ({ data }) => (data as { tradeId: string }).tradeId === tradeId,
  )?.data

describe('login', () => {
  test('a token names the user and its login; a refreshed token keeps the login', async () => {
    const { status, body } = await ask('POST', '/auth/login', {
      username: 'alice',
      password: 'demo',
    })
    expect([status, body['expiresIn'], body['user']]).toEqual([
      200,
      900,
      { id: 'u-alice', name: 'alice' },
    ])
    const first = decodeJwt(body['token'] as string)
    expect(first).toMatchObject({ sub: 'u-alice', iss: 'demo', aud: 'fillcast' })
    const again = await ask('POST', '/auth/refresh', undefined, body['token'] as string)
    const second = decodeJwt(again.body['token'] as string)
    expect(second).toMatchObject({ sub: 'u-alice', sid: first['sid'] })
    expect(second.jti).not.toBe(first.jti)
    expect(decodeJwt(await logIn())['sid']).not.toBe(first['sid'])
  })

  test('a logout bars every token of its login, and no other login of the user', async () => {
    const here = await logIn()
    const elsewhere = await logIn()
    const refreshed = (await ask('POST', '/auth/refresh', undefined, here)).body['token'] as string
    expect((await ask('POST', '/auth/logout', undefined, here)).status).toBe(204)
    const sessions = createSessions(redis.connect())
    const isBarred = async (token: string): Promise<boolean> => {
      const { sub = '', sid, iat, exp } = decodeJwt<{ sid: string }>(token)
      return (await sessions.validity({ sub, sid, iat, exp } as TokenClaims)).isBarred
    }
    expect(await Promise.all([here, refreshed, elsewhere].map(isBarred))).toEqual([
      true,
      true,
      false,
    ])
    expect((await ask('POST', '/auth/logout')).status).toBe(401)
  })

  test('a token of an ended login cannot trade, read or be refreshed', async () => {
    const here = await logIn()
    const elsewhere = await logIn()
    const order = { symbol: 'AAPL', quantity: '1' }
    expect((await ask('POST', '/auth/logout', undefined, here)).status).toBe(204)
    for (const [method, path, body] of [
      ['POST', '/auth/refresh', undefined],
      ['POST', '/auth/logout', undefined],
      ['POST', '/api/v1/trades/buy', order],
      ['GET', '/api/v1/trades/t1', undefined],
      ['DELETE', '/api/v1/trades/t1', undefined],
    ] as const) {
      const { status, body: answer } = await ask(method, path, body, here)
      expect([method, path, status, answer['error']]).toEqual([
        method,
        path,
        401,
        'UNAUTHENTICATED',
      ])
    }
    expect((await ask('POST', '/auth/refresh', undefined, elsewhere)).status).toBe(200)
  })

  test('a logout of the user bars the tokens of every login', async () => {
    const carol = await logIn('carol', 'third')
    await producer.sessions.logout({ userId: 'u-carol' })
    expect((await ask('POST', '/auth/refresh', undefined, carol)).status).toBe(401)
  })

  test.each([
    ['alice', 'wrong'],
    ['nobody', ''],
    ['alice', ''],
    ['alice', 'other'],
  ])('%s with %j cannot log in', async (username, password) => {
    expect(await ask('POST', '/auth/login', { username, password })).toMatchObject({
      status: 401,
      body: { error: 'WRONG_LOGIN' },
    })
  })

  test.each([
    ['no token', undefined],
    ['nonsense', 'x.y.z'],
    ['a token signed with another secret', 'forged'],
    ['an expired token', 'expired'],
  ])('%s opens nothing', async (_what, kind) => {
    const sign = (secret: string, exp: number): Promise<string> =>
      new SignJWT({ sid: 's' })
        .setProtectedHeader({ alg: 'HS256' })
        .setSubject('u-alice')
        .setIssuer('demo')
        .setAudience('fillcast')
        .setExpirationTime(exp)
        .sign(new TextEncoder().encode(secret))
    const nowSeconds = Math.floor(Date.now() / 1000)
    const tokens: Record<string, string> = {
      forged: await sign(randomBytes(32).toString('base64url'), nowSeconds + 60),
      expired: await sign(jwt.secret, nowSeconds - 60),
    }
    const token = kind === undefined ? undefined : (tokens[kind] ?? kind)
    for (const [method, path] of [
      ['POST', '/auth/refresh'],
      ['POST', '/api/v1/trades/buy'],
      ['GET', '/api/v1/trades/t1'],
      ['DELETE', '/api/v1/trades/t1'],
    ] as const) {
      const answer = await ask(method, path, method === 'POST' ? {} : undefined, token)
      expect(answer).toMatchObject({ status: 401, body: { error: 'UNAUTHENTICATED' } })
    }
  })

  test('guessing a password is slowed down, also with unknown names', async () => {
    for (const name of ['dave', 'mallory']) {
      const answers: Answer[] = []
      for (let tries = 0; tries < 7; tries += 1)
        answers.push(
          await ask('POST', '/auth/login', { username: name, password: `guess ${tries}` }),
        )
      expect(answers.at(-1)).toMatchObject({ status: 429, body: { error: 'TOO_MANY_LOGINS' } })
      expect(Number(answers.at(-1)?.headers.get('retry-after'))).toBeGreaterThan(0)
    }
    expect(
      await ask('POST', '/auth/login', { username: 'dave', password: 'fourth' }),
    ).toMatchObject({ status: 429 })
    expect((await ask('POST', '/auth/login', { username: 'alice', password: 'demo' })).status).toBe(
      200,
    )
  })
})

describe('trades', () => {
  test('an order is queued for the user of the token, not for a userId in the body', async () => {
    const order = {
      symbol: 'AAPL',
      quantity: '10',
      tradeId: 'mine',
      userId: 'u-bob',
      connectionId: 'broker_bob',
      side: 'sell',
    }
    const answer = await ask('POST', '/api/v1/trades/buy', order, await logIn())
    expect(answer).toMatchObject({ status: 202, body: { tradeId: 'mine', isRepeat: false } })
    expect(await jobOf('mine')).toMatchObject({
      userId: 'u-alice',
      connectionId: 'broker_alice',
      side: 'buy',
      orderType: 'market',
    })
  })

  test('a JSON number is accepted when it has lost no digits', async () => {
    const token = await logIn()
    const { body } = await ask(
      'POST',
      '/api/v1/trades/sell',
      { symbol: 'AAPL', quantity: 2.5 },
      token,
    )
    expect(await jobOf(body['tradeId'] as string)).toMatchObject({ quantity: '2.5', side: 'sell' })
    for (const quantity of [1e-9, 1e21, 0.1 + 0.2]) {
      expect(
        (await ask('POST', '/api/v1/trades/buy', { symbol: 'AAPL', quantity }, token)).body[
          'fields'
        ],
      ).toEqual(['quantity'])
    }
  })

  test('the same trade twice is one, and other parameters are a conflict', async () => {
    const token = await logIn()
    const order = { symbol: 'MSFT', quantity: '1', tradeId: 'twice' }
    await ask('POST', '/api/v1/trades/buy', order, token)
    expect((await ask('POST', '/api/v1/trades/buy', order, token)).body).toEqual({
      tradeId: 'twice',
      isRepeat: true,
    })
    const other = await ask('POST', '/api/v1/trades/buy', { ...order, quantity: '2' }, token)
    expect(other).toMatchObject({
      status: 409,
      body: { error: 'TRADE_ID_CONFLICT', fields: ['tradeId'] },
    })
  })

  test.each<[what: string, order: unknown, status: number, field: string]>([
    ['no symbol', { quantity: '1' }, 422, 'symbol'],
    ['a negative quantity', { symbol: 'AAPL', quantity: -1 }, 422, 'quantity'],
    [
      'an unknown order type',
      { symbol: 'AAPL', quantity: '1', orderType: 'hope' },
      422,
      'orderType',
    ],
    [
      'a limit order without a price',
      { symbol: 'AAPL', quantity: '1', orderType: 'limit' },
      422,
      'limitPrice',
    ],
    ['an odd trade id', { symbol: 'AAPL', quantity: '1', tradeId: '../x' }, 422, 'tradeId'],
    ['a body that is no object', [], 422, 'body'],
    ['a body that is no JSON', '{', 400, 'body'],
  ])('%s is refused, and the field is named', async (_what, order, status, field) => {
    const answer = await ask('POST', '/api/v1/trades/buy', order, await logIn())
    expect([answer.status, answer.body['error'], answer.body['fields']]).toEqual([
      status,
      'INVALID_REQUEST',
      [field],
    ])
    expect(answer.body['message']).toContain(field)
  })

  test('a cancel is queued', async () => {
    expect(await ask('DELETE', '/api/v1/trades/mine', undefined, await logIn())).toMatchObject({
      status: 202,
      body: { tradeId: 'mine' },
    })
  })

  test('a trade that no worker took yet, or of another user, is not found', async () => {
    const token = await logIn('bob', 'other')
    expect(await ask('GET', '/api/v1/trades/mine', undefined, token)).toMatchObject({
      status: 404,
      body: { error: 'NOT_FOUND' },
    })
  })

  test('a huge body is refused', async () => {
    const answer = await ask(
      'POST',
      '/api/v1/trades/buy',
      { symbol: 'A'.repeat(20_000) },
      await logIn(),
    )
    expect(answer).toMatchObject({ status: 413, body: { error: 'TOO_LARGE' } })
  })
})

describe('the page', () => {
  test('its files are served with a strict policy, and no other file is', async () => {
    for (const path of [
      '/',
      '/app.js',
      '/state.js',
      '/style.css',
      '/socket.io.js',
      '/config.json',
    ]) {
      const response = await fetch(api.url + path)
      expect([path, response.status]).toEqual([path, 200])
      expect(response.headers.get('content-security-policy')).toContain("default-src 'none'")
    }
    for (const path of ['/index.html', '/../trade-api.ts', '/%2e%2e/trade-api.ts', '/auth/login']) {
      expect([path, (await ask('GET', path)).status]).toEqual([path, 404])
    }
  })
})
