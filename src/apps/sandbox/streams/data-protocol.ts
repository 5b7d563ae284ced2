import { decode, encode } from '@msgpack/msgpack'
import type { Json } from '../http/shapes.ts'

/**
 * The protocol of the market data streams: channels, errors, and the encoding of messages in JSON
 * and in MessagePack.
 */

const BAR_CHANNELS = ['trades', 'quotes', 'bars', 'updatedBars', 'dailyBars'] as const
/** The channels of a feed, in the order in which every acknowledgement lists them. */
export const STOCK_CHANNELS = [...BAR_CHANNELS, 'statuses', 'lulds', 'imbalances'] as const
export const CRYPTO_CHANNELS = [...BAR_CHANNELS, 'orderbooks'] as const
export const NEWS_CHANNELS = ['news'] as const
/** All channels: naming a channel of another feed is error 410. */
const ALL_CHANNELS = [...STOCK_CHANNELS, ...CRYPTO_CHANNELS, ...NEWS_CHANNELS] as const
export type Channel = (typeof ALL_CHANNELS)[number]

const DATA_ERRORS = {
  400: 'invalid syntax',
  401: 'not authenticated',
  402: 'auth failed',
  403: 'already authenticated',
  404: 'auth timeout',
  405: 'symbol limit exceeded',
  406: 'connection limit exceeded',
  407: 'slow client',
  408: 'v2 not enabled',
  409: 'insufficient subscription',
  410: 'invalid subscribe action for this feed',
  500: 'internal error',
} as const
export type DataErrorCode = keyof typeof DATA_ERRORS
export const dataErrorCodes = Object.keys(DATA_ERRORS).map(Number) as DataErrorCode[]

const SYMBOL_LENGTH_MAX = 32
/** `*` alone is every symbol. */
const SYMBOL = /^(\*|[A-Z0-9][A-Z0-9./]*)$/

/** A client's message, parsed as an object. */
export type Message = Readonly<Record<string, unknown>>
/** The symbols a message names, per channel of the feed. */
export type Wanted = ReadonlyMap<Channel, readonly string[]>

const isMessage = (value: unknown): value is Message =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export const errorMessage = (code: DataErrorCode): Json => ({
  T: 'error',
  code,
  msg: DATA_ERRORS[code],
})

/** Parses a message. MessagePack sockets may send text too. Undefined if it is no object. */
export function parseMessage(data: Buffer, packed: boolean): Message | undefined {
  try {
    const message: unknown = packed ? decode(data) : JSON.parse(data.toString('utf8'))
    return isMessage(message) ? message : undefined
  } catch {
    return undefined
  }
}

/**
 * Encodes messages; they always travel as an array. Times are Date objects: text in JSON, the
 * timestamp extension in MessagePack.
 */
export const frameOf = (messages: readonly Json[], packed: boolean): string | Uint8Array =>
  packed ? encode(messages) : JSON.stringify(messages)

function symbolsOf(value: unknown): readonly string[] | undefined {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value)) return undefined
  const symbols: unknown[] = value
  const isSymbol = (symbol: unknown): symbol is string =>
    typeof symbol === 'string' && symbol.length <= SYMBOL_LENGTH_MAX && SYMBOL.test(symbol)
  return symbols.every(isSymbol) ? symbols : undefined
}

/**
 * The symbols of a subscribe or unsubscribe, or its error: 400 for invalid symbols, 410 for a
 * channel of another feed.
 */
export function wantedOf(message: Message, channels: readonly Channel[]): Wanted | DataErrorCode {
  const wanted = new Map<Channel, readonly string[]>()
  for (const channel of channels) {
    const symbols = symbolsOf(message[channel])
    if (symbols === undefined) return 400
    wanted.set(channel, symbols)
  }
  const own: readonly string[] = channels
  const isForeign = ALL_CHANNELS.some(
    (name) => !own.includes(name) && (symbolsOf(message[name])?.length ?? 1) > 0,
  )
  return isForeign ? 410 : wanted
}

/**
 * The complete set of subscriptions, with all arrays; the array of imbalances is omitted while it
 * is empty, because most clients do not know that channel. On stock feeds corrections and
 * cancelErrors follow trades.
 */
export function subscriptionMessage(
  channels: readonly Channel[],
  subscribed: ReadonlyMap<Channel, ReadonlySet<string>>,
): Json {
  const listed = channels.filter(
    (channel) => channel !== 'imbalances' || (subscribed.get(channel)?.size ?? 0) > 0,
  )
  const lists = Object.fromEntries(
    listed.map((channel) => [channel, [...(subscribed.get(channel) ?? [])]]),
  )
  const { trades } = lists
  return {
    T: 'subscription',
    ...lists,
    ...('lulds' in lists ? { corrections: trades, cancelErrors: trades } : {}),
  }
}
