import {
  addDays,
  CALENDAR_FIRST,
  CALENDAR_LAST,
  settlementDate,
  type TradingDay,
  tradingDays,
} from '../broker/calendar.ts'
import { choiceOf, timeOf } from './order-queries.ts'
import type { Call, Reply, Routes } from './router.ts'
import type { Json } from './shapes.ts'

/** `GET /v2/calendar`: the days on which the exchange trades. */

const DATE_LENGTH = '2024-01-02'.length
/** The trades of a day settle within this many days, weekends and holidays included. */
const SETTLEMENT_DAYS_MAX = 10

const clockTime = (minute: number, between = ':'): string =>
  `${String(Math.floor(minute / 60)).padStart(2, '0')}${between}${String(minute % 60).padStart(2, '0')}`

const dayJson = ({ date, openMinute, closeMinute, startMinute, endMinute }: TradingDay): Json => ({
  date,
  open: clockTime(openMinute),
  close: clockTime(closeMinute),
  session_open: clockTime(startMinute, ''),
  session_close: clockTime(endMinute, ''),
  settlement_date: settlementDate(date),
})

/** The date of a parameter. Clients send either a date or a full time. */
const dateOf = (query: URLSearchParams, name: string): string | undefined =>
  timeOf(query, name)?.slice(0, DATE_LENGTH)

function calendar({ query }: Call): Reply {
  const start = dateOf(query, 'start') ?? CALENDAR_FIRST
  const end = dateOf(query, 'end') ?? CALENDAR_LAST
  if (choiceOf(query, 'date_type', ['TRADING', 'SETTLEMENT']) === 'TRADING') {
    return { status: 200, body: [...tradingDays(start, end)].map(dayJson) }
  }
  const settling = [...tradingDays(addDays(start, -SETTLEMENT_DAYS_MAX), end)].filter(
    ({ date }) => {
      const settles = settlementDate(date)
      return settles >= start && settles <= end
    },
  )
  return { status: 200, body: settling.map(dayJson) }
}

export const calendarRoutes: Routes = { 'GET /v2/calendar': calendar }
