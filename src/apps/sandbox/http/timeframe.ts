import { MINUTE_MS } from '../broker/minute-bars.ts'
import { newYorkMidnight } from './market-shapes.ts'

/**
 * The length of a bar. Minutes and hours are counted in UTC; days, weeks and months begin at
 * midnight in New York.
 */
export interface Timeframe {
  readonly isIntraday: boolean
  readonly isDay: boolean
  /** The start of the bar that contains a time. */
  floor(timeMs: number): number
  /** The start of the next bar, or with -1 of the previous bar. */
  step(startMs: number, direction: 1 | -1): number
}

const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS
const WEEK_DAYS = 7
/** A Monday: weeks are counted from it. */
const WEEK_ZERO_MS = Date.UTC(2016, 0, 4)
/** A day is 23 to 25 hours long, so a start plus or minus 12 hours always lies in the right day. */
const NOON_MS = 12 * HOUR_MS

const even = (sizeMs: number): Timeframe => ({
  isIntraday: true,
  isDay: false,
  floor: (timeMs) => timeMs - (timeMs % sizeMs),
  step: (startMs, direction) => startMs + direction * sizeMs,
})

const midnight = (timeMs: number): number => newYorkMidnight(timeMs).getTime()

const days = (count: number): Timeframe => ({
  isIntraday: false,
  isDay: count === 1,
  floor(timeMs) {
    const startMs = midnight(timeMs)
    const sinceZero = Math.floor((startMs - WEEK_ZERO_MS) / DAY_MS)
    return midnight(startMs + NOON_MS - (((sinceZero % count) + count) % count) * DAY_MS)
  },
  step: (startMs, direction) => midnight(startMs + NOON_MS + direction * count * DAY_MS),
})

const months = (count: number): Timeframe => ({
  isIntraday: false,
  isDay: false,
  floor(timeMs) {
    const day = new Date(midnight(timeMs))
    return midnight(
      Date.UTC(day.getUTCFullYear(), day.getUTCMonth() - (day.getUTCMonth() % count), 1, 12),
    )
  },
  step(startMs, direction) {
    const day = new Date(startMs)
    return midnight(Date.UTC(day.getUTCFullYear(), day.getUTCMonth() + direction * count, 1, 12))
  },
})

/**
 * Parses `1Min` to `59Min`, `1Hour` to `23Hour`, `1Day`, `1Week`, and `1Month`, `2`, `3`, `4`, `6`,
 * `12`, or their short forms. Case-insensitive, because clients also write `1min` and `1hour`; but
 * `1M` is a month, and `1m`, which could mean a minute, is invalid.
 */
export function parseTimeframe(text: string): Timeframe | undefined {
  const [, digits, word] = /^([1-9]\d?)(min|t|hour|h|day|d|week|w|month|m)$/i.exec(text) ?? []
  const count = Number(digits)
  const unit = word === 'm' ? undefined : word?.toLowerCase()
  if (unit === 'min' || unit === 't') return count <= 59 ? even(count * MINUTE_MS) : undefined
  if (unit === 'hour' || unit === 'h') return count <= 23 ? even(count * HOUR_MS) : undefined
  if (unit === 'day' || unit === 'd') return count === 1 ? days(1) : undefined
  if (unit === 'week' || unit === 'w') return count === 1 ? days(WEEK_DAYS) : undefined
  return unit !== undefined && 12 % count === 0 ? months(count) : undefined
}
