import { type BrokerOrder, type BrokerTotal, type Order, SETTLE_MS, unsettledTotals } from '#domain'
import { putNewest } from '#runtime'

export type Snapshots = ReadonlyMap<string, BrokerOrder>
type Unsettled = Readonly<{ order: Order; brokerOrderId: string; total: BrokerTotal }>

/**
 * Finds orders whose broker total differs from the booked executions, and orders whose held
 * executions wait for an execution that no source reports any more. The cause is a bust that was
 * not reported, or the bust of an execution that is not booked (FIL-12).
 *
 *   differs --shown in a complete reading--> suspected
 *   suspected --shown again, unchanged, a settle window later--> lasting: the total is adopted
 *   suspected --the total or the bookings changed--> suspected anew
 *
 * Invariant:
 * - A snapshot that is older than the latest known total proves nothing.
 * - A restart only starts the settle window again.
 */
export class TotalMismatches {
  readonly #totalMismatches = new Map<string, Readonly<{ mark: string; sinceMs: number }>>()

  /** @param orders the recorded orders @param snapshots complete readings, by broker order id */
  look(
    orders: readonly Order[],
    snapshots: Snapshots,
    nowMs: number,
  ): { standing: Unsettled[]; waiting: number } {
    const unsettled = orders.flatMap((order) =>
      unsettledTotals(order).map((one) => ({ order, ...one })),
    )
    // Only the orders given by the caller can be settled: a poll lists ended orders too, but passes
    // only the open orders.
    const settled = new Set(
      orders.flatMap(({ placements }) => placements.map((one) => one.brokerOrderId)),
    )
    for (const { brokerOrderId } of unsettled) settled.delete(brokerOrderId)
    for (const id of this.#totalMismatches.keys())
      if (snapshots.has(id) && settled.has(id)) this.#totalMismatches.delete(id)
    const shown = unsettled.filter(({ brokerOrderId, total }) => {
      const seen = snapshots.get(brokerOrderId)
      return seen !== undefined && shows(seen, total)
    })
    const standing = shown.filter((one) => this.#hasStood(one, nowMs))
    return { standing, waiting: shown.length - standing.length }
  }

  #hasStood({ order, brokerOrderId }: Unsettled, nowMs: number): boolean {
    const mark = JSON.stringify(order.placements.find((one) => one.brokerOrderId === brokerOrderId))
    const mismatch = this.#totalMismatches.get(brokerOrderId)
    if (mismatch?.mark === mark) return nowMs - mismatch.sinceMs >= SETTLE_MS
    putNewest(this.#totalMismatches, brokerOrderId, { mark, sinceMs: nowMs }, MISMATCHES_MAX)
    return false
  }
}

/** Beyond this number, the oldest mismatch is evicted and starts its settle window again. */
const MISMATCHES_MAX = 10_000

export const shows = (seen: BrokerOrder, total: BrokerTotal): boolean =>
  seen.filledQuantity === total.quantity &&
  seen.filledAveragePrice === total.averagePrice &&
  seen.updatedAt >= total.at
