import { z } from 'zod'
import { canonicalSymbol, isOption } from '#domain'

// Identities as they cross a process. Patterns are anchored and bounded: an id becomes part of a
// Redis key, a room or a job id.

/**
 * The same words whether the value is no text or the wrong text; a value that is not there is
 * missing.
 */
const text = (pattern: RegExp, error: string) =>
  z.string({ error: ({ input }) => (input === undefined ? MISSING : error) }).regex(pattern, error)

/** What is said of a field that is not there and has to be. */
export const MISSING = 'is missing'

// Refused: spaces and separators; control and format characters, which nobody sees; halves of a
// character, which Redis cannot keep apart; braces, which are the hash tag of every key of a user.
const USER_ID = /^[^\s\p{Z}\p{Cc}\p{Cf}\p{Cs}{}]{1,128}$/u
const USER_ID_WORDS =
  'use 1 to 128 characters without spaces, control characters and braces, in Unicode form NFC'
/**
 * Who a client is; the token's `sub`. In one Unicode form, so that two ids that look the same are
 * the same.
 */
export const userIdSchema = text(USER_ID, USER_ID_WORDS).refine(
  (id) => id === id.normalize('NFC'),
  USER_ID_WORDS,
)
export const TRADE_ID_LENGTH_MAX = 64
/** A trade, chosen by the trade API; the same id twice is one order. */
export const tradeIdSchema = text(/^[A-Za-z0-9_-]{1,64}$/, 'use 1 to 64 of A-Z a-z 0-9 _ -')
/** A user's link to a broker account. */
export const connectionIdSchema = text(/^[A-Za-z0-9_-]{1,64}$/, 'use 1 to 64 of A-Z a-z 0-9 _ -')
/** One request to cancel, replace or close; repeating it is harmless. */
export const commandIdSchema = text(/^[A-Za-z0-9_-]{1,64}$/, 'use 1 to 64 of A-Z a-z 0-9 _ -')
const A_SYMBOL = 'use a symbol like AAPL, BRK.B or BTC/USD'
const SYMBOL = /^[A-Z0-9]{1,12}(?:[/-][A-Z0-9]{1,10}|(?:\.[A-Z0-9]{1,10}){1,2})?$/
/** `AAPL`, `BRK.B` or `BTC/USD`. Read into the canonical symbol: a pair gets its slash. */
export const symbolSchema = z
  .string({ error: ({ input }) => (input === undefined ? MISSING : A_SYMBOL) })
  .refine((symbol) => !isOption(symbol), {
    error: 'options are not supported; use a stock or a pair',
    abort: true,
  })
  .regex(SYMBOL, A_SYMBOL)
  .transform(canonicalSymbol)

/** Position in a user's event log: the stream id, padded so that string order is log order. */
export const EVENT_ID_PATTERN = /^\d{13}-\d{5}$/
export const isEventId = (id: unknown): id is string =>
  typeof id === 'string' && EVENT_ID_PATTERN.test(id)
/** Before the first event. */
export const EVENT_ID_ZERO = '0000000000000-00000'
/** `1526919030474-5` -> `1526919030474-00005`. */
export function padEventId(streamId: string): string {
  const [ms = '0', sequence = '0'] = streamId.split('-')
  return `${ms.padStart(13, '0')}-${sequence.padStart(5, '0')}`
}
/** A place in a user's event log: whoever keeps the last `id` it was sent resumes there. */
export type EventPosition = Readonly<{ id: string }>
/**
 * What a logged event carries on Redis, and to clients that ask for it: its id, and the id before
 * it in the user's log.
 */
export type EventMeta = EventPosition & Readonly<{ prev: string }>
