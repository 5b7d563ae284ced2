import type { Clock } from '#runtime'

/** Before, during and after the regular session; orders for extended hours also work in `pre` and `post`. */
export type Phase = 'closed' | 'pre' | 'regular' | 'post'

/**
 * Whether the market trades. It is open or closed by command, day and night; the hours answered by the clock are those of the
 * exchange (09:30 to 16:00 in New York, Monday to Friday), for display.
 */
export interface Session {
  phase(): Phase
  /** Whether the regular session runs. */
  isOpen(): boolean
  setPhase(phase: Phase): void
  /** Whether an order for that auction is taken now: not from shortly before it until the evening. */
  takesAuctionOrders(auction: 'opg' | 'cls'): boolean
  /** Told after the phase has changed. */
  onChange(listener: (phase: Phase, before: Phase) => void): void
  /** New York time of now, of the next opening and of the next close, RFC 3339 with offset. */
  clock(): Readonly<{ timestamp: string; isOpen: boolean; nextOpen: string; nextClose: string }>
  /** UTC time at which a day order would expire: the close, or the end of extended hours. */
  dayEnd(extendedHours: boolean): string
}

const NEW_YORK = new Intl.DateTimeFormat('en-US', { timeZone: 'America/New_York', timeZoneName: 'longOffset' })
const DAY_MS = 86_400_000
const MINUTE_MS = 60_000
const OPEN_MINUTE = 9 * 60 + 30
const CLOSE_MINUTE = 16 * 60
const POST_END_MINUTE = 20 * 60

/** Milliseconds New York is ahead of UTC (negative) at that time. */
function offsetMs(timeMs: number): number {
  const name = NEW_YORK.formatToParts(timeMs).find(({ type }) => type === 'timeZoneName')?.value ?? ''
  const [, sign, hours, minutes] = /([+-])(\d\d):(\d\d)/.exec(name) ?? []
  return (sign === '-' ? -1 : 1) * (Number(hours ?? 0) * 60 + Number(minutes ?? 0)) * MINUTE_MS
}

function newYorkTime(timeMs: number): string {
  const offset = offsetMs(timeMs)
  const local = new Date(timeMs + offset).toISOString()
  const hours = String(Math.abs(offset) / (60 * MINUTE_MS)).padStart(2, '0')
  return `${local.slice(0, timeMs % 1000 === 0 ? 19 : 23)}${offset < 0 ? '-' : '+'}${hours}:00`
}

/** The first weekday time after `afterMs` at that minute of the New York day. */
function nextAt(afterMs: number, minuteOfDay: number): number {
  const localMidnightMs = Math.floor((afterMs + offsetMs(afterMs)) / DAY_MS) * DAY_MS
  for (let dayMs = localMidnightMs; ; dayMs += DAY_MS) {
    const localMs = dayMs + minuteOfDay * MINUTE_MS
    const timeMs = localMs - offsetMs(localMs - offsetMs(localMs))
    const weekday = new Date(dayMs).getUTCDay()
    if (timeMs > afterMs && weekday !== 0 && weekday !== 6) return timeMs
  }
}

/** A market that is open or closed by command. */
export function createSession(clock: Clock, open: boolean): Session {
  const listeners: ((phase: Phase, before: Phase) => void)[] = []
  let phase: Phase = open ? 'regular' : 'closed'
  return {
    phase: () => phase,
    isOpen: () => phase === 'regular',
    setPhase(next) {
      const before = phase
      if (next === before) return
      phase = next
      listeners.forEach((listener) => listener(next, before))
    },
    takesAuctionOrders: (auction) =>
      phase === 'closed' || phase === 'pre' || (phase === 'regular' && auction === 'cls'),
    onChange: (listener) => void listeners.push(listener),
    clock() {
      const nowMs = clock.now()
      return {
        timestamp: newYorkTime(nowMs),
        isOpen: phase === 'regular',
        nextOpen: newYorkTime(nextAt(nowMs, OPEN_MINUTE)),
        nextClose: newYorkTime(nextAt(nowMs, CLOSE_MINUTE)),
      }
    },
    dayEnd: (extendedHours) =>
      `${new Date(nextAt(clock.now(), extendedHours ? POST_END_MINUTE : CLOSE_MINUTE)).toISOString().slice(0, 19)}Z`,
  }
}
