import { z } from 'zod'
import type { MarketSession } from '../port.ts'

// Translates Alpaca's calendar (days and the wall clock of New York) to sessions in UTC.

const exchangeTime = z.string().regex(/^\d{2}:?\d{2}$/)
const dayShape = z.object({ date: z.date(), open: exchangeTime, close: exchangeTime })

const wallClock = new Intl.DateTimeFormat('en-US', {
  timeZone: 'America/New_York',
  hourCycle: 'h23',
  year: 'numeric',
  month: '2-digit',
  day: '2-digit',
  hour: '2-digit',
  minute: '2-digit',
})

/** The wall-clock time in New York at `timeMs`, read as if it were UTC. */
function shownAtMs(timeMs: number): number {
  const part = Object.fromEntries(
    wallClock.formatToParts(timeMs).map(({ type, value }) => [type, value]),
  )
  return Date.parse(
    `${part['year']}-${part['month']}-${part['day']}T${part['hour']}:${part['minute']}:00Z`,
  )
}

/**
 * The time at which New York's clock shows `HH:MM` on the day. Sessions never begin or end in the
 * hour that daylight saving moves.
 */
function utcOf(date: string, time: string): string {
  const wantedMs = Date.parse(`${date}T${time.slice(0, 2)}:${time.slice(-2)}:00Z`)
  return new Date(2 * wantedMs - shownAtMs(wantedMs + 5 * 3_600_000) + 5 * 3_600_000).toISOString()
}

/**
 * The session of one day of the SDK's model, whose date is midnight in UTC. @throws {z.ZodError}
 */
export function sessionOf(model: unknown): MarketSession {
  const { date: day, open, close } = dayShape.parse(model)
  const date = day.toISOString().slice(0, 10)
  return { date, openAt: utcOf(date, open), closeAt: utcOf(date, close) }
}
