import type { IncomingMessage } from 'node:http'
import type { WebSocket } from 'ws'
import type { Clock } from '#runtime'
import type { Broker } from '../broker/broker.ts'
import type { StreamFaults } from '../faults/stream-faults.ts'
import type { Json } from '../http/shapes.ts'
import {
  type Caller,
  callerOf,
  type Credentials,
  credentialsOfHeaders,
  credentialsOfMessage,
} from './credentials.ts'
import {
  type Channel,
  type DataErrorCode,
  errorMessage,
  frameOf,
  type Message,
  parseMessage,
  subscriptionMessage,
  wantedOf,
} from './data-protocol.ts'
import { openStreamSocket, type StreamSocket } from './stream-socket.ts'

/** A message and the channel that carries it. */
export type News = readonly [channel: Channel, message: Json]

/** The limits of a client's plan. An absent limit falls back to the server's own limits. */
export type DataPlan = Readonly<{
  /** Allowed feeds; another feed answers 409. Default: all feeds. */
  feeds?: readonly string[]
  /** Sockets per key and feed; a further socket answers 406. Default: no limit. */
  connectionsPerFeedMax?: number
  /**
   * Symbols of trades and quotes together on one socket; more symbols answer 405, and so does `*`.
   * Default: no limit.
   */
  symbolsMax?: number
}>

/** The definition of one feed. */
type Feed = Readonly<{ name: string; channels: readonly Channel[]; plan: DataPlan }>

/** Under any plan, more symbols than this on a channel are error 405. */
const SYMBOLS_PER_CHANNEL_MAX = 500

type Session = {
  readonly stream: StreamSocket
  readonly packed: boolean
  readonly subscribed: Map<Channel, Set<string>>
  authenticated: boolean
}

const send = ({ stream, packed }: Session, message: Json): void =>
  stream.send(frameOf([message], packed), packed)
const sendError = (session: Session, code: DataErrorCode): void => send(session, errorMessage(code))

const wants = ({ subscribed }: Session, channel: Channel, about: readonly string[]): boolean => {
  const symbols = subscribed.get(channel)
  return symbols !== undefined && (symbols.has('*') || about.some((symbol) => symbols.has(symbol)))
}

/** True if the subscriptions are within the server's limit and the plan. */
function isWithin(
  { symbolsMax = Infinity }: DataPlan,
  subscribed: ReadonlyMap<Channel, ReadonlySet<string>>,
): boolean {
  const counted = new Set([
    ...(subscribed.get('trades') ?? []),
    ...(subscribed.get('quotes') ?? []),
  ])
  if (symbolsMax < Infinity && (counted.size > symbolsMax || counted.has('*'))) return false
  return [...subscribed.values()].every(({ size }) => size <= SYMBOLS_PER_CHANNEL_MAX)
}

/**
 * One market data feed, in JSON or, selected by the upgrade's Content-Type, in MessagePack. A
 * socket is connected, then authenticated. Its messages add and remove subscriptions, and every
 * answer is the complete current set. A refused message changes nothing.
 */
export class DataStream {
  readonly #broker: Broker
  readonly #clock: Clock
  readonly #faults: StreamFaults
  readonly #feed: Feed
  readonly #sessions = new Set<Session>()

  constructor(broker: Broker, clock: Clock, faults: StreamFaults, feed: Feed) {
    this.#broker = broker
    this.#clock = clock
    this.#faults = faults
    this.#feed = feed
  }

  get size(): number {
    return this.#sessions.size
  }

  accept(socket: WebSocket, request: IncomingMessage): void {
    openStreamSocket(socket, request, this.#clock, (stream) => {
      const packed = request.headers['content-type']?.startsWith('application/msgpack') === true
      const session: Session = { stream, packed, subscribed: new Map(), authenticated: false }
      this.#sessions.add(session)
      send(session, { T: 'success', msg: 'connected' })
      const credentials = credentialsOfHeaders(request.headers)
      if (credentials !== undefined) this.#authenticate(session, credentials)
      return {
        onMessage: (data, binary) => this.#onMessage(session, data, binary),
        onAuthenticationTimeout() {
          sendError(session, 404)
          stream.close(1008, 'auth timeout')
        },
        onClose: () => void this.#sessions.delete(session),
        farewellToSlowReader: () => frameOf([errorMessage(407)], packed),
      }
    })
  }

  /**
   * Publishes messages at once; each socket gets the messages it subscribed to, in one frame.
   * @param about the symbols of the messages: one symbol, except for articles
   * @returns the number of subscribed sockets
   */
  publish(about: readonly string[], news: readonly News[]): number {
    let told = 0
    // Sockets with the same channels and encoding share one frame, built once.
    const frames = new Map<string, string | Uint8Array>()
    for (const session of this.#sessions) {
      const wanted = news.filter(([channel]) => wants(session, channel, about))
      if (wanted.length === 0) continue
      told += 1
      const key = `${session.packed} ${wanted.map(([channel]) => channel).join()}`
      const messages = wanted.map(([, message]) => message)
      const frame = frames.get(key) ?? frameOf(messages, session.packed)
      frames.set(key, frame)
      const to = {
        stream: 'data',
        account: this.#broker.accountOfKey(session.stream.keyId),
        sockets: [session.stream],
      } as const
      this.#faults.deliver(to, (stream, asText) =>
        stream.send(asText ? JSON.stringify(messages) : frame, session.packed && !asText),
      )
    }
    return told
  }

  /** Sends an error to the sockets of one key, or all sockets; returns how many. */
  tellError(code: DataErrorCode, keyId?: string): number {
    const told = this.#of(keyId)
    told.forEach((session) => sendError(session, code))
    return told.length
  }

  /** Cuts the sockets of one key, or all sockets; returns how many. */
  cut(keyId?: string): number {
    const hit = this.#of(keyId)
    hit.forEach(({ stream }) => stream.cut())
    return hit.length
  }

  #of(keyId: string | undefined): Session[] {
    return [...this.#sessions].filter(({ stream }) => keyId === undefined || stream.keyId === keyId)
  }

  #onMessage(session: Session, data: Buffer, binary: boolean): void {
    const message = parseMessage(data, session.packed && binary)
    const action = message?.['action']
    if (message === undefined) sendError(session, 400)
    else if (action === 'auth') this.#authenticate(session, credentialsOfMessage(message))
    else if (action === 'subscribe' || action === 'unsubscribe')
      this.#changeSubscriptions(session, message)
    else sendError(session, 400)
  }

  #authenticate(session: Session, credentials: Credentials): void {
    if (session.authenticated) return sendError(session, 403)
    const caller = callerOf(this.#broker, credentials)
    const refusal = caller === undefined ? 402 : this.#refusal(caller)
    if (caller === undefined || refusal !== undefined) {
      sendError(session, refusal ?? 402)
      // The limit may only last until the server notices that an old connection is gone: clients
      // retry on the same socket.
      return refusal === 406 ? session.stream.mayRetry() : session.stream.close(1008, 'refused')
    }
    session.authenticated = true
    session.stream.authenticated(caller.keyId)
    send(session, { T: 'success', msg: 'authenticated' })
  }

  /** The error for a caller with valid keys; undefined if the caller is admitted. */
  #refusal({ keyId, account }: Caller): 402 | 406 | 409 | undefined {
    const { name, plan } = this.#feed
    const { feeds = [name], connectionsPerFeedMax = Infinity } = plan
    if (!feeds.includes(name)) return 409
    if (this.#faults.rejectsAuthentication('data', account)) return 402
    const isFull = this.#of(keyId).length >= connectionsPerFeedMax
    return isFull || this.#faults.limitsConnections(account) ? 406 : undefined
  }

  #changeSubscriptions(session: Session, message: Message): void {
    if (!session.authenticated) return sendError(session, 401)
    const { channels, plan } = this.#feed
    const wanted = wantedOf(message, channels)
    if (typeof wanted === 'number') return sendError(session, wanted)
    const changed = new Map(
      channels.map((channel) => [channel, new Set(session.subscribed.get(channel))]),
    )
    for (const [channel, symbols] of wanted) {
      for (const symbol of symbols)
        if (message['action'] === 'subscribe') changed.get(channel)?.add(symbol)
        else changed.get(channel)?.delete(symbol)
    }
    if (message['action'] === 'subscribe' && !isWithin(plan, changed))
      return sendError(session, 405)
    changed.forEach((symbols, channel) => session.subscribed.set(channel, symbols))
    send(session, subscriptionMessage(channels, session.subscribed))
  }
}
