import {
  type BrokerOrder,
  cmp,
  type Decimal,
  hasGap,
  isOpenOrder,
  isTakenIn,
  livePlacements,
  type Order,
  type Placement,
  type Snapshot,
} from '#domain'
import { putNewest } from '#runtime'
import { isHeldUp, isInFlight, tradesAnyTime } from './schedule.ts'

/**
 * The memory of one session about its connection's orders: which orders are open, and which
 * snapshots of the broker have been applied. With this memory, a poll of a thousand unchanged
 * resting orders reads no record from the store.
 *
 * Invariant:
 * - A snapshot is noted only after its commit.
 * - `load` is the truth of the store; all other entries are noted after it.
 * - If an open record no longer contains a snapshot that it once had, the store lost that commit
 *   and the record was written again since, so the snapshot counts as not applied.
 * - A lost entry costs a read or a repeated apply, never an update.
 *
 * An order that another worker has just claimed may be missing until the next `load`.
 */
export class OpenOrders {
  readonly #open = new Map<string, Entry>()
  readonly #snapshots = new Map<string, AppliedSnapshot>()
  #newestAt: string | null = null
  #changes = 0

  /**
   * Replaces the open orders with the stored ones. Where a stored order differs from ours, its
   * applied snapshots are dropped, so the next poll applies them again: the store may have lost
   * that write.
   */
  load(orders: readonly Order[], nowMs: number): void {
    const before = new Map(this.#open)
    this.#open.clear()
    for (const order of orders) {
      if (!isOpenOrder(order)) continue
      const known = before.get(order.id)
      const isSame = known !== undefined && markOf(known.order) === markOf(order)
      this.#open.set(order.id, { order, changedMs: isSame ? known.changedMs : nowMs })
      if (!isSame)
        for (const { brokerOrderId } of order.placements)
          this.#snapshots.delete(brokerOrderId ?? '')
    }
  }

  /** Notes a committed snapshot; `order` is the record after the commit. */
  note(seen: BrokerOrder, order: Order | null, nowMs: number): void {
    if (this.#newestAt === null || seen.submittedAt > this.#newestAt)
      this.#newestAt = seen.submittedAt
    const { status, filledQuantity, updatedAt } = seen
    const snapshot = { status, filledQuantity, updatedAt }
    const orderId = order !== null && hasView(order, seen.brokerOrderId, snapshot) ? order.id : null
    putNewest(
      this.#snapshots,
      seen.brokerOrderId,
      { mark: snapshotMark(seen), snapshot, orderId },
      SNAPSHOTS_MAX,
    )
    if (order !== null) this.keep(order, nowMs)
  }

  keep(order: Order, nowMs: number): void {
    this.#changes += 1
    if (isOpenOrder(order)) this.#open.set(order.id, { order, changedMs: nowMs })
    else this.#open.delete(order.id)
  }

  isUnapplied(seen: BrokerOrder): boolean {
    const snapshot = this.#snapshots.get(seen.brokerOrderId)
    return snapshot?.mark !== snapshotMark(seen) || this.#isLost(seen.brokerOrderId, snapshot)
  }

  #isLost(brokerOrderId: string, { orderId, snapshot }: AppliedSnapshot): boolean {
    const order = this.find(orderId)
    return order !== null && !hasView(order, brokerOrderId, snapshot)
  }

  /** True if a committed snapshot had at least this filled quantity. */
  hasApplied(brokerOrderId: string, filledQuantity: Decimal): boolean {
    const snapshot = this.#snapshots.get(brokerOrderId)
    if (snapshot === undefined || this.#isLost(brokerOrderId, snapshot)) return false
    return cmp(snapshot.snapshot.filledQuantity, filledQuantity) >= 0
  }

  get orders(): Order[] {
    return [...this.#open.values()].map(({ order }) => order)
  }

  find(orderId: string | null): Order | null {
    return orderId === null ? null : (this.#open.get(orderId)?.order ?? null)
  }

  /** If no order is known yet, submissions from `at` on count as new. */
  startAt(at: string): void {
    this.#newestAt ??= at
  }

  /** Grows with every record that is kept. */
  get changes(): number {
    return this.#changes
  }

  get size(): number {
    return this.#open.size
  }

  /**
   * Broker time of the newest noted submission: new orders are submitted after it, independent of
   * our clocks (CLK-01).
   */
  get newestAt(): string | null {
    return this.#newestAt
  }

  inFlight(nowMs: number, isMarketOpen: boolean): Order[] {
    return [...this.#open.values()]
      .filter(({ order, changedMs }) =>
        isInFlight(order, hasGap(order), nowMs - changedMs, isMarketOpen || tradesAnyTime(order)),
      )
      .map(({ order }) => order)
  }

  /** True if a marketable order that could execute now is held up. */
  hasHeldUp(nowMs: number, isMarketOpen: boolean): boolean {
    return [...this.#open.values()].some(({ order, changedMs }) =>
      isHeldUp(order, nowMs - changedMs, isMarketOpen || tradesAnyTime(order)),
    )
  }

  /** True if any order could execute now. */
  canExecute(isMarketOpen: boolean): boolean {
    return isMarketOpen || this.orders.some(tradesAnyTime)
  }
}

/**
 * `orderId`: the record that contained the snapshot after the commit; `null`: no record contained
 * the snapshot unchanged.
 */
type AppliedSnapshot = Readonly<{ mark: string; snapshot: Snapshot; orderId: string | null }>
type Entry = Readonly<{ order: Order; changedMs: number }>

/**
 * The most snapshots in memory. The snapshot noted longest ago is evicted, and applied again when a
 * list shows its order.
 */
const SNAPSHOTS_MAX = 25_000

const hasView = ({ placements }: Order, brokerOrderId: string, snapshot: Snapshot): boolean =>
  placements.some((one) => one.brokerOrderId === brokerOrderId && isTakenIn(one, snapshot))

const snapshotMark = (seen: BrokerOrder): string => {
  const {
    status,
    quantity,
    filledQuantity,
    filledAveragePrice,
    limitPrice,
    stopPrice,
    replacedBy,
  } = seen
  return `${status} ${quantity} ${filledQuantity} ${filledAveragePrice} ${limitPrice} ${stopPrice} ${replacedBy}`
}

const markOf = ({ status, placements, cancel, replaces }: Order): string =>
  JSON.stringify([
    status,
    cancel?.commandId,
    replaces.length,
    placements.map((one) => [one.brokerOrderId, one.status, one.reportedQuantity]),
  ])

/** Broker ids of all placements of these orders. */
export const recordedIds = (orders: readonly Order[]): ReadonlySet<string | null> =>
  new Set(orders.flatMap(({ placements }) => placements.map((one) => one.brokerOrderId)))

/**
 * The placements to read by their ids when a complete list lacks them: a placement that may still
 * execute, or one with reported executions that are not booked.
 */
export const awaited = (order: Order): Placement[] => {
  const live = new Set(livePlacements(order))
  return order.placements.filter(
    (one) =>
      one.brokerOrderId !== null &&
      (live.has(one) || cmp(one.reportedQuantity, one.cumulativeQuantity) > 0),
  )
}
