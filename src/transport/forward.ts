import {
  Agent,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as httpRequest,
  type ServerResponse,
} from 'node:http'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Clock } from '#runtime'

/** Another server of ours, and the header that proves to it that the request comes from us. */
export type ForwardTarget = Readonly<{
  host: string
  port: number
  header: readonly [name: string, value: string]
}>

/**
 * How a hand-over ended.
 * - `served`: the client got the other server's answer, or no longer waits for it
 * - `unreachable`: the other server accepts no connection; no answer was sent
 * - `bad_request`: a request of this kind cannot be handed over; no answer was sent
 * - `bad_answer`: the other server gave no answer that can be passed on; no answer was sent
 */
export type HopResult = 'served' | 'unreachable' | 'bad_request' | 'bad_answer'

/** Longer than any request that is held open on purpose, so that a server that hangs is noticed. */
const SILENCE_MS_MAX = 60_000
/** A server that is up accepts a connection at once; a host that is gone sends no reply at all. */
const CONNECT_MS_MAX = 5_000
const SOCKETS_PER_HOST_MAX = 4_096
// The agent has no timeout: a timeout equal to the request's would leave a reused connection with
// the short timeout that it had while it was idle.
const agent = new Agent({ keepAlive: true, maxSockets: SOCKETS_PER_HOST_MAX })

/**
 * Only the headers that a session needs are passed on, in both directions. Node acts on many
 * headers (Trailer, Expect, Transfer-Encoding, Connection) when it writes a message of its own, and
 * throws if they do not fit that message; each hop has its own framing.
 */
const REQUEST_HEADERS = [
  'host',
  'origin',
  'user-agent',
  'content-type',
  'content-length',
  'accept-encoding',
  'access-control-request-method',
  'access-control-request-headers',
] as const
const UPGRADE_HEADERS = [
  'host',
  'origin',
  'user-agent',
  'sec-websocket-key',
  'sec-websocket-version',
  'sec-websocket-extensions',
  'sec-websocket-protocol',
] as const
const ANSWER_HEADERS = [
  'content-type',
  'content-length',
  'content-encoding',
  'cache-control',
  'vary',
  'access-control-allow-origin',
  'access-control-allow-credentials',
  'access-control-allow-methods',
  'access-control-allow-headers',
  'access-control-max-age',
] as const
/** The methods of a polling session, and OPTIONS, which a browser sends before a page's request. */
const METHODS: readonly (string | undefined)[] = ['GET', 'POST', 'OPTIONS']

function pick(headers: IncomingHttpHeaders, names: readonly string[]): Record<string, string> {
  const picked: Record<string, string> = {}
  for (const name of names) {
    const value = headers[name]
    if (typeof value === 'string') picked[name] = value
  }
  return picked
}

/**
 * Hands a request to another server, and the answer back to the client. Resolves when the exchange
 * is over; never rejects.
 */
export function forwardRequest(
  request: IncomingMessage,
  response: ServerResponse,
  target: ForwardTarget,
  clock: Clock,
): Promise<HopResult> {
  return new Promise((resolve) => {
    let isThrough = false
    const onward = build(request, target)
    if (onward === null) {
      resolve('bad_request')
      return
    }
    const fail = (): void => {
      if (response.headersSent) response.destroy()
      resolve(
        response.headersSent || response.destroyed
          ? 'served'
          : isThrough
            ? 'bad_answer'
            : 'unreachable',
      )
    }
    const connected = (): void => void (isThrough = true)
    onward.once(
      'socket',
      (socket) => void (socket.connecting ? socket.once('connect', connected) : connected()),
    )
    const cancelDeadline = clock.after(
      CONNECT_MS_MAX,
      () => isThrough || onward.destroy(new Error('nobody there')),
    )
    onward.on('close', cancelDeadline)
    onward.on('response', (answer) => {
      answer.on('error', () => response.destroy())
      try {
        response.writeHead(answer.statusCode ?? 0, pick(answer.headers, ANSWER_HEADERS))
        answer.pipe(response)
      } catch (error) {
        onward.destroy(error as Error)
      }
    })
    onward.on('timeout', () => onward.destroy(new Error('silent for too long'))).on('error', fail)
    onward.on('close', () => response.headersSent || fail())
    response.on('error', () => onward.destroy())
    response.on('close', () => {
      onward.destroy()
      resolve('served')
    })
    if (request.method === 'POST') request.pipe(onward)
    else {
      request.resume() // no body; Node would write one without its length
      onward.end()
    }
  })
}

/**
 * The same request for the other server with its head written, which is where Node throws; `null`:
 * the request cannot be handed over.
 */
function build(
  { method, url: path, headers }: IncomingMessage,
  { host, port, header: [name, value] }: ForwardTarget,
) {
  if (!METHODS.includes(method)) return null
  try {
    const own = {
      ...pick(headers, method === 'POST' ? REQUEST_HEADERS : withoutBody),
      [name]: value,
    }
    const onward = httpRequest({
      host,
      port,
      method,
      path,
      headers: own,
      agent,
      timeout: SILENCE_MS_MAX,
    })
    onward.on('error', () => {}) // the request may fail before the caller adds a listener
    onward.flushHeaders()
    return onward
  } catch {
    return null
  }
}
const withoutBody = REQUEST_HEADERS.filter((name) => !name.startsWith('content-'))

/**
 * Hands a connection that asks for a WebSocket to another server, bytes unchanged. Resolves when
 * the connection is over; never rejects.
 */
export function forwardUpgrade(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  { host, port, header }: ForwardTarget,
  clock: Clock,
): Promise<HopResult> {
  return new Promise((resolve) => {
    if (request.method !== 'GET' || request.headers.upgrade?.toLowerCase() !== 'websocket') {
      resolve('bad_request')
      return
    }
    const known = Object.entries(pick(request.headers, UPGRADE_HEADERS))
    const own = [...known, ['connection', 'Upgrade'], ['upgrade', 'websocket'], header]
    const lines = [
      `GET ${request.url} HTTP/1.1`,
      ...own.map(([name, value]) => `${name}: ${value}`),
    ]
    const onward = connectTo(host, port)
    if (onward === null) {
      resolve('unreachable')
      return
    }
    let isThrough = false
    const cancelDeadline = clock.after(CONNECT_MS_MAX, () => isThrough || end())
    const end = (): void => {
      cancelDeadline()
      onward.destroy()
      if (isThrough) socket.destroy()
      resolve(isThrough || socket.destroyed ? 'served' : 'unreachable')
    }
    onward.once('connect', () => {
      isThrough = true
      onward.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1') // as Node decoded them
      onward.write(head)
      onward.pipe(socket).pipe(onward)
    })
    onward.on('timeout', end).on('error', end).on('close', end)
    socket.on('error', end).on('close', end)
  })
}

function connectTo(host: string, port: number) {
  try {
    return connect({ host, port, timeout: SILENCE_MS_MAX })
  } catch {
    return null // the host is not an address
  }
}

/**
 * Sends another server a message of our own. Resolves when the message was answered, or when an
 * answer can no longer come.
 */
export function sendTo(
  { host, port, header: [name, value] }: ForwardTarget,
  path: string,
  body: string,
): Promise<void> {
  return new Promise((resolve) => {
    const headers = { [name]: value, 'content-length': Buffer.byteLength(body) }
    const onward = httpRequest({
      host,
      port,
      method: 'POST',
      path,
      headers,
      agent,
      timeout: CONNECT_MS_MAX,
    })
    onward.on('timeout', () => onward.destroy()).on('error', () => resolve())
    onward.on('response', (answer) => answer.resume()).on('close', resolve)
    onward.end(body)
  })
}
