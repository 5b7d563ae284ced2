/** The time zone of the exchange, with its daylight saving time. */
const EXCHANGE_ZONE = 'America/New_York'
const dayFormat = new Intl.DateTimeFormat('en-CA', {
  timeZone: EXCHANGE_ZONE,
  year: 'numeric',
  month: '2-digit',
  day: '2-digit',
})

/**
 * Days and clock changes begin on a quarter of an hour in every zone. Formatting is slow, so the
 * day of the last quarter is cached.
 */
const QUARTER_MS = 900_000
let last = { quarter: Number.NaN, day: '' }

/**
 * The calendar day at the exchange, such as `2026-01-02`. Days without a session count too; only
 * crypto executes on such days.
 */
export function tradingDayOf(timeMs: number): string {
  const quarter = Math.floor(timeMs / QUARTER_MS)
  if (quarter !== last.quarter) last = { quarter, day: dayFormat.format(timeMs) }
  return last.day
}
