import { setTimeout as sleepFor } from 'node:timers/promises'

/** Stops a timer that has not fired yet; harmless afterwards. */
export type CancelTimer = () => void

/**
 * Time as a port: production code uses this port, never the platform's clock, so that a whole run
 * can be replayed from a seed.
 */
export interface Clock {
  /**
   * Wall time, milliseconds since 1970. For display and for deadlines that other systems share;
   * never for durations.
   */
  now(): number
  /** Milliseconds on a clock that never jumps. For durations. */
  monotonicMs(): number
  /** Resolves after `delayMs`, or rejects with the signal's reason as soon as `signal` aborts. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>
  /** Calls `run` once after `delayMs`. Does not keep a draining process alive. */
  after(delayMs: number, run: () => void): CancelTimer
  /** Calls `run` every `intervalMs`. Does not keep a draining process alive. */
  every(intervalMs: number, run: () => void): CancelTimer
}

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (delayMs, signal) => sleepFor(delayMs, undefined, signal === undefined ? {} : { signal }),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs).unref()
    return () => clearTimeout(timer)
  },
  every(intervalMs, run) {
    const timer = setInterval(run, intervalMs).unref()
    return () => clearInterval(timer)
  },
}

/**
 * Returns whether a record with the time `atMs` was stored less than `forMs` ago. A time that lies
 * further ahead than `forMs` was written before the shared time stepped back: its age is unknown,
 * and a window must not stay open for as long as the step.
 */
export const isWithin = (nowMs: number, atMs: number, forMs: number): boolean =>
  Math.abs(nowMs - atMs) < forMs

/**
 * Calls `run` once the event loop has handled the events that are ready: before it waits, and
 * before timers that are due.
 */
export const afterThisTurn = (run: () => void): void => void setImmediate(run)

/** Wall time in the format of the events: ISO 8601, UTC, milliseconds. */
export const isoTime = (timeMs: number): string => new Date(timeMs).toISOString()
