import { setTimeout as sleepFor } from 'node:timers/promises'

/** Stops a timer that has not fired yet; harmless afterwards. */
export type CancelTimer = () => void

/**
 * Time as a port: production code asks this, never the platform, so that a whole run can be
 * replayed from a seed.
 */
export interface Clock {
  /**
   * Wall time, milliseconds since 1970. For display and for deadlines agreed with others; never for
   * durations.
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
 * Whether something that was stored with the time `atMs` happened less than `forMs` ago. A time
 * that lies further ahead than that was written before the shared time stepped back: nobody knows
 * its age, and a window must not stay open for as long as the step.
 */
export const isWithin = (nowMs: number, atMs: number, forMs: number): boolean =>
  Math.abs(nowMs - atMs) < forMs

/**
 * Calls `run` once the event loop has handled what is at hand: before it waits, and before timers
 * that are due.
 */
export const afterThisTurn = (run: () => void): void => void setImmediate(run)

/** Wall time as the wire writes it: ISO 8601, UTC, milliseconds. */
export const isoTime = (timeMs: number): string => new Date(timeMs).toISOString()
