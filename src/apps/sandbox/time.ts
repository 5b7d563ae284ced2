import { type CancelTimer, type Clock, systemClock } from '#runtime'

/**
 * Clocks for the broker besides the machine's own. The market runs in the broker's time.
 * Connections (pings, deadlines, delayed answers) run in the clients' time, which is always real;
 * `wireClockOf` returns the clients' clock.
 */

/** A clock of the broker with a separate clock for its clients. */
type BrokerClock = Clock & Readonly<{ wire: Clock }>

/** The clients' clock, for everything about connections. */
export const wireClockOf = (clock: Clock): Clock =>
  'wire' in clock ? (clock as BrokerClock).wire : clock

/** The opening of a trading day in New York, 2024-01-02 09:30: the same in every run. */
const VIRTUAL_START_MS = Date.UTC(2024, 0, 2, 14, 30)
/** Number of timers in a row before requests get a turn. */
const TIMERS_PER_TURN_MAX = 1_000

type Timer = { readonly atMs: number; readonly run: () => void }

/**
 * A clock that stands still until it is advanced. Timers run in the order of their times, timers of
 * equal time in the order they were set. A timer without a delay runs in the next turn, without an
 * advance.
 */
export class VirtualClock implements BrokerClock {
  readonly wire = systemClock
  #nowMs = VIRTUAL_START_MS
  /** Sorted by time. */
  readonly #timers: Timer[] = []
  #isAdvancing = false

  now(): number {
    return this.#nowMs
  }

  monotonicMs(): number {
    return this.#nowMs - VIRTUAL_START_MS
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      const cancel = this.after(delayMs, resolve)
      signal?.addEventListener('abort', () => {
        cancel()
        reject(signal.reason as Error)
      })
    })
  }

  after(delayMs: number, run: () => void): CancelTimer {
    const timer: Timer = { atMs: this.#nowMs + Math.max(0, delayMs), run }
    let index = this.#timers.length
    while (index > 0 && (this.#timers[index - 1]?.atMs ?? 0) > timer.atMs) index -= 1
    this.#timers.splice(index, 0, timer)
    if (delayMs <= 0) setImmediate(() => this.#isAdvancing || this.#runDue(this.#nowMs, Infinity))
    return () => {
      const at = this.#timers.indexOf(timer)
      if (at >= 0) this.#timers.splice(at, 1)
    }
  }

  every(intervalMs: number, run: () => void): CancelTimer {
    let cancel: CancelTimer = () => undefined
    const plan = (): void => {
      cancel = this.after(intervalMs, () => {
        plan()
        run()
      })
    }
    plan()
    return () => cancel()
  }

  get isAdvancing(): boolean {
    return this.#isAdvancing
  }

  /** Advances the time and runs the timers that fall due. One advance at a time. */
  async advance(byMs: number): Promise<void> {
    this.#isAdvancing = true
    const untilMs = this.#nowMs + byMs
    while (this.#runDue(untilMs, TIMERS_PER_TURN_MAX))
      await new Promise((resolve) => setImmediate(resolve))
    this.#nowMs = untilMs
    this.#isAdvancing = false
  }

  /** Runs at most `count` timers; returns whether more timers may be due. */
  #runDue(untilMs: number, count: number): boolean {
    for (let ran = 0; ran < count; ran += 1) {
      const next = this.#timers[0]
      if (next === undefined || next.atMs > untilMs) return false
      this.#timers.shift()
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      next.run()
    }
    return true
  }
}

/** Real time, `speed` times as fast from now on. */
function fastClock(speed: number): BrokerClock {
  const startMs = systemClock.now()
  const startedMs = systemClock.monotonicMs()
  const elapsedMs = (): number => (systemClock.monotonicMs() - startedMs) * speed
  return {
    wire: systemClock,
    now: () => Math.floor(startMs + elapsedMs()),
    monotonicMs: elapsedMs,
    sleep: (delayMs, signal) => systemClock.sleep(delayMs / speed, signal),
    after: (delayMs, run) => systemClock.after(delayMs / speed, run),
    every: (intervalMs, run) => systemClock.every(intervalMs / speed, run),
  }
}

/** @param speed of `real` time */
export const createClock = (time: 'real' | 'virtual', speed: number): Clock =>
  time === 'virtual' ? new VirtualClock() : speed === 1 ? systemClock : fastClock(speed)
