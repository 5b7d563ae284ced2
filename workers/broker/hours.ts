import type { Clock } from '#runtime'
import type { Broker, MarketClock } from './port.ts'

/**
 * Whether the exchange has its regular session now, by the broker's own clock: daylight saving,
 * early closes and closures that nobody announced are in it (CLK-02). One reading serves all
 * connections of a process.
 *
 * Kept true: a reading is used for `FRESH_MS`, by our steady clock, or until the opening or closing
 * that it announces; where it cannot be renewed it goes on for `STALE_MS_MAX`, and then the
 * exchange counts as closed, which only makes polling slower.
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

  /** @param broker any connection's: they share the exchange */
  async isOpen(broker: Broker): Promise<boolean> {
    return (await this.standing(broker)) ?? false
  }

  /** As `isOpen`; `null`: not known. */
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
      // The caller's own reading fails as well, and says so.
      this.#renewMs = this.#clock.monotonicMs() + RETRY_MS
    } finally {
      this.#reading = null
    }
  }
}

/** By the broker's own figures alone: our clock may be another one. */
function changesInMs({ at, isOpen, nextOpen, nextClose }: MarketClock): number {
  const leftMs = Date.parse(isOpen ? nextClose : nextOpen) - Date.parse(at)
  return Number.isNaN(leftMs) ? Infinity : leftMs
}

const FRESH_MS = 30_000
/** Where an opening or closing is announced for any moment, or for one that is over. */
const APART_MS = 500
const RETRY_MS = 5_000
const STALE_MS_MAX = 10 * 60_000
