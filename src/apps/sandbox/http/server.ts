import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Account } from '../broker/account.ts'
import type { Broker } from '../broker/broker.ts'
import { notFound, Refusal, unauthorized } from '../broker/refusal.ts'
import { type ControlHandler, isLoopback } from '../control/routes.ts'
import type { HeldAnswers } from '../control/held-answers.ts'
import { readJsonBody } from './body.ts'
import { dataRoutes } from './data-routes.ts'
import type { JournalEntry, RequestJournal } from './request-journal.ts'
import { createRouter, type Reply, type Router } from './router.ts'
import { tradingRoutes } from './trading-routes.ts'

/** HTTP in, HTTP out: reads, authenticates, routes, answers. Everything slow or too large is cut by a named limit. */

const HEADERS_MS_MAX = 10_000
const REQUEST_MS_MAX = 15_000
const KEEP_ALIVE_MS = 60_000
const HEADER_BYTES_MAX = 16 * 1024
const SUBMIT_ROUTE = 'POST /v2/orders'

/** What the server needs of the sandbox. */
type HttpDeps = Readonly<{
  broker: Broker
  journal: RequestJournal
  heldAnswers: HeldAnswers
  control: ControlHandler
}>

type Answered = Reply & Readonly<{ route?: string; account?: Account }>

const header = (request: IncomingMessage, name: string): string => {
  const value = request.headers[name]
  return typeof value === 'string' ? value : ''
}

function send(response: ServerResponse, requestId: string, { status, body }: Reply): void {
  if (response.writableEnded || response.destroyed) return
  const text = body === undefined ? undefined : JSON.stringify(body)
  response.writeHead(status, {
    'x-request-id': requestId,
    ...(text === undefined
      ? {}
      : { 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(text) }),
    // What a refused body still has in flight is not read: the connection ends with the answer.
    ...(status === 413 ? { connection: 'close' } : {}),
  })
  response.end(text)
}

function asReply(error: unknown): Reply {
  if (error instanceof Refusal) return { status: error.status, body: error.body }
  process.stderr.write(`sandbox: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
  return { status: 500, body: { code: 50010000, message: 'internal server error occurred' } }
}

async function answer(
  deps: HttpDeps,
  router: Router,
  request: IncomingMessage,
  entry: JournalEntry,
): Promise<Answered> {
  const { method, path, query } = entry
  if (path === '/_sandbox' || path.startsWith('/_sandbox/')) {
    if (!isLoopback(request.socket.remoteAddress)) throw notFound('endpoint not found.')
    return deps.control(method, path, new URLSearchParams(query), await readJsonBody(request))
  }
  const keyId = header(request, 'apca-api-key-id')
  const account = deps.broker.authenticate(keyId, header(request, 'apca-api-secret-key'))
  if (account === undefined) throw unauthorized()
  entry.keyId = keyId
  const { route, handler, params } = router(method, path)
  const body = await readJsonBody(request)
  entry.body = body ?? null
  return { ...handler({ account, params, query: new URLSearchParams(query), body }), route, account }
}

async function serve(
  deps: HttpDeps,
  router: Router,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const [path = '/', query = ''] = (request.url ?? '/').split('?', 2)
  const entry = deps.journal.open(request.method ?? 'GET', path, query)
  const requestId = deps.broker.newRequestId()
  const result: Answered = await answer(deps, router, request, entry).catch((error: unknown) =>
    // A refused order is held like an accepted one: the client must not learn which it was.
    ({ ...asReply(error), ...(entry.keyId === null ? {} : refusedOrder(deps, entry)) }),
  )
  const finish = (): void => {
    entry.status = result.status
    send(response, requestId, result)
  }
  const { route, account } = result
  const held =
    route === SUBMIT_ROUTE &&
    account !== undefined &&
    deps.heldAnswers.take(account, { send: finish, drop: () => void response.destroy() })
  if (!held) finish()
}

function refusedOrder(deps: HttpDeps, { method, path, keyId }: JournalEntry): { route?: string; account?: Account } {
  const account = keyId === null ? undefined : deps.broker.accountOfKey(keyId)
  return `${method} ${path}` === SUBMIT_ROUTE && account !== undefined ? { route: SUBMIT_ROUTE, account } : {}
}

/** The server, not yet listening; upgrades are the streams' business. */
export function createHttpServer(deps: HttpDeps): Server {
  const router = createRouter({ ...tradingRoutes(deps.broker), ...dataRoutes(deps.broker) })
  const server = createServer(
    {
      headersTimeout: HEADERS_MS_MAX,
      requestTimeout: REQUEST_MS_MAX,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: HEADER_BYTES_MAX,
    },
    (request, response) => {
      // A sender that goes away mid-body ends here: there is nobody left to answer.
      serve(deps, router, request, response).catch(() => response.destroy())
    },
  )
  server.on('clientError', (_error, socket) => {
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n')
    else socket.destroy()
  })
  return server
}
