import { DAY_MS, newYorkMs } from './new-york.ts'

/**
 * The exchange's calendar, computed from its rules: weekends, holidays with their observed days,
 * early closes, and the few days on which the exchange stayed closed for a storm or in mourning.
 * Dates are `YYYY-MM-DD`; minutes count from midnight in New York.
 */

/** One day on which the exchange trades. */
export type TradingDay = Readonly<{
  date: string
  openMinute: number
  closeMinute: number
  /** First and last minute of extended hours, before and after the session. */
  startMinute: number
  endMinute: number
}>

/** A date outside this range is answered like the nearest date inside. */
export const CALENDAR_FIRST = '1970-01-01'
export const CALENDAR_LAST = '2049-12-31'

const HOUR = 60
const REGULAR = {
  openMinute: 9 * HOUR + 30,
  closeMinute: 16 * HOUR,
  startMinute: 4 * HOUR,
  endMinute: 20 * HOUR,
}
const EARLY = { ...REGULAR, closeMinute: 13 * HOUR, endMinute: 17 * HOUR }
const closures: readonly string[] = ['2012-10-29', '2012-10-30', '2018-12-05', '2025-01-09']
const SUNDAY = 0
const MONDAY = 1
const THURSDAY = 4
const SATURDAY = 6

export const addDays = (date: string, days: number): string =>
  new Date(Date.parse(date) + days * DAY_MS).toISOString().slice(0, 10)
const weekdayOf = (date: string): number => new Date(date).getUTCDay()
const dateOf = (year: number, month: number, day: number): string =>
  new Date(Date.UTC(year, month - 1, day)).toISOString().slice(0, 10)

/** The nth given weekday of a month; with 0 the last such weekday of the month before. */
function nthWeekday(year: number, month: number, weekday: number, nth: number): string {
  const first = dateOf(year, month, 1)
  return addDays(first, ((weekday - weekdayOf(first) + 7) % 7) + (nth - 1) * 7)
}

/** A holiday on a Saturday is observed on Friday, a holiday on a Sunday on Monday. */
function observed(date: string): string {
  const weekday = weekdayOf(date)
  return addDays(date, weekday === SATURDAY ? -1 : weekday === SUNDAY ? 1 : 0)
}

/** Two days before Easter, by the Gregorian computus. */
function goodFriday(year: number): string {
  const century = Math.floor(year / 100)
  const moon =
    (19 * (year % 19) +
      century -
      Math.floor(century / 4) -
      Math.floor((8 * century + 13) / 25) +
      15) %
    30
  const epact =
    moon -
    Math.floor(moon / 28) * (1 - Math.floor(29 / (moon + 1)) * Math.floor((21 - (year % 19)) / 11))
  const weekday = (year + Math.floor(year / 4) + epact + 2 - century + Math.floor(century / 4)) % 7
  return addDays(dateOf(year, 3, 28), epact - weekday - 2)
}

function holidaysOf(year: number): ReadonlySet<string> {
  const newYear = dateOf(year, 1, 1)
  return new Set([
    // A New Year on a Saturday has no observed day: that Friday closes the books of the old year.
    weekdayOf(newYear) === SATURDAY ? newYear : observed(newYear),
    ...(year >= 1998 ? [nthWeekday(year, 1, MONDAY, 3)] : []),
    nthWeekday(year, 2, MONDAY, 3),
    goodFriday(year),
    nthWeekday(year, 6, MONDAY, 0),
    ...(year >= 2022 ? [observed(dateOf(year, 6, 19))] : []),
    observed(dateOf(year, 7, 4)),
    nthWeekday(year, 9, MONDAY, 1),
    nthWeekday(year, 11, THURSDAY, 4),
    observed(dateOf(year, 12, 25)),
    ...closures,
  ])
}

/**
 * Early closes: the days before Independence Day and Christmas, and the day after Thanksgiving, if
 * they are trading days.
 */
const isEarly = (date: string, year: number): boolean =>
  [
    dateOf(year, 7, 3),
    dateOf(year, 12, 24),
    addDays(nthWeekday(year, 11, THURSDAY, 4), 1),
  ].includes(date)

/** At most one entry per year of the calendar. */
const holidays = new Map<number, ReadonlySet<string>>()

/** The trading day of a date, or undefined if the exchange is closed on that date. */
export function tradingDay(date: string): TradingDay | undefined {
  const year = Number(date.slice(0, 4))
  const off = holidays.get(year) ?? holidaysOf(year)
  holidays.set(year, off)
  const weekday = weekdayOf(date)
  if (weekday === SATURDAY || weekday === SUNDAY || off.has(date)) return undefined
  return { date, ...(isEarly(date, year) ? EARLY : REGULAR) }
}

/** The first trading day after that date. */
function nextTradingDay(date: string): TradingDay {
  for (let next = addDays(date, 1); ; next = addDays(next, 1)) {
    const day = tradingDay(next)
    if (day !== undefined) return day
  }
}

/**
 * The settlement date of a day's trades: the third, second or next trading day, by the rule in
 * force on that day.
 */
export function settlementDate(date: string): string {
  const days = date >= '2024-05-28' ? 1 : date >= '2017-09-05' ? 2 : 3
  let settles = date
  for (let day = 0; day < days; day += 1) settles = nextTradingDay(settles).date
  return settles
}

/** The trading days from one date to another, both included. */
export function* tradingDays(from: string, to: string): Generator<TradingDay> {
  const last = to < CALENDAR_LAST ? to : CALENDAR_LAST
  for (
    let date = from > CALENDAR_FIRST ? from : CALENDAR_FIRST;
    date <= last;
    date = addDays(date, 1)
  ) {
    const day = tradingDay(date)
    if (day !== undefined) yield day
  }
}

/** The first time after `afterMs` at which a trading day reaches the given minute. */
export function nextTimeOf(
  afterMs: number,
  today: string,
  minuteOf: (day: TradingDay) => number,
): number {
  for (let day = nextTradingDay(addDays(today, -1)); ; day = nextTradingDay(day.date)) {
    const timeMs = newYorkMs(day.date, minuteOf(day))
    if (timeMs > afterMs) return timeMs
  }
}
