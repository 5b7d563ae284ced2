import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Clock } from '#runtime'
import type { Account } from '../broker/account.ts'
import type { Broker } from '../broker/broker.ts'
import { Refusal, unauthorized } from '../broker/refusal.ts'
import { assertControlCaller } from '../control/caller.ts'
import type { HeldAnswers } from '../control/held-answers.ts'
import type { ControlHandler } from '../control/routes.ts'
import {
  afterRequest,
  beforeRequest,
  isData,
  rateLimited,
  requestDelayMs,
  type WireAnswer,
} from '../faults/answer-faults.ts'
import type { Fault } from '../faults/fault.ts'
import type { Faults } from '../faults/faults.ts'
import { createLag } from '../faults/lag.ts'
import { createEventFaults } from '../faults/stream-faults.ts'
import { type Caller, callerOf, credentialsOfHeaders } from '../streams/credentials.ts'
import type { DataPlan } from '../streams/data-stream.ts'
import { wireClockOf } from '../time.ts'
import { accountRoutes } from './account-routes.ts'
import { readJsonBody } from './body.ts'
import { cryptoDataRoutes, stockDataRoutes } from './data-routes.ts'
import { eventRoutes } from './event-routes.ts'
import { recordTicks } from './past-ticks.ts'
import type { RateLimits } from './rate-limits.ts'
import type { JournalEntry, RequestJournal } from './request-journal.ts'
import { createRouter, type Handler, type OpenHandler, type Reply, type Router } from './router.ts'
import { tradingRoutes } from './trading-routes.ts'

/**
 * The HTTP server: reads, authenticates, routes and answers requests. Named limits cut every slow
 * or large request.
 */

const HEADERS_MS_MAX = 10_000
const REQUEST_MS_MAX = 15_000
const KEEP_ALIVE_MS = 60_000
const HEADER_BYTES_MAX = 16 * 1024
const SUBMIT_ROUTE = 'POST /v2/orders'

/** The server's dependencies on the sandbox. */
type HttpDeps = Readonly<{
  clock: Clock
  broker: Broker
  faults: Faults
  rateLimits: RateLimits
  journal: RequestJournal
  heldAnswers: HeldAnswers
  control: ControlHandler
  /** Default: everything is allowed. */
  dataPlan?: DataPlan
}>

/** The routes that need keys, and the open routes. */
type Routers = Readonly<{ keyed: Router<Handler>; open: Router<OpenHandler> }>
type Answered = Readonly<{ answer: WireAnswer; route?: string; account?: Account }>

/** True for paths that need no keys: market data of crypto is open to all. */
const isOpen = (path: string): boolean => path.startsWith('/v1beta3/crypto/')
const isControl = (path: string): boolean => path === '/_sandbox' || path.startsWith('/_sandbox/')

const toWire = ({ status, body, headers = {}, stream }: Reply): WireAnswer => ({
  ...(stream === undefined ? {} : { stream }),
  status,
  headers:
    body === undefined
      ? headers
      : { 'content-type': 'application/json; charset=utf-8', ...headers },
  text: body === undefined ? undefined : JSON.stringify(body),
})

function send(response: ServerResponse, requestId: string, answer: WireAnswer): void {
  const { status, headers, text, stream } = answer
  if (response.writableEnded || response.destroyed) return
  response.writeHead(status, {
    'x-request-id': requestId,
    ...headers,
    ...(text === undefined ? {} : { 'content-length': Buffer.byteLength(text) }),
    // The rest of a refused body is not read: the connection ends with the answer.
    ...(status === 413 ? { connection: 'close' } : {}),
  })
  if (stream === undefined) response.end(text)
  else stream(response)
}

/** True if the sender disconnected in the middle of its body. */
const isAbort = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'ECONNRESET'

function asReply(error: unknown): Reply {
  if (error instanceof Refusal) return { status: error.status, body: error.body }
  process.stderr.write(
    `sandbox: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  )
  return { status: 500, body: { code: 50010000, message: 'internal server error occurred' } }
}

async function work(
  deps: HttpDeps,
  routers: Routers,
  request: IncomingMessage,
  entry: JournalEntry,
  caller: Caller | undefined,
  delayMs: number,
): Promise<Answered> {
  const { method, path, query } = entry
  if (isControl(path)) {
    assertControlCaller(request)
    const reply = await deps.control(
      method,
      path,
      new URLSearchParams(query),
      await readJsonBody(request),
    )
    return { answer: toWire(reply) }
  }
  if (isOpen(path)) {
    const { route, handler, params } = routers.open(method, path)
    return { answer: toWire(handler({ params, query: new URLSearchParams(query) })), route }
  }
  if (caller === undefined) throw unauthorized()
  const { account } = caller
  const { route, handler, params } = routers.keyed(method, path)
  const body = await readJsonBody(request)
  entry.body = body ?? null
  if (delayMs > 0) await wireClockOf(deps.clock).sleep(delayMs)
  return {
    answer: toWire(handler({ account, params, query: new URLSearchParams(query), body })),
    route,
    account,
  }
}

/** A refused order is held like an accepted order: its client must not learn the outcome early. */
function refused(
  error: unknown,
  { method, path }: JournalEntry,
  caller: Caller | undefined,
): Answered {
  if (isAbort(error)) throw error
  const answer = toWire(asReply(error))
  const isOrder = caller !== undefined && `${method} ${path}` === SUBMIT_ROUTE
  return isOrder ? { answer, route: SUBMIT_ROUTE, account: caller.account } : { answer }
}

async function serve(
  deps: HttpDeps,
  routers: Routers,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const [path = '/', query = ''] = (request.url ?? '/').split('?', 2)
  const method = request.method ?? 'GET'
  const credentials = isControl(path) ? undefined : credentialsOfHeaders(request.headers)
  const caller = credentials === undefined ? undefined : callerOf(deps.broker, credentials)
  const fault = isControl(path)
    ? undefined
    : deps.faults.request({ method, path, account: caller?.account })
  const limit =
    caller === undefined ? undefined : deps.rateLimits.count(caller.account, isData(path))
  const failure =
    fault === undefined ? undefined : beforeRequest(fault, path, wireClockOf(deps.clock).now())
  const instead = failure ?? (limit?.isOver === true ? rateLimited(path, limit.headers) : undefined)
  if (instead === 'cut') return void request.socket.destroy()
  const entry = deps.journal.open(method, path, query)
  entry.keyId = caller?.keyId ?? null
  const requestId = deps.broker.newRequestId()
  const { answer, route, account }: Answered =
    instead === undefined
      ? await work(
          deps,
          routers,
          request,
          entry,
          caller,
          fault === undefined ? 0 : requestDelayMs(fault),
        ).catch((error: unknown) => refused(error, entry, caller))
      : { answer: instead }
  const counted = { ...answer, headers: { ...limit?.headers, ...answer.headers } }
  const finish = (): void =>
    deliver(wireClockOf(deps.clock), response, requestId, entry, counted, fault)
  const held =
    route === SUBMIT_ROUTE &&
    account !== undefined &&
    deps.heldAnswers.take(account, { send: finish, drop: () => void response.destroy() })
  if (!held) finish()
}

/**
 * Writes the answer, or the fault's answer in its place. A cut answer leaves no status in the
 * journal, because the client received none.
 */
function deliver(
  clock: Clock,
  response: ServerResponse,
  requestId: string,
  entry: JournalEntry,
  answer: WireAnswer,
  fault: Fault | undefined,
): void {
  const outcome = fault === undefined ? answer : afterRequest(fault, answer)
  if (outcome === 'cut') return void response.destroy()
  const write = (): void => {
    entry.status = outcome.status
    send(response, requestId, outcome)
  }
  if (outcome.delayMs === undefined) return write()
  const cancel = clock.after(outcome.delayMs, write)
  response.once('close', cancel)
}

/** Creates the server, not yet listening. The streams handle the upgrades. */
export function createHttpServer(deps: HttpDeps): Server {
  const past = recordTicks(deps.broker.prices)
  const lag = createLag(deps.broker, deps.clock, deps.faults)
  const routers: Routers = {
    keyed: createRouter({
      ...tradingRoutes(deps.broker, lag),
      ...accountRoutes(deps.broker, deps.clock, lag),
      ...eventRoutes(deps.broker, deps.clock, createEventFaults(deps.faults)),
      ...stockDataRoutes(deps.broker, past, deps.clock, deps.dataPlan ?? {}),
    }),
    open: createRouter(cryptoDataRoutes(deps.broker, past, deps.clock)),
  }
  const server = createServer(
    {
      headersTimeout: HEADERS_MS_MAX,
      requestTimeout: REQUEST_MS_MAX,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: HEADER_BYTES_MAX,
    },
    (request, response) => {
      // If the sender disconnects mid-body, there is no client left to answer.
      serve(deps, routers, request, response).catch(() => response.destroy())
    },
  )
  server.on('clientError', (_error, socket) => {
    if (socket.writable)
      socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n')
    else socket.destroy()
  })
  return server
}
