import { type BrokerOrder, type BrokerTotal, type Order, SETTLE_MS, unsettledTotals } from '#domain'
import { putNewest } from '#runtime'

export type Snapshots = ReadonlyMap<string, BrokerOrder>
type Unsettled = Readonly<{ order: Order; brokerOrderId: string; total: BrokerTotal }>

/**
 * Orders whose broker's total is another than what is booked, or under which executions wait that
 * no source tells any more: something was taken back, and that was not told, or not of what is
 * booked (FIL-12).
 *
 *   differs --shown in a complete reading--> in sight
 *   in sight --shown again, unchanged, a settle window later--> standing: to be booked
 *   in sight --the total or what is booked moved--> in sight anew
 *
 * Kept true: a view that is older than the latest total known says nothing. Forgetting (a restart)
 * only begins the window again.
 */
export class TotalMismatches {
  readonly #totalMismatches = new Map<string, Readonly<{ mark: string; sinceMs: number }>>()

  /** @param orders as they are recorded  @param views complete readings, by broker order id */
  look(
    orders: readonly Order[],
    snapshots: Snapshots,
    nowMs: number,
  ): { standing: Unsettled[]; waiting: number } {
    const unsettled = orders.flatMap((order) =>
      unsettledTotals(order).map((one) => ({ order, ...one })),
    )
    // Only what was asked about is settled now: a poll shows ended orders too, and asks about the
    // open ones.
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

/** Beyond it the oldest begins its window again. */
const MISMATCHES_MAX = 10_000

export const shows = (seen: BrokerOrder, total: BrokerTotal): boolean =>
  seen.filledQuantity === total.quantity &&
  seen.filledAveragePrice === total.averagePrice &&
  seen.updatedAt >= total.at
