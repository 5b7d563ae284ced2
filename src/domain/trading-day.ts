/** The zone of the exchanges whose days we keep: it has the daylight saving that the market has. */
const EXCHANGE_ZONE = 'America/New_York'
const dayFormat = new Intl.DateTimeFormat('en-CA', {
  timeZone: EXCHANGE_ZONE,
  year: 'numeric',
  month: '2-digit',
  day: '2-digit',
})

/**
 * Days and clock changes begin on the quarter hour everywhere; formatting is dear, and the same
 * quarter is asked for again and again.
 */
const QUARTER_MS = 900_000
let last = { quarter: Number.NaN, day: '' }

/**
 * The calendar day at the exchange, `2026-01-02`. Days without a session are days too: nothing
 * executes on them but crypto.
 */
export function tradingDayOf(timeMs: number): string {
  const quarter = Math.floor(timeMs / QUARTER_MS)
  if (quarter !== last.quarter) last = { quarter, day: dayFormat.format(timeMs) }
  return last.day
}
