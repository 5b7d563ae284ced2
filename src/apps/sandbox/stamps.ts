import type { Clock } from '#runtime'
import type { Randomness } from './randomness.ts'

/**
 * Times and time-ordered ids in the broker's form. Invariant: every stamp is later than the
 * previous stamp, even within one millisecond. So lists sorted by time have one order, and `after`
 * never skips a row.
 */
export interface Stamps {
  /** RFC 3339, UTC, always nine fractional digits: stamps compare as text. */
  next(): string
  /** A ULID of the current time; each ULID is larger than the previous. */
  ulid(): string
}

/** RFC 3339, UTC, in whole seconds. */
export const secondStamp = (timeMs: number): string =>
  `${new Date(timeMs).toISOString().slice(0, 19)}Z`

const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
/** Nanoseconds in a millisecond: the number of stamps before time is pushed forward. */
const STAMPS_PER_MS_MAX = 1_000_000

/** Stamps over a clock; the clock may stand still or step back, the stamps do not. */
export function createStamps(clock: Clock, randomness: Randomness): Stamps {
  let lastMs = 0
  let withinMs = 0
  let ulidMs = 0
  let ulidCounter = 0
  const base32 = (value: number, length: number): string => {
    let text = ''
    for (let rest = value; text.length < length; rest = Math.floor(rest / 32))
      text = CROCKFORD.charAt(rest % 32) + text
    return text
  }
  return {
    next() {
      const nowMs = clock.now()
      if (nowMs > lastMs) [lastMs, withinMs] = [nowMs, 0]
      else if (withinMs + 1 < STAMPS_PER_MS_MAX) withinMs += 1
      else [lastMs, withinMs] = [lastMs + 1, 0]
      return `${new Date(lastMs).toISOString().slice(0, -1)}${String(withinMs).padStart(6, '0')}Z`
    },
    ulid() {
      const nowMs = clock.now()
      if (nowMs > ulidMs) [ulidMs, ulidCounter] = [nowMs, 0]
      else ulidCounter += 1
      return (
        base32(ulidMs, 10) + base32(ulidCounter, 8) + base32(randomness.integer(0, 2 ** 32 - 1), 8)
      )
    },
  }
}

/**
 * Converts a client's RFC 3339 time or date into a stamp; undefined if the text is no time. Digits
 * below the millisecond are kept.
 */
export function parseStamp(text: string): string | undefined {
  // An unescaped "+02:00" arrives with a space, because form decoding turns a plus into a space.
  const fixed = text.replace(/ (\d\d:\d\d)$/, '+$1')
  const shape =
    /^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?$/i.exec(fixed)
  if (shape === null) return undefined
  const zoned = /(?:Z|[+-]\d\d:?\d\d)$/i.test(fixed) || fixed.length === 10 ? fixed : `${fixed}Z`
  const timeMs = Date.parse(zoned.replace(shape[1] ?? '\n', ''))
  if (Number.isNaN(timeMs)) return undefined
  return `${new Date(timeMs).toISOString().slice(0, 19)}.${(shape[1] ?? '.').slice(1).padEnd(9, '0')}Z`
}
