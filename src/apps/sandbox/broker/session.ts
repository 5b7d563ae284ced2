import type { CancelTimer, Clock } from '#runtime'
import { secondStamp } from '../stamps.ts'
import { nextTimeOf, type TradingDay, tradingDay } from './calendar.ts'
import { newYorkDate, newYorkMs, newYorkTime } from './new-york.ts'

/**
 * Before, during and after the regular session; orders for extended hours also work in `pre` and
 * `post`.
 */
export type Phase = 'closed' | 'pre' | 'regular' | 'post'

/**
 * The market session: closed or open by command, day and night, or by the exchange's calendar. The
 * times of `clock` always come from the calendar; while the calendar is followed, `is_open` agrees
 * with them.
 */
export interface Session {
  phase(): Phase
  /** True during the regular session. */
  isOpen(): boolean
  /** Sets the phase by command; from then on the calendar is not followed. */
  setPhase(phase: Phase): void
  /** Follows the exchange's hours. */
  followCalendar(): void
  followsCalendar(): boolean
  /** False from shortly before the auction until the evening: its orders are refused then. */
  takesAuctionOrders(auction: 'opg' | 'cls'): boolean
  /** Calls the listener after each change of the phase. */
  onChange(listener: (phase: Phase, before: Phase) => void): void
  /** New York time of now, of the next opening and of the next close, RFC 3339 with offset. */
  clock(): Readonly<{ timestamp: string; isOpen: boolean; nextOpen: string; nextClose: string }>
  /** UTC time at which a day order would expire: the close, or the end of extended hours. */
  dayEnd(extendedHours: boolean): string
  stop(): void
}

const MINUTE_MS = 60_000
/**
 * Auction orders are refused from this many minutes before their auction, and accepted again from
 * this minute of the day.
 */
const OPENING_CUTOFF_MINUTES = 2
const CLOSING_CUTOFF_MINUTES = 10
const EVENING_MINUTE = 19 * 60

const bounds: readonly (readonly [minuteOf: (day: TradingDay) => number, phase: Phase])[] = [
  [(day) => day.startMinute, 'pre'],
  [(day) => day.openMinute, 'regular'],
  [(day) => day.closeMinute, 'post'],
  [(day) => day.endMinute, 'closed'],
]

/** The calendar's phase at a time. */
function phaseAt(nowMs: number): Phase {
  const day = tradingDay(newYorkDate(nowMs))
  if (day === undefined) return 'closed'
  const passed = bounds.filter(([minuteOf]) => newYorkMs(day.date, minuteOf(day)) <= nowMs)
  return passed.at(-1)?.[1] ?? 'closed'
}

const nextAt = (nowMs: number, minuteOf: (day: TradingDay) => number): number =>
  nextTimeOf(nowMs, newYorkDate(nowMs), minuteOf)

function calendarTakes(auction: 'opg' | 'cls', nowMs: number): boolean {
  const day = tradingDay(newYorkDate(nowMs))
  if (day === undefined) return true
  const minute = (nowMs - newYorkMs(day.date, 0)) / MINUTE_MS
  const cutoff =
    auction === 'opg'
      ? day.openMinute - OPENING_CUTOFF_MINUTES
      : day.closeMinute - CLOSING_CUTOFF_MINUTES
  return minute < cutoff || minute >= EVENING_MINUTE
}

/** @param start a market that is open, is closed, or follows the calendar from the start */
export function createSession(clock: Clock, start: boolean | 'calendar'): Session {
  const listeners: ((phase: Phase, before: Phase) => void)[] = []
  let phase: Phase = start === 'calendar' ? phaseAt(clock.now()) : start ? 'regular' : 'closed'
  let cancel: CancelTimer | undefined
  // A cache, because every order asks: the next end of a day stays the same until it is reached.
  const dayEnds = new Map<boolean, Readonly<{ sinceMs: number; endMs: number }>>()
  const stop = (): void => {
    cancel?.()
    cancel = undefined
  }
  const enter = (next: Phase): void => {
    const before = phase
    if (next === before) return
    phase = next
    listeners.forEach((listener) => listener(next, before))
  }
  const follow = (): void => {
    stop()
    const nowMs = clock.now()
    const nextMs = Math.min(...bounds.map(([minuteOf]) => nextAt(nowMs, minuteOf)))
    cancel = clock.after(nextMs - nowMs, follow)
    enter(phaseAt(nowMs))
  }
  if (start === 'calendar') follow()
  return {
    phase: () => phase,
    isOpen: () => phase === 'regular',
    setPhase(next) {
      stop()
      enter(next)
    },
    followCalendar: follow,
    followsCalendar: () => cancel !== undefined,
    takesAuctionOrders(auction) {
      if (cancel !== undefined) return calendarTakes(auction, clock.now())
      return phase === 'closed' || phase === 'pre' || (phase === 'regular' && auction === 'cls')
    },
    onChange: (listener) => void listeners.push(listener),
    clock() {
      const nowMs = clock.now()
      return {
        timestamp: newYorkTime(nowMs),
        isOpen: phase === 'regular',
        nextOpen: newYorkTime(nextAt(nowMs, (day) => day.openMinute)),
        nextClose: newYorkTime(nextAt(nowMs, (day) => day.closeMinute)),
      }
    },
    dayEnd(extendedHours) {
      const nowMs = clock.now()
      const known = dayEnds.get(extendedHours)
      const isStillNext = known !== undefined && nowMs >= known.sinceMs && nowMs < known.endMs
      const endMs = isStillNext
        ? known.endMs
        : nextAt(nowMs, (day) => (extendedHours ? day.endMinute : day.closeMinute))
      if (!isStillNext) dayEnds.set(extendedHours, { sinceMs: nowMs, endMs })
      return secondStamp(endMs)
    },
    stop,
  }
}
