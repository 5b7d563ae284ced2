import type { CancelTimer, Clock } from '#runtime'
import { ON_ITS_WAY } from '../state/index.ts'
import type { BrokerReport } from './context.ts'

/**
 * Delays the acknowledgement of a market order, since the next report of the order usually follows
 * within a moment and includes the acknowledgement. Applying both costs one more read of the store
 * for every market order.
 *
 *   acknowledgement --next report of the order--> dropped
 *                   --`DELAY_MS` later----------> released
 *
 * Invariant:
 * - a dropped report is included in a later report of the same order
 * - the reports of one order keep their sequence
 */
export class AckDebounce {
  readonly #clock: Clock
  readonly #release: (report: BrokerReport) => void
  /** By broker order id, oldest first. */
  readonly #delayed = new Map<string, Readonly<{ report: BrokerReport; dueMs: number }>>()
  #cancelTimer: CancelTimer | null = null

  /** @param release applies a report whose delay is over */
  constructor(clock: Clock, release: (report: BrokerReport) => void) {
    this.#clock = clock
    this.#release = release
  }

  /** @returns true if the report is delayed; then the caller does not apply it */
  delays(report: BrokerReport): boolean {
    const { brokerOrderId } = report.order
    this.#delayed.delete(brokerOrderId)
    if (!isAcknowledgement(report) || this.#delayed.size >= DELAYED_MAX) return false
    this.#delayed.set(brokerOrderId, { report, dueMs: this.#clock.monotonicMs() + DELAY_MS })
    this.#releaseIn(DELAY_MS)
    return true
  }

  stop(): void {
    this.#cancelTimer?.()
  }

  #releaseIn(delayMs: number): void {
    this.#cancelTimer ??= this.#clock.after(delayMs, () => {
      this.#cancelTimer = null
      this.#releaseDue()
    })
  }

  #releaseDue(): void {
    const nowMs = this.#clock.monotonicMs()
    for (const [brokerOrderId, { report, dueMs }] of this.#delayed) {
      if (dueMs > nowMs) return this.#releaseIn(dueMs - nowMs)
      this.#delayed.delete(brokerOrderId)
      this.#release(report)
    }
  }
}

const DELAY_MS = 250
/** The most reports delayed at once; a further report is applied without a delay. */
const DELAYED_MAX = 1_000

/**
 * A report is an acknowledgement if it only shows that a market order is on its way. An order that
 * will rest may protect a position, so its acknowledgement is applied at once.
 */
const isAcknowledgement = ({ order, execution, bust }: BrokerReport): boolean =>
  order.orderType === 'market' &&
  ON_ITS_WAY.has(order.status) &&
  execution === null &&
  bust === null &&
  order.replaces === null &&
  order.filledQuantity === '0'
