import type { MarketSession } from '../../../workers/broker/port.ts'

// The exchange's year 2024, written down from its published calendar; other years have no holidays
// here.

const CLOSED = new Set([
  '2024-01-01',
  '2024-01-15',
  '2024-02-19',
  '2024-03-29',
  '2024-05-27',
  '2024-06-19',
  '2024-07-04',
  '2024-09-02',
  '2024-11-28',
  '2024-12-25',
])
const CLOSED_EARLY = new Set(['2024-07-03', '2024-11-29', '2024-12-24'])
const DAY_MS = 86_400_000

/**
 * New York is four hours behind UTC from the second Sunday of March to the first Sunday of
 * November, else five.
 */
function hoursBehind(date: string): number {
  const sunday = (month: number, nth: number): string => {
    const first = new Date(Date.UTC(Number(date.slice(0, 4)), month, 1)).getUTCDay()
    return new Date(
      Date.UTC(Number(date.slice(0, 4)), month, 1 + ((7 - first) % 7) + 7 * (nth - 1)),
    )
      .toISOString()
      .slice(0, 10)
  }
  return date >= sunday(2, 2) && date < sunday(10, 1) ? 4 : 5
}

/** By day: each is worked out once. */
const known = new Map<string, MarketSession | null>()

/** The regular session of a day, `YYYY-MM-DD`. */
export function sessionOn(date: string): MarketSession | null {
  const session = known.has(date) ? (known.get(date) ?? null) : workedOut(date)
  known.set(date, session)
  return session
}

function workedOut(date: string): MarketSession | null {
  const dayMs = Date.parse(date)
  if ([0, 6].includes(new Date(dayMs).getUTCDay()) || CLOSED.has(date)) return null
  const behind = hoursBehind(date)
  const at = (hour: number, minute: number): string =>
    new Date(dayMs + ((hour + behind) * 60 + minute) * 60_000).toISOString()
  return { date, openAt: at(9, 30), closeAt: at(CLOSED_EARLY.has(date) ? 13 : 16, 0) }
}

/** The regular sessions on the days from `from` to `to`, both included. */
export function sessionsBetween(from: string, to: string): MarketSession[] {
  const sessions: MarketSession[] = []
  for (let dayMs = Date.parse(from); dayMs <= Date.parse(to); dayMs += DAY_MS) {
    const session = sessionOn(new Date(dayMs).toISOString().slice(0, 10))
    if (session !== null) sessions.push(session)
  }
  return sessions
}
