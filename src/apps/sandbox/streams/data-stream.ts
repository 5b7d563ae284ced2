import { decode, encode } from '@msgpack/msgpack'
import type { IncomingMessage } from 'node:http'
import type { WebSocket } from 'ws'
import type { Clock } from '#runtime'
import type { AssetClass } from '../broker/assets.ts'
import type { Broker } from '../broker/broker.ts'
import type { Tick } from '../broker/prices.ts'
import { quoteJson, tradeJson } from '../http/market-shapes.ts'
import type { Json } from '../http/shapes.ts'
import { openStreamSocket, type StreamSocket } from './stream-socket.ts'

/**
 * A market data feed, in JSON or, by the upgrade's Content-Type, in MessagePack. A socket is connected, then authenticated; its
 * subscriptions grow and shrink by its messages, and every answer is the complete current set. Messages are always arrays.
 */
interface DataStream {
  accept(socket: WebSocket, request: IncomingMessage): void
  /** Cuts the sockets of one key, or all. */
  cut(keyId?: string): number
  readonly size: number
}

const CHANNELS = ['trades', 'quotes', 'bars', 'updatedBars', 'dailyBars', 'statuses', 'lulds', 'orderbooks'] as const
type Channel = (typeof CHANNELS)[number]
const SYMBOLS_PER_CHANNEL_MAX = 500
const SYMBOL_LENGTH_MAX = 32

const ERRORS = {
  400: 'invalid syntax',
  401: 'not authenticated',
  402: 'auth failed',
  403: 'already authenticated',
  404: 'auth timeout',
  405: 'symbol limit exceeded',
} as const

type Session = {
  readonly stream: StreamSocket
  readonly packed: boolean
  readonly subscribed: Readonly<Record<Channel, Set<string>>>
  authenticated: boolean
}
type Message = Readonly<Record<string, unknown>>

/** Serialized once for all sockets that want the same of a tick. */
type Frames = { json?: string; packed?: Uint8Array }

const isMessage = (value: unknown): value is Message =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

function sendFrames({ stream, packed }: Session, messages: readonly Json[], frames: Frames = {}): void {
  if (packed) stream.send((frames.packed ??= encode(messages)), true)
  else stream.send((frames.json ??= JSON.stringify(messages)), false)
}

const sendError = (session: Session, code: keyof typeof ERRORS): void =>
  sendFrames(session, [{ T: 'error', code, msg: ERRORS[code] }])

/** MessagePack sockets may send text too: some clients do. */
function parseMessage(data: Buffer, packed: boolean): Message | undefined {
  try {
    const message: unknown = packed ? decode(data) : JSON.parse(data.toString('utf8'))
    return isMessage(message) ? message : undefined
  } catch {
    return undefined
  }
}

/** Symbols a message names for a channel; undefined when they are not symbols. */
function symbolsOf(message: Message, channel: Channel): string[] | undefined {
  const value = message[channel] ?? []
  if (!Array.isArray(value) || value.length > SYMBOLS_PER_CHANNEL_MAX) return undefined
  const symbols: unknown[] = value
  return symbols.every((symbol): symbol is string => typeof symbol === 'string' && /^[A-Z0-9./*]+$/.test(symbol))
    ? symbols.filter(({ length }) => length <= SYMBOL_LENGTH_MAX)
    : undefined
}

function subscriptionJson({ subscribed }: Session, crypto: boolean): Json {
  const lists = Object.fromEntries(CHANNELS.map((channel) => [channel, [...subscribed[channel]]]))
  const { orderbooks, ...stock } = lists
  return crypto
    ? { T: 'subscription', ...lists, orderbooks }
    : { T: 'subscription', ...stock, corrections: stock['trades'], cancelErrors: stock['trades'] }
}

function changeSubscriptions(session: Session, message: Message, crypto: boolean): void {
  if (!session.authenticated) return sendError(session, 401)
  const { subscribed } = session
  const wanted = CHANNELS.map((channel) => [channel, symbolsOf(message, channel)] as const)
  if (wanted.some(([, symbols]) => symbols === undefined)) return sendError(session, 400)
  const adds = message['action'] === 'subscribe'
  const tooMany = wanted.some(
    ([channel, symbols]) => new Set([...subscribed[channel], ...(symbols ?? [])]).size > SYMBOLS_PER_CHANNEL_MAX,
  )
  if (adds && tooMany) return sendError(session, 405)
  for (const [channel, symbols = []] of wanted) {
    for (const symbol of symbols)
      if (adds) subscribed[channel].add(symbol)
      else subscribed[channel].delete(symbol)
  }
  sendFrames(session, [subscriptionJson(session, crypto)])
}

function authenticate(broker: Broker, session: Session, keyId: string, secret: string): void {
  if (session.authenticated) return sendError(session, 403)
  if (broker.authenticate(keyId, secret) === undefined) {
    sendError(session, 402)
    return session.stream.close(1008, 'auth failed')
  }
  session.authenticated = true
  session.stream.authenticated(keyId)
  sendFrames(session, [{ T: 'success', msg: 'authenticated' }])
}

function sendTick(sessions: ReadonlySet<Session>, { market, traded }: Tick): void {
  const { symbol } = market.asset
  const quote = { T: 'q', S: symbol, ...quoteJson(market) }
  const trade = { T: 't', S: symbol, ...tradeJson(market) }
  const frames = { both: {}, quote: {}, trade: {} } satisfies Record<string, Frames>
  const wants = ({ subscribed }: Session, channel: Channel): boolean =>
    subscribed[channel].has(symbol) || subscribed[channel].has('*')
  for (const session of sessions) {
    const [quotes, trades] = [wants(session, 'quotes'), traded && wants(session, 'trades')]
    if (quotes && trades) sendFrames(session, [quote, trade], frames.both)
    else if (quotes) sendFrames(session, [quote], frames.quote)
    else if (trades) sendFrames(session, [trade], frames.trade)
  }
}

/** @param assetClass which symbols this feed carries */
export function createDataStream(broker: Broker, clock: Clock, assetClass: AssetClass): DataStream {
  const sessions = new Set<Session>()
  const crypto = assetClass === 'crypto'
  const onMessage = (session: Session, data: Buffer, binary: boolean): void => {
    const message = parseMessage(data, session.packed && binary)
    const action = message?.['action']
    if (message === undefined) sendError(session, 400)
    else if (action === 'auth') authenticate(broker, session, textOf(message['key']), textOf(message['secret']))
    else if (action === 'subscribe' || action === 'unsubscribe') changeSubscriptions(session, message, crypto)
    else sendError(session, 400)
  }
  broker.prices.onTick((tick) => {
    if (tick.market.asset.assetClass === assetClass) sendTick(sessions, tick)
  })
  return {
    accept(socket, request) {
      openStreamSocket(socket, request, clock, (stream) => {
        const session: Session = {
          stream,
          packed: request.headers['content-type'] === 'application/msgpack',
          subscribed: Object.fromEntries(
            CHANNELS.map((channel) => [channel, new Set<string>()]),
          ) as Session['subscribed'],
          authenticated: false,
        }
        sessions.add(session)
        sendFrames(session, [{ T: 'success', msg: 'connected' }])
        const { 'apca-api-key-id': keyId, 'apca-api-secret-key': secret } = request.headers
        if (typeof keyId === 'string') authenticate(broker, session, keyId, textOf(secret))
        return {
          onMessage: (data, binary) => onMessage(session, data, binary),
          onAuthenticationTimeout() {
            sendError(session, 404)
            stream.close(1008, 'auth timeout')
          },
          onClose: () => void sessions.delete(session),
        }
      })
    },
    cut(keyId) {
      const hit = [...sessions].filter(({ stream }) => keyId === undefined || stream.keyId === keyId)
      hit.forEach(({ stream }) => stream.cut())
      return hit.length
    },
    get size() {
      return sessions.size
    },
  }
}
