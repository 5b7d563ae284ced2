import { EventEmitter } from 'node:events'
import { Pool } from 'undici'
import { type CancelTimer, type Clock, ConfigError } from '#runtime'
import type { BrokerEnvironment } from '#store'
import type { OpenEvents } from './activity-stream.ts'
import { ReadResponse } from './read-response.ts'

/**
 * The broker's addresses for a worker. The configuration chooses them once; a connection of another
 * environment is refused.
 */
export type Endpoint = Readonly<{
  env: BrokerEnvironment
  /** REST origin for trading; only in the sandbox, market data has the same origin. */
  trading: string
  data: string
  tradeStreamUrl: string
  dataStreamUrl(feed: string): string
}>

const ALPACA = {
  paper: {
    trading: 'https://paper-api.alpaca.markets',
    stream: 'wss://paper-api.alpaca.markets/stream',
  },
  live: { trading: 'https://api.alpaca.markets', stream: 'wss://api.alpaca.markets/stream' },
} as const
const DATA = 'https://data.alpaca.markets'
const DATA_STREAM = 'wss://stream.data.alpaca.markets'

/**
 * @throws {ConfigError} the sandbox is chosen without its URL, or a URL is given without choosing
 *   the sandbox
 */
export function endpointOf(env: BrokerEnvironment, sandboxUrl: string | undefined): Endpoint {
  if (env !== 'sandbox') {
    if (sandboxUrl !== undefined) {
      throw new ConfigError(
        'ALPACA_SANDBOX_URL is set, but ALPACA_ENV is not sandbox: say ALPACA_ENV=sandbox or remove the URL',
      )
    }
    const { trading, stream } = ALPACA[env]
    return {
      env,
      trading,
      data: DATA,
      tradeStreamUrl: stream,
      dataStreamUrl: (feed) => `${DATA_STREAM}/v2/${feed}`,
    }
  }
  if (sandboxUrl === undefined) {
    throw new ConfigError(
      'ALPACA_ENV=sandbox needs ALPACA_SANDBOX_URL, for example http://127.0.0.1:8085',
    )
  }
  const origin = new URL(sandboxUrl).origin
  const ws = origin.replace(/^http/, 'ws')
  return {
    env,
    trading: origin,
    data: origin,
    tradeStreamUrl: `${ws}/stream`,
    dataStreamUrl: (feed) => `${ws}/v2/${feed}`,
  }
}

/**
 * Deadline of one call, from the request to the end of the answer. The deadline is well below the
 * queue's lock, so that a silent broker never costs a job its lock (SUB-08).
 */
export const CALL_TIMEOUT_MS = 8_000
/** Connections to the broker's REST API, all accounts together. */
const CONNECTIONS_MAX = 64
/** Event streams, one per account: each holds a connection of its own. */
const EVENT_STREAMS_MAX = 5_000

export type Transport = Readonly<{
  fetch: typeof fetch
  /** Opens a stream of server-sent events of the trading API. */
  openEvents: OpenEvents
  close(): Promise<void>
}>

/**
 * The transport under the SDK: one pool per origin, which costs less than half of the global
 * `fetch` per call. The transport never retries and never follows a redirect. It can only reach the
 * endpoint's two origins, independent of the URL that the SDK builds.
 */
export function createTransport(endpoint: Endpoint, clock: Clock): Transport {
  const pools = new Map(
    [...new Set([endpoint.trading, endpoint.data])].map((origin) => [
      origin,
      new Pool(origin, { connections: CONNECTIONS_MAX }),
    ]),
  )
  const dataHost = new URL(DATA).hostname
  const send = async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    const asked = new URL(input instanceof Request ? input.url : input)
    const pool = pools.get(asked.hostname === dataHost ? endpoint.data : endpoint.trading)
    if (pool === undefined) throw new TypeError('no pool for the endpoint')
    using deadline = new Deadline(clock)
    const answer = await pool.request({
      path: asked.pathname + asked.search,
      method: init.method ?? 'GET',
      headers: plainHeaders(init.headers),
      body: typeof init.body === 'string' ? init.body : null,
      signal: init.signal ?? deadline,
    })
    return new ReadResponse(answer.statusCode, answer.headers, await answer.body.text())
  }
  const events = new Pool(endpoint.trading, { connections: EVENT_STREAMS_MAX })
  const openEvents: OpenEvents = async (path, headers, signal) => {
    const { statusCode, body } = await events.request({
      path,
      method: 'GET',
      headers,
      signal,
      bodyTimeout: 0,
    })
    return { status: statusCode, body }
  }
  return {
    fetch: send,
    openEvents,
    close: async () =>
      void (await Promise.all([...pools.values(), events].map((pool) => pool.close()))),
  }
}

/**
 * The deadline of one call, in undici's form. An `AbortSignal.timeout` cannot be canceled: it would
 * create an unused error for every call that was answered in time.
 */
class Deadline extends EventEmitter implements Disposable {
  readonly #callOff: CancelTimer
  reason: Error | undefined

  constructor(clock: Clock) {
    super()
    this.#callOff = clock.after(CALL_TIMEOUT_MS, () => {
      this.reason = new DOMException(`no answer within ${CALL_TIMEOUT_MS} ms`, 'TimeoutError')
      this.emit('abort')
    })
  }

  [Symbol.dispose](): void {
    this.#callOff()
  }
}

/** Usually the SDK's headers are a plain object already. */
const plainHeaders = (headers: RequestInit['headers']): Record<string, string> =>
  headers === undefined || headers instanceof Headers || Array.isArray(headers)
    ? Object.fromEntries(new Headers(headers))
    : (headers as Record<string, string>)
