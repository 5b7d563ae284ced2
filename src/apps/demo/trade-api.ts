import { createHash, randomUUID, timingSafeEqual } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'
import { getConnInfo } from '@hono/node-server/conninfo'
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { secureHeaders } from 'hono/secure-headers'
import { SignJWT } from 'jose'
import { z } from 'zod'
import { createVerifier, LoginThrottle, TokenError } from '#auth'
import type { SubmitOrder } from '#contract'
import { div, isZero } from '#domain'
import {
  CommandIdConflictError,
  InvalidRequestError,
  type Producer,
  TradeIdConflictError,
  UnavailableError,
} from '#producer'
import { type Logger, systemClock } from '#runtime'
import { createPage } from './page.ts'

/**
 * A small trade API, as a back-end team would write it on the producer: it logs people in and
 * accepts their trades; the workers and the relay do the rest. It keeps no state: the outcome of a
 * trade is in the user's events and in `GET /api/v1/trades/:id`.
 */
export type TradeApiOptions = Readonly<{
  port: number
  producer: Pick<Producer, 'submitOrder' | 'cancelOrder' | 'orders' | 'sessions'>
  jwt: Readonly<{ secret: string; issuer: string; audience: string }>
  users: readonly Readonly<{
    userId: string
    name: string
    password: string
    connectionId: string
  }>[]
  urls: Readonly<{ relayUrl: string; dashboardUrl: string }>
  log: Logger
  /** Lifetime of a token in seconds; default 15 minutes. */
  tokenSeconds?: number
}>

const TOKEN_SECONDS = 900
const BODY_BYTES_MAX = 16_384
const PRICE_PLACES = 9

const credentialsSchema = z.object({ username: z.string().max(64), password: z.string().max(128) })

/**
 * People type JSON numbers into curl. A number whose text reads back unchanged lost nothing, so it
 * is passed on as the decimal text that the contract requires. Any other value is passed on
 * unchanged, and the producer refuses it.
 */
const amount = z.unknown().transform((value) => {
  const text = typeof value === 'number' && Math.abs(value) < 1e15 ? String(value) : ''
  return /^-?\d+(\.\d{1,9})?$/.test(text) ? text : value
})
const tradeSchema = z.looseObject({
  orderType: z.unknown().default('market'),
  quantity: amount.optional(),
  notional: amount.optional(),
  limitPrice: amount.optional(),
  stopPrice: amount.optional(),
})

/** The API and the page, on 127.0.0.1. @throws when the port is taken */
export async function startTradeApi(
  options: TradeApiOptions,
): Promise<AsyncDisposable & { url: string }> {
  const app = new Hono()
  app.use(
    secureHeaders({
      contentSecurityPolicy: pagePolicy(options.urls.relayUrl),
      referrerPolicy: 'no-referrer',
    }),
  )
  app.use(
    bodyLimit({
      maxSize: BODY_BYTES_MAX,
      onError: (c) => refuse(c, 413, 'TOO_LARGE', 'body: at most 16 kB'),
    }),
  )
  app.route('/', await createPage(options.urls))
  const authenticate = createAuthentication(options)
  addLogins(app, options, authenticate)
  addTrades(app, options, authenticate)
  app.notFound((c) => refuse(c, 404, 'NOT_FOUND', 'there is nothing at this path'))
  app.onError((error, c) => answerError(error, c, options.log))
  const server = await new Promise<ReturnType<typeof serve>>((resolve, reject) => {
    const starting = serve({ fetch: app.fetch, port: options.port, hostname: '127.0.0.1' }, () =>
      resolve(starting),
    )
    starting.once('error', reject)
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve))
      if ('closeAllConnections' in server) server.closeAllConnections()
      await closed
    },
  }
}

const pagePolicy = (relayUrl: string) => ({
  defaultSrc: ["'none'"],
  scriptSrc: ["'self'"],
  styleSrc: ["'self'"],
  imgSrc: ["'self'"],
  connectSrc: ["'self'", relayUrl, relayUrl.replace(/^http/, 'ws')],
  formAction: ["'self'"],
  baseUri: ["'none'"],
  frameAncestors: ["'none'"],
})

function addLogins(
  app: Hono,
  { producer, users, jwt, log, tokenSeconds: expiresIn = TOKEN_SECONDS }: TradeApiOptions,
  authenticate: Authenticate,
): void {
  const throttle = new LoginThrottle(systemClock)
  const key = new TextEncoder().encode(jwt.secret)
  const answer = async (user: TradeApiOptions['users'][number], sid: string) => ({
    token: await new SignJWT({ sid })
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject(user.userId)
      .setIssuer(jwt.issuer)
      .setAudience(jwt.audience)
      .setIssuedAt()
      .setJti(randomUUID())
      .setExpirationTime(`${expiresIn}s`)
      .sign(key),
    expiresIn,
    user: { id: user.userId, name: user.name },
  })
  app.post('/auth/login', async (c) => {
    const { username, password } = parse(credentialsSchema, await readJson(c))
    const user = users.find(({ name }) => name === username)
    const address = getConnInfo(c).remote.address ?? 'unknown'
    // Unknown names share one entry, so invented names cannot fill the throttle.
    const pair = `${address} ${user?.name ?? '?'}`
    const isRight = await throttle.check(pair, async () => sameText(password, user?.password ?? ''))
    if (typeof isRight !== 'boolean') {
      log.warn({ address }, 'trade_api.login_throttled')
      c.header('Retry-After', String(isRight.retryAfterSeconds))
      return refuse(
        c,
        429,
        'TOO_MANY_LOGINS',
        `too many tries: wait ${isRight.retryAfterSeconds} s`,
      )
    }
    if (!isRight || user === undefined)
      return refuse(c, 401, 'WRONG_LOGIN', 'username or password is wrong')
    return c.json(await answer(user, randomUUID()))
  })
  app.post('/auth/refresh', async (c) => {
    const { user, sid } = await authenticate(c)
    return c.json(await answer(user, sid))
  })
  // A logout bars every token of this login, and the relays close its connections; other logins of
  // the user go on.
  app.post('/auth/logout', async (c) => {
    const { user, sid } = await authenticate(c)
    await producer.sessions.logout({ userId: user.userId, sessionId: sid })
    return c.body(null, 204)
  })
}

function addTrades(app: Hono, { producer }: TradeApiOptions, authenticate: Authenticate): void {
  app.post('/api/v1/trades/:side{buy|sell}', async (c) => {
    const { user } = await authenticate(c)
    const asked = parse(tradeSchema, await readJson(c))
    // The user and the account come from the login, never from the request. The producer checks the
    // other fields, and names the wrong field.
    const { isRepeat, tradeId } = await producer.submitOrder({
      tradeId: `trade_${randomUUID()}`,
      ...asked,
      userId: user.userId,
      connectionId: user.connectionId,
      side: c.req.param('side'),
    } as unknown as SubmitOrder)
    return c.json({ tradeId, isRepeat }, 202)
  })
  app.delete('/api/v1/trades/:id', async (c) => {
    const { user } = await authenticate(c)
    const { userId, connectionId } = user
    const tradeId = c.req.param('id')
    // One click is one command: repeating the request cancels nothing twice.
    await producer.cancelOrder({
      userId,
      connectionId,
      tradeId,
      commandId: `cancel_${randomUUID()}`,
    })
    return c.json({ tradeId }, 202)
  })
  app.get('/api/v1/trades/:id', async (c) => {
    const { user } = await authenticate(c)
    const order = await producer.orders.get(user.userId, c.req.param('id'))
    return order === null
      ? refuse(c, 404, 'NOT_FOUND', 'id: you have no such trade')
      : c.json(tradeView(order))
  })
}

/** A trade in this API's answers: decimal strings, without internal fields. */
const tradeView = (order: NonNullable<Awaited<ReturnType<Producer['orders']['get']>>>) => ({
  tradeId: order.id,
  symbol: order.symbol,
  side: order.side,
  orderType: order.orderType,
  status: order.status,
  quantity: order.quantity,
  notional: order.notional,
  limitPrice: order.limitPrice,
  filledQuantity: order.cumulativeQuantity,
  averageFillPrice: isZero(order.cumulativeQuantity)
    ? null
    : div(order.totalCost, order.cumulativeQuantity, PRICE_PLACES),
  brokerOrderId: order.placements.find((one) => one.brokerOrderId !== null)?.brokerOrderId ?? null,
  submittedAt: order.submittedAt,
  reason: order.status === 'waiting' ? order.reason : (order.rejection?.message ?? null),
})

type Status = 400 | 401 | 404 | 409 | 413 | 422 | 429 | 500 | 503

class ApiError extends Error {
  readonly status: Status
  readonly code: string
  readonly fields: readonly string[]

  constructor(status: Status, code: string, message: string, fields: readonly string[] = []) {
    super(message)
    this.status = status
    this.code = code
    this.fields = fields
  }
}

/**
 * Every refusal has the same form: a stable code, the fields to correct, and a message for people.
 */
const refuse = (
  c: Context,
  status: Status,
  error: string,
  message: string,
  fields: readonly string[] = [],
): Response => c.json({ error, message, fields }, status)

function parse<Schema extends z.ZodType>(schema: Schema, body: unknown): z.output<Schema> {
  const parsed = schema.safeParse(body)
  if (parsed.success) return parsed.data
  const fields = [...new Set(parsed.error.issues.map(({ path }) => path.join('.') || 'body'))]
  throw new ApiError(
    422,
    'INVALID_REQUEST',
    `${fields.join(', ')}: missing or of the wrong kind`,
    fields,
  )
}

async function readJson(c: Context): Promise<unknown> {
  try {
    return await c.req.json()
  } catch {
    throw new ApiError(400, 'INVALID_REQUEST', 'body: must be JSON', ['body'])
  }
}

type Authenticate = (c: Context) => Promise<{ user: TradeApiOptions['users'][number]; sid: string }>

/**
 * Finds the user of a request by its token: first the signature and the times, checked as in the
 * relay, then whether the login was ended. If the login was ended, its token is refused here, also
 * for a refresh.
 */
function createAuthentication({ producer, users, jwt }: TradeApiOptions): Authenticate {
  const verify = createVerifier(
    { jwtSecret: jwt.secret, jwtIssuer: jwt.issuer, jwtAudience: jwt.audience },
    () => systemClock.now(),
  )
  return async (c) => {
    const token = /^Bearer (\S+)$/.exec(c.req.header('authorization') ?? '')?.[1]
    if (token === undefined)
      throw new ApiError(401, 'UNAUTHENTICATED', 'log in first: POST /auth/login')
    const claims = await verify(token).catch((error: unknown) => {
      if (!(error instanceof TokenError)) throw error
      // The key server is unavailable: the token may still be valid.
      if (error.code === 'INTERNAL_ERROR') throw new ApiError(503, 'UNAVAILABLE', error.message)
      return null
    })
    const user = users.find(({ userId }) => userId === claims?.sub)
    const sid = claims?.sid
    if (
      claims === null ||
      user === undefined ||
      sid === undefined ||
      (await producer.sessions.isBarred(claims))
    )
      throw new ApiError(401, 'UNAUTHENTICATED', 'the token is not valid any more: log in again')
    return { user, sid }
  }
}

function answerError(error: Error, c: Context, log: Logger): Response {
  if (error instanceof ApiError)
    return refuse(c, error.status, error.code, error.message, error.fields)
  if (error instanceof InvalidRequestError)
    return refuse(c, 422, error.code, error.message, error.fields)
  if (error instanceof TradeIdConflictError)
    return refuse(c, 409, error.code, error.message, ['tradeId'])
  if (error instanceof CommandIdConflictError)
    return refuse(c, 409, error.code, error.message, ['commandId'])
  if (error instanceof UnavailableError) return refuse(c, 503, error.code, error.message)
  log.error({ error }, 'trade_api.request_failed')
  return refuse(
    c,
    500,
    'INTERNAL_ERROR',
    'something went wrong here; repeat the request with the same tradeId',
  )
}

/** Compares texts of any length in constant time. */
const sameText = (a: string, b: string): boolean => timingSafeEqual(digestOf(a), digestOf(b))
const digestOf = (text: string): Buffer => createHash('sha256').update(text).digest()
