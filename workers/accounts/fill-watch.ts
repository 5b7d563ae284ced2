import { cmp, type Decimal } from '#domain'
import type { CancelTimer, Clock } from '#runtime'

/**
 * Watches executions that only the activity stream has reported. If an execution is not applied
 * `WAIT_MS` later, the trade stream dropped its report, and the orders have to be polled.
 */
export class FillWatch {
  readonly #clock: Clock
  readonly #on: FillWatchListener
  /** By broker order id: the filled quantity that the activity stream has reported. */
  #expected = new Map<string, Decimal>()
  #cancelTimer: CancelTimer = () => {}

  constructor(clock: Clock, on: FillWatchListener) {
    this.#clock = clock
    this.#on = on
  }

  /** @param cumulativeQuantity filled by the order so far, the reported execution included */
  expect(brokerOrderId: string, cumulativeQuantity: Decimal): void {
    if (this.#expected.size === 0)
      this.#cancelTimer = this.#clock.after(WAIT_MS, () => this.#check())
    const known = this.#expected.get(brokerOrderId)
    const isHigher = known !== undefined && cmp(cumulativeQuantity, known) > 0
    const isNew = known === undefined && this.#expected.size < EXPECTED_MAX
    if (isHigher || isNew) this.#expected.set(brokerOrderId, cumulativeQuantity)
  }

  stop(): void {
    this.#cancelTimer()
  }

  #check(): void {
    const expected = [...this.#expected]
    this.#expected = new Map()
    if (expected.some(([id, quantity]) => !this.#on.isApplied(id, quantity))) this.#on.onMissed()
  }
}

export type FillWatchListener = Readonly<{
  /** True if a snapshot with at least this filled quantity was applied. */
  isApplied(brokerOrderId: string, cumulativeQuantity: Decimal): boolean
  onMissed(): void
}>

const WAIT_MS = 1_000
/** Orders that are watched at once; the regular polls find the fills of further orders. */
const EXPECTED_MAX = 1_000
