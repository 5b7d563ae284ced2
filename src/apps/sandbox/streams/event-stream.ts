import type { Writable } from 'node:stream'
import type { CancelTimer, Clock } from '#runtime'
import { wireClockOf } from '../time.ts'
import { endOf, type EventSeries, type LoggedEvent } from './event-log.ts'

/**
 * One server-sent event stream: first the requested past events, then live events, on the same
 * response. The server keeps no queue per reader: each reader has a position in the log and
 * advances as fast as it reads. A reader that falls too far behind the live events is moved to the
 * end and gets the number of lost events.
 */

/** The range of events, both ends included. */
export type EventRange = Readonly<{
  /** Absent: live only. */
  isInRange?: (event: LoggedEvent) => boolean
  /** Absent: never ends. */
  until?: Readonly<{ timeMs: number; isPast: (event: LoggedEvent) => boolean }>
}>

/**
 * The fault of the next event: `drop`: the event is dropped, and the reader gets the notice that it
 * was too slow; `error`: the stream ends instead.
 */
export type EventFault = 'drop' | 'error' | undefined

const HEARTBEAT_MS = 15_000
/** A timer of several weeks would fire at once, so the wait for the end of a range is split. */
const END_WAIT_MS_MAX = 3_600_000
/** Maximum number of live events that a reader may be behind. */
const BEHIND_MAX = 10_000

/**
 * Calls `run` once the time has passed. Timers use another clock than the time of day, so a timer
 * may fire a moment early.
 */
function afterTime(clock: Clock, timeMs: number, run: () => void): CancelTimer {
  const leftMs = (): number => timeMs + 1 - clock.now()
  let cancel: CancelTimer = () => undefined
  const wait = (): void => {
    cancel = clock.after(Math.min(Math.max(0, leftMs()), END_WAIT_MS_MAX), () =>
      leftMs() > 0 ? wait() : run(),
    )
  }
  wait()
  return () => cancel()
}

/** Starts writing; stops when the response closes or the range ends. */
export function streamEvents(
  response: Writable,
  series: EventSeries,
  clock: Clock,
  range: EventRange,
  meetFault: () => EventFault = () => undefined,
): void {
  const liveFrom = endOf(series)
  const startIndex = range.isInRange === undefined ? -1 : series.events.findIndex(range.isInRange)
  let position = startIndex < 0 ? liveFrom : series.first + startIndex
  let dropped = 0
  let isFull = false
  let isOver = false

  const write = (text: string): void => void (isFull = !response.write(text))
  const dropTo = (to: number): void => {
    if (to > position) [dropped, position] = [dropped + to - position, to]
  }
  const stop = (): void => {
    isOver = true
    cancelHeartbeat()
    cancelEnd()
    series.listeners.delete(advance)
  }
  const end = (): void => {
    stop()
    response.end()
  }
  const tellDropped = (): void => {
    if (dropped === 0 || isFull || isOver) return
    write(`: you are reading too slowly, dropped ${dropped} messages\n\n`)
    dropped = 0
  }
  const advance = (): void => {
    dropTo(series.first)
    if (endOf(series) - Math.max(position, liveFrom) > BEHIND_MAX) dropTo(endOf(series))
    tellDropped()
    while (!isFull && !isOver) {
      const event = series.events[position - series.first]
      if (event === undefined) break
      if (range.until?.isPast(event) === true) return end()
      const fault = meetFault()
      if (fault === 'error') {
        write(': internal server error\n\n')
        return end()
      }
      position += 1
      if (fault === 'drop') dropped += 1
      else write(`data: ${event.json}\n\n`)
    }
    tellDropped()
    if (
      !isOver &&
      range.until !== undefined &&
      range.until.timeMs < clock.now() &&
      position === endOf(series)
    )
      end()
  }
  const cancelHeartbeat = wireClockOf(clock).every(HEARTBEAT_MS, () => {
    if (!isFull) write(':heartbeat\n\n')
  })
  const cancelEnd =
    range.until === undefined ? () => undefined : afterTime(clock, range.until.timeMs, advance)
  series.listeners.add(advance)
  response.on('error', stop)
  response.on('close', stop)
  response.on('drain', () => {
    isFull = false
    advance()
  })
  write(':heartbeat\n\n')
  advance()
}
