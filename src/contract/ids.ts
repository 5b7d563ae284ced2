import { z } from 'zod'
import { canonicalSymbol, isOption } from '#domain'

// Ids that cross a process. Patterns are anchored and bounded, because an id becomes part of a
// Redis key, a room or a job id.

/**
 * A string that matches a pattern. A value that is no string and a string that does not match have
 * the same message; an absent value has the message `MISSING`.
 */
const text = (pattern: RegExp, error: string) =>
  z.string({ error: ({ input }) => (input === undefined ? MISSING : error) }).regex(pattern, error)

/** The message for a required field that is absent. */
export const MISSING = 'is missing'

// Refused in a user id: spaces and separators; control and format characters, which are invisible;
// halves of a character, which Redis cannot keep apart; braces, which are the hash tag of every key
// of a user.
const USER_ID = /^[^\s\p{Z}\p{Cc}\p{Cf}\p{Cs}{}]{1,128}$/u
const USER_ID_WORDS =
  'use 1 to 128 characters without spaces, control characters and braces, in Unicode form NFC'
/**
 * The id of a user: the `sub` claim of the token, 1 to 128 characters. The id must be in Unicode
 * form NFC, so that two ids that look the same are the same.
 */
export const userIdSchema = text(USER_ID, USER_ID_WORDS).refine(
  (id) => id === id.normalize('NFC'),
  USER_ID_WORDS,
)
/** Characters of the longest trade id. */
export const TRADE_ID_LENGTH_MAX = 64
/** The id of a trade, chosen by the trade API. Two requests with the same id are one order. */
export const tradeIdSchema = text(/^[A-Za-z0-9_-]{1,64}$/, 'use 1 to 64 of A-Z a-z 0-9 _ -')
/** The id of a user's link to a broker account. */
export const connectionIdSchema = text(/^[A-Za-z0-9_-]{1,64}$/, 'use 1 to 64 of A-Z a-z 0-9 _ -')
/**
 * The id of one request to cancel, replace or close. A repeated request with the same id has no
 * further effect.
 */
export const commandIdSchema = text(/^[A-Za-z0-9_-]{1,64}$/, 'use 1 to 64 of A-Z a-z 0-9 _ -')
const A_SYMBOL = 'use a symbol like AAPL, BRK.B or BTC/USD'
const SYMBOL = /^[A-Z0-9]{1,12}(?:[/-][A-Z0-9]{1,10}|(?:\.[A-Z0-9]{1,10}){1,2})?$/
/**
 * `AAPL`, `BRK.B` or `BTC/USD`. The schema converts the text into the canonical symbol: a pair has
 * its slash.
 */
export const symbolSchema = z
  .string({ error: ({ input }) => (input === undefined ? MISSING : A_SYMBOL) })
  .refine((symbol) => !isOption(symbol), {
    error: 'options are not supported; use a stock or a pair',
    abort: true,
  })
  .regex(SYMBOL, A_SYMBOL)
  .transform(canonicalSymbol)

/**
 * The id of an event in a user's event log: the Redis stream id, padded so that string order is log
 * order.
 */
export const EVENT_ID_PATTERN = /^\d{13}-\d{5}$/
/** Reports if a value is a padded event id. */
export const isEventId = (id: unknown): id is string =>
  typeof id === 'string' && EVENT_ID_PATTERN.test(id)
/** The position before the first event. */
export const EVENT_ID_ZERO = '0000000000000-00000'
/** Pads a Redis stream id: `1526919030474-5` -> `1526919030474-00005`. */
export function padEventId(streamId: string): string {
  const [ms = '0', sequence = '0'] = streamId.split('-')
  return `${ms.padStart(13, '0')}-${sequence.padStart(5, '0')}`
}
/**
 * A position in a user's event log. A client that keeps the `id` of its last event resumes at that
 * position.
 */
export type EventPosition = Readonly<{ id: string }>
/**
 * The position that a logged event carries on Redis, and to clients that request it: the event's
 * id, and the id of the previous event in the user's log.
 */
export type EventMeta = EventPosition & Readonly<{ prev: string }>
