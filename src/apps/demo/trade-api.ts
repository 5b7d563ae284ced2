import { randomUUID, timingSafeEqual } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { serve } from '@hono/node-server'
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { secureHeaders } from 'hono/secure-headers'
import { jwtVerify, SignJWT } from 'jose'
import { z } from 'zod'
import type { SubmitOrder } from '#contract'
import { InvalidRequestError, type Producer, TradeIdConflictError, UnavailableError } from '#producer'
import type { DemoUser } from './launcher.ts'

/**
 * A small trade API, as a back-end team would write one on the producer: logs people in, takes their trades, and leaves the rest to
 * the workers and the relay. It keeps nothing: what became of a trade is in the user's events and in `orders.get`.
 */
export type TradeApiOptions = Readonly<{
  port: number
  producer: Producer
  jwtSecret: string
  users: readonly DemoUser[]
  urls: Readonly<{ relayUrl: string; dashboardUrl: string; sandboxUrl: string }>
}>

const TOKEN_S = 900
const BODY_BYTES_MAX = 16_384
const SYMBOLS = ['AAPL', 'MSFT', 'TSLA', 'NVDA', 'AMZN', 'SPY'] as const

const loginSchema = z.object({ username: z.string().max(64), password: z.string().max(128) })
const tradeSchema = z.looseObject({ tradeId: z.string().optional(), orderType: z.string().default('market') })

export async function startTradeApi(options: TradeApiOptions): Promise<AsyncDisposable & { port: number }> {
  const app = new Hono()
  app.use(secureHeaders({ contentSecurityPolicy: pagePolicy(options.urls.relayUrl) }))
  app.use(
    bodyLimit({
      maxSize: BODY_BYTES_MAX,
      onError: (c) => c.json({ error: 'TOO_LARGE', message: 'At most 16 kB' }, 413),
    }),
  )
  addPage(app, options)
  addAuthentication(app, options)
  addTrades(app, options)
  app.notFound((c) => c.json({ error: 'NOT_FOUND', message: 'No such path' }, 404))
  app.onError((error, c) => answerError(error, c))
  const server = serve({ fetch: app.fetch, port: options.port, hostname: '127.0.0.1' })
  await new Promise((resolve) => server.once('listening', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      if ('closeAllConnections' in server) server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const pagePolicy = (relayUrl: string) => ({
  defaultSrc: ["'self'"],
  connectSrc: ["'self'", relayUrl, relayUrl.replace(/^http/, 'ws')],
  styleSrc: ["'self'"],
  scriptSrc: ["'self'"],
})

function addPage(app: Hono, { urls }: TradeApiOptions): void {
  const folder = join(import.meta.dirname, 'public')
  const client = join(createRequire(import.meta.url).resolve('socket.io-client'), '../../../dist/socket.io.min.js')
  const files: Record<string, readonly [path: string, type: string]> = {
    '/': [join(folder, 'index.html'), 'text/html; charset=utf-8'],
    '/app.js': [join(folder, 'app.js'), 'text/javascript; charset=utf-8'],
    '/style.css': [join(folder, 'style.css'), 'text/css; charset=utf-8'],
    '/socket.io.js': [client, 'text/javascript; charset=utf-8'],
  }
  for (const [path, [file, type]] of Object.entries(files)) {
    app.get(path, async (c) => c.body(await readFile(file), 200, { 'content-type': type, 'cache-control': 'no-cache' }))
  }
  app.get('/config.json', (c) => c.json({ ...urls, symbols: SYMBOLS }))
}

function addAuthentication(app: Hono, { users, jwtSecret }: TradeApiOptions): void {
  const key = new TextEncoder().encode(jwtSecret)
  const issue = async (userId: string, sid: string) => ({
    token: await new SignJWT({ sid })
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject(userId)
      .setIssuer('fillcast-demo')
      .setAudience('fillcast')
      .setIssuedAt()
      .setJti(randomUUID())
      .setExpirationTime(`${TOKEN_S}s`)
      .sign(key),
    expiresIn: TOKEN_S,
    user: { userId },
  })
  app.post('/auth/login', async (c) => {
    const { username, password } = loginSchema.parse(await readJson(c))
    const user = users.find(({ name }) => name === username)
    const isRight = sameText(password, user?.password ?? '') && user !== undefined
    if (!isRight) return c.json({ error: 'WRONG_LOGIN', message: 'Unknown user or wrong password' }, 401)
    return c.json(await issue(user.userId, randomUUID()))
  })
  app.post('/auth/refresh', async (c) => {
    const { userId, sid } = await authenticate(c, jwtSecret)
    return c.json(await issue(userId, sid))
  })
}

function addTrades(app: Hono, { producer, users, jwtSecret }: TradeApiOptions): void {
  const connectionOf = (userId: string): string => users.find((user) => user.userId === userId)?.connectionId ?? ''
  app.post('/api/v1/trades/:side{buy|sell}', async (c) => {
    const { userId } = await authenticate(c, jwtSecret)
    const asked = tradeSchema.parse(await readJson(c))
    const tradeId = asked.tradeId ?? `trade_${randomUUID()}`
    const identity = { userId, tradeId, connectionId: connectionOf(userId), side: c.req.param('side') }
    const { isRepeat } = await producer.submitOrder({ ...asked, ...identity } as unknown as SubmitOrder)
    return c.json({ tradeId, isRepeat }, 202)
  })
  app.delete('/api/v1/trades/:id', async (c) => {
    const { userId } = await authenticate(c, jwtSecret)
    const tradeId = c.req.param('id')
    await producer.cancelOrder({ userId, tradeId, connectionId: connectionOf(userId), commandId: randomUUID() })
    return c.json({ tradeId }, 202)
  })
  app.get('/api/v1/trades/:id', async (c) => {
    const { userId } = await authenticate(c, jwtSecret)
    const order = await producer.orders.get(userId, c.req.param('id'))
    return order === null ? c.json({ error: 'NOT_FOUND', message: 'No such trade' }, 404) : c.json(order)
  })
}

class ApiError extends Error {
  readonly status: 400 | 401

  constructor(status: 400 | 401, message: string) {
    super(message)
    this.status = status
  }
}

async function readJson(c: Context): Promise<unknown> {
  try {
    return await c.req.json()
  } catch {
    throw new ApiError(400, 'The body must be JSON')
  }
}

async function authenticate(c: Context, secret: string): Promise<{ userId: string; sid: string }> {
  const token = /^Bearer (.+)$/.exec(c.req.header('authorization') ?? '')?.[1]
  if (token === undefined) throw new ApiError(401, 'Log in first: POST /auth/login')
  const options = { algorithms: ['HS256'], issuer: 'fillcast-demo', audience: 'fillcast' }
  const verified = await jwtVerify(token, new TextEncoder().encode(secret), options).catch(() => null)
  if (verified?.payload.sub === undefined) throw new ApiError(401, 'The token is not valid any more: log in again')
  return { userId: verified.payload.sub, sid: String(verified.payload['sid']) }
}

function answerError(error: Error, c: Context): Response {
  if (error instanceof ApiError)
    return c.json(
      { error: error.status === 401 ? 'UNAUTHORIZED' : 'BAD_REQUEST', message: error.message },
      error.status,
    )
  if (error instanceof InvalidRequestError)
    return c.json({ error: error.code, fields: error.fields, message: error.message }, 422)
  if (error instanceof z.ZodError) return c.json({ error: 'INVALID_REQUEST', message: z.prettifyError(error) }, 422)
  if (error instanceof TradeIdConflictError) return c.json({ error: error.code, message: error.message }, 409)
  if (error instanceof UnavailableError) return c.json({ error: error.code, message: error.message }, 503)
  return c.json({ error: 'INTERNAL_ERROR', message: 'Something went wrong here; try again' }, 500)
}

const sameText = (a: string, b: string): boolean => {
  const [x, y] = [Buffer.from(a.padEnd(128)), Buffer.from(b.padEnd(128))]
  return x.length === y.length && timingSafeEqual(x, y)
}
