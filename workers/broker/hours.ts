import type { Clock } from '#runtime'
import type { Broker, MarketClock } from './port.ts'

/**
 * The state of the exchange's regular session by the broker's own clock, which includes daylight
 * saving, early closes and unannounced closures (CLK-02). One reading serves all connections of a
 * process.
 *
 * Invariant:
 * - A reading is used for `FRESH_MS`, by our steady clock, or until the opening or closing that it
 *   announces.
 * - If a reading cannot be renewed, it stays in use for `STALE_MS_MAX`; then the exchange counts as
 *   closed, which only makes polling slower.
 */
export class MarketHours {
  readonly #clock: Clock
  #isOpen = false
  #readMs = -Infinity
  #renewMs = -Infinity
  #reading: Promise<void> | null = null

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** @param broker any connection's broker: the exchange is the same for all */
  async isOpen(broker: Broker): Promise<boolean> {
    return (await this.standing(broker)) ?? false
  }

  /** Like `isOpen`; `null`: unknown. */
  async standing(broker: Broker): Promise<boolean | null> {
    const nowMs = this.#clock.monotonicMs()
    if (nowMs >= this.#renewMs) this.#reading ??= this.#read(broker)
    await this.#reading
    return nowMs - this.#readMs < STALE_MS_MAX ? this.#isOpen : null
  }

  async #read(broker: Broker): Promise<void> {
    try {
      const clock = await broker.readClock()
      this.#isOpen = clock.isOpen
      this.#readMs = this.#clock.monotonicMs()
      this.#renewMs = this.#readMs + Math.min(FRESH_MS, Math.max(changesInMs(clock), APART_MS))
    } catch {
      // The caller's own request fails as well, and reports the failure.
      this.#renewMs = this.#clock.monotonicMs() + RETRY_MS
    } finally {
      this.#reading = null
    }
  }
}

/** Time until the next change, computed only from the broker's times: our clock may differ. */
function changesInMs({ at, isOpen, nextOpen, nextClose }: MarketClock): number {
  const leftMs = Date.parse(isOpen ? nextClose : nextOpen) - Date.parse(at)
  return Number.isNaN(leftMs) ? Infinity : leftMs
}

const FRESH_MS = 30_000
/** Distance of the readings if the announced opening or closing is due now, or has passed. */
const APART_MS = 500
const RETRY_MS = 5_000
const STALE_MS_MAX = 10 * 60_000
