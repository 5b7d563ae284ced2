import { cmp, type Decimal } from '#domain'
import type { CancelTimer, Clock } from '#runtime'
import { ON_ITS_WAY } from '../state/index.ts'
import type { BrokerReport } from './context.ts'

/**
 * What may wait a moment, because something better is usually on its way.
 *
 *   an acknowledgement --the order's next message comes--> dropped: that one says it too
 *                      --`ACKNOWLEDGED_MS` later---------> applied after all
 *   an execution that only the activity stream told --seen by then--> nothing
 *                    --not seen after `UNTOLD_MS`--> the trade stream dropped it: look
 *
 * A market order is acknowledged by the answer to its own submission and executed a moment later;
 * taking the stream's acknowledgement in as well would cost a read of the store for every one of
 * them. Kept true: nothing is dropped that no later message of the same order contains, and
 * messages of one order stay in their order.
 */
export class Patience {
  readonly #clock: Clock
  readonly #on: PatienceListener
  /** Oldest first. */
  readonly #acknowledged = new Map<string, Readonly<{ report: BrokerReport; dueMs: number }>>()
  #isReleasing = false
  #untold = new Map<string, Decimal>()
  #timers: CancelTimer[] = []

  constructor(clock: Clock, on: PatienceListener) {
    this.#clock = clock
    this.#on = on
  }

  /** @returns whether it waits here: then it is not to be applied now */
  holds(report: BrokerReport): boolean {
    const { brokerOrderId } = report.order
    this.#acknowledged.delete(brokerOrderId)
    if (!isAcknowledgement(report) || this.#acknowledged.size >= HELD_MAX) return false
    this.#acknowledged.set(brokerOrderId, {
      report,
      dueMs: this.#clock.monotonicMs() + ACKNOWLEDGED_MS,
    })
    this.#releaseIn(ACKNOWLEDGED_MS)
    return true
  }

  /** The activity stream told of an execution; `cumulativeQuantity` includes it. */
  expect(brokerOrderId: string, cumulativeQuantity: Decimal): void {
    if (this.#untold.size === 0) this.#after(UNTOLD_MS, () => this.#look())
    const known = this.#untold.get(brokerOrderId)
    if (known !== undefined ? cmp(cumulativeQuantity, known) > 0 : this.#untold.size < HELD_MAX)
      this.#untold.set(brokerOrderId, cumulativeQuantity)
  }

  stop(): void {
    for (const cancel of this.#timers) cancel()
  }

  #releaseIn(delayMs: number): void {
    if (this.#isReleasing) return
    this.#isReleasing = true
    this.#after(delayMs, () => {
      this.#isReleasing = false
      this.#release()
    })
  }

  /** Each waits its own time: most have been dropped by then. */
  #release(): void {
    const nowMs = this.#clock.monotonicMs()
    for (const [brokerOrderId, { report, dueMs }] of this.#acknowledged) {
      if (dueMs > nowMs) return this.#releaseIn(dueMs - nowMs)
      this.#acknowledged.delete(brokerOrderId)
      this.#on.onAcknowledged(report)
    }
  }

  #look(): void {
    const waiting = [...this.#untold]
    this.#untold = new Map()
    if (waiting.some(([id, quantity]) => !this.#on.isApplied(id, quantity))) this.#on.onMissed()
  }

  #after(delayMs: number, run: () => void): void {
    const cancel = this.#clock.after(delayMs, () => {
      this.#timers = this.#timers.filter((one) => one !== cancel)
      run()
    })
    this.#timers.push(cancel)
  }
}

export type PatienceListener = Readonly<{
  onAcknowledged(report: BrokerReport): void
  isApplied(brokerOrderId: string, cumulativeQuantity: Decimal): boolean
  onMissed(): void
}>

const ACKNOWLEDGED_MS = 250
const UNTOLD_MS = 1_000
/** Messages that wait at once; what comes beyond it is applied right away. */
const HELD_MAX = 1_000

/**
 * It says that a market order is on its way, and nothing else. One that will rest may protect a
 * position: it is taken in at once.
 */
const isAcknowledgement = ({ order, execution, bust }: BrokerReport): boolean =>
  order.orderType === 'market' &&
  ON_ITS_WAY.has(order.status) &&
  execution === null &&
  bust === null &&
  order.replaces === null &&
  order.filledQuantity === '0'
