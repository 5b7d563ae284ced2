import type { Clock, Logger } from '#runtime'

/**
 * Longer than the time between two checks of a connection, so that an outage with few connections
 * is logged as one outage.
 */
const QUIET_MS = 45_000

/**
 * Logs failures that affect every connection at once, as while Redis is away. An outage is logged
 * when it begins and when it is over, with the number of failures in between, and not once for each
 * connection.
 */
export class Outage {
  readonly #clock: Clock
  readonly #log: Logger
  #now: { sinceMs: number; lastMs: number; readonly failures: Map<string, number> } | null = null

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock
    this.#log = log
  }

  /** Counts a failure. `what` is one of a few names of the failed step, never a value. */
  failed(what: string, error: unknown): void {
    const nowMs = this.#clock.monotonicMs()
    if (this.#now === null) {
      this.#now = { sinceMs: nowMs, lastMs: nowMs, failures: new Map() }
      this.#log.warn({ what, error }, 'relay.outage_began')
    }
    this.#now.lastMs = nowMs
    this.#now.failures.set(what, (this.#now.failures.get(what) ?? 0) + 1)
  }

  /** To be called from time to time. */
  tick(): void {
    if (this.#now === null || this.#clock.monotonicMs() - this.#now.lastMs < QUIET_MS) return
    const { sinceMs, lastMs, failures } = this.#now
    this.#now = null
    this.#log.info(
      { failures: Object.fromEntries(failures), forMs: Math.round(lastMs - sinceMs) },
      'relay.outage_over',
    )
  }
}
