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
 * What one session has in memory of its connection's orders: which are open, and which views of the
 * broker are in them already, so that a poll of a thousand resting orders that did not change costs
 * no read of the store.
 *
 * Kept true: a view is noted only once it is committed; `load` is the truth of the store, and
 * everything else is noted after it. A view that the open record had, and has no more, is news: the
 * store lost its commit, and the record was written since. Losing any of it costs a read or a
 * repeat, never an update. An order that another worker has just claimed may be missing: the next
 * `load` brings it.
 */
export class OpenOrders {
  readonly #open = new Map<string, Entry>()
  readonly #snapshots = new Map<string, AppliedSnapshot>()
  #newestAt: string | null = null
  #changes = 0

  /**
   * Replaces what is known to be open. Of what is otherwise than was noted, the views count as
   * news: the store may have lost them.
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

  /** A view was committed; `order` is the record as it is now. */
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

  /** Whether a view was committed by which so much of the order is filled. */
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

  /** Nothing was seen yet: submissions from `at` on are new. */
  startAt(at: string): void {
    this.#newestAt ??= at
  }

  /** Grows with every record that was noted. */
  get changes(): number {
    return this.#changes
  }

  get size(): number {
    return this.#open.size
  }

  /**
   * Broker time of the newest submission seen: new orders come after it, whatever our clocks say
   * (CLK-01).
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

  /** Whether a marketable order is held up that could execute now. */
  hasHeldUp(nowMs: number, isMarketOpen: boolean): boolean {
    return [...this.#open.values()].some(({ order, changedMs }) =>
      isHeldUp(order, nowMs - changedMs, isMarketOpen || tradesAnyTime(order)),
    )
  }

  /** Whether anything could execute now. */
  canExecute(isMarketOpen: boolean): boolean {
    return isMarketOpen || this.orders.some(tradesAnyTime)
  }
}

/**
 * `orderId`: the record that had the view once it was committed; `null`: it was not taken in as it
 * is.
 */
type AppliedSnapshot = Readonly<{ mark: string; snapshot: Snapshot; orderId: string | null }>
type Entry = Readonly<{ order: Order; changedMs: number }>

/**
 * Views remembered; the one noted longest ago is forgotten, and taken in again when it is listed.
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

/** Broker ids of everything that has a record among these. */
export const recordedIds = (orders: readonly Order[]): ReadonlySet<string | null> =>
  new Set(orders.flatMap(({ placements }) => placements.map((one) => one.brokerOrderId)))

/**
 * What is read by its id when a complete list lacks it: a placement that may still execute, or with
 * executions not yet seen.
 */
export const awaited = (order: Order): Placement[] => {
  const live = new Set(livePlacements(order))
  return order.placements.filter(
    (one) =>
      one.brokerOrderId !== null &&
      (live.has(one) || cmp(one.reportedQuantity, one.cumulativeQuantity) > 0),
  )
}
