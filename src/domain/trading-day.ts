/** The zone of the exchanges whose days we keep: it has the daylight saving that the market has. */
const EXCHANGE_ZONE = 'America/New_York'
const dayFormat = new Intl.DateTimeFormat('en-CA', {
  timeZone: EXCHANGE_ZONE,
  year: 'numeric',
  month: '2-digit',
  day: '2-digit',
})

/** The calendar day at the exchange, `2026-01-02`. Days without a session are days too: nothing executes on them but crypto. */
export const tradingDayOf = (timeMs: number): string => dayFormat.format(timeMs)
