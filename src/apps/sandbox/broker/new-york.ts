/** Wall time in New York, daylight saving included. A date is `YYYY-MM-DD` of the local day. */

const NEW_YORK = new Intl.DateTimeFormat('en-US', {
  timeZone: 'America/New_York',
  timeZoneName: 'longOffset',
})
export const DAY_MS = 86_400_000
const MINUTE_MS = 60_000

/** Milliseconds New York is ahead of UTC (negative) at that time. */
function offsetMs(timeMs: number): number {
  const name =
    NEW_YORK.formatToParts(timeMs).find(({ type }) => type === 'timeZoneName')?.value ?? ''
  const [, sign, hours, minutes] = /([+-])(\d\d):(\d\d)/.exec(name) ?? []
  return (sign === '-' ? -1 : 1) * (Number(hours ?? 0) * 60 + Number(minutes ?? 0)) * MINUTE_MS
}

/** RFC 3339 with New York's offset at that time. */
export function newYorkTime(timeMs: number): string {
  const offset = offsetMs(timeMs)
  const local = new Date(timeMs + offset).toISOString()
  const hours = String(Math.abs(offset) / (60 * MINUTE_MS)).padStart(2, '0')
  return `${local.slice(0, timeMs % 1000 === 0 ? 19 : 23)}${offset < 0 ? '-' : '+'}${hours}:00`
}

/** The local date at a time. */
export const newYorkDate = (timeMs: number): string =>
  new Date(timeMs + offsetMs(timeMs)).toISOString().slice(0, 10)

/** The time of a local minute of a local day. */
export function newYorkMs(date: string, minuteOfDay: number): number {
  const localMs = Date.parse(date) + minuteOfDay * MINUTE_MS
  return localMs - offsetMs(localMs - offsetMs(localMs))
}
