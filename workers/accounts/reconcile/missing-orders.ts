import { type BrokerOrder, isFinalStatus, type Order, type Placement } from '#domain'
import { BrokerError } from '../../broker/index.ts'
import type { AccountContext } from '../context.ts'
import { awaited } from '../open-orders.ts'

// Lists are for discovery, never for proof of absence (CLK-05): an open order that is missing in a
// complete list is read by its id.

/**
 * The most orders that one pass reads by id, within the request budget; the remaining orders follow
 * in the next passes.
 */
export const IDS_PER_POLL = 4
export const IDS_PER_RECOVERY = 5
/**
 * If more orders than this are missing, one list replaces the readings by id, for example at the
 * close, when every day order expires. The list covers ended orders: nearly all orders missing in a
 * list of open orders have ended, and ended orders are few beside a thousand resting orders.
 */
const LIST_INSTEAD_OF = 2
const LIST_BACK_MS = 24 * 3_600_000
/**
 * The delay before an order is queried again. `UNKNOWN_AGAIN_MS` applies to an order that the
 * broker did not know, or whose exits the broker did not name.
 */
const AGAIN_MS = 3_000
const UNKNOWN_AGAIN_MS = 60_000

/** A broker order that is open here and should be in the list. */
type ExpectedOrder = Readonly<{
  brokerOrderId: string
  submittedAt: string
  /** While any of these orders is open, this order has not changed. */
  waitsFor: readonly string[]
  /** The order is read for its exits, which a list does not name. */
  isForExits: boolean
}>

/**
 * Remembers when each id was last queried, so that ids the broker never knows cannot starve the
 * others.
 */
export class MissingOrders {
  readonly #context: AccountContext
  #dueMs = new Map<string, number>()

  constructor(context: AccountContext) {
    this.#context = context
  }

  /**
   * Stops when the request budget is spent, and returns the orders read so far: otherwise each call
   * would read the same orders again.
   * @param expected collected before the list was read: an order claimed later may be missing only
   *   because it is newer than the list
   * @param rows the list
   * @returns the orders found, and whether every due id was queried
   */
  async read(
    expected: readonly ExpectedOrder[],
    rows: Iterable<BrokerOrder>,
    idsMax: number,
  ): Promise<{ found: BrokerOrder[]; isComplete: boolean; requests: number }> {
    const { broker, openOrders, clock } = this.#context
    const found = new Map<string, BrokerOrder>()
    let requests = 0
    let missing = missingIn(rows, expected)
    const backTo = Date.parse(openOrders.newestAt ?? '') - LIST_BACK_MS
    const recent = missing.filter(({ submittedAt }) => Date.parse(submittedAt) >= backTo)
    if (recent.length > LIST_INSTEAD_OF) {
      const since = recent.map(({ submittedAt }) => submittedAt).reduce((a, b) => (a < b ? a : b))
      const ids = new Set(recent.map(({ brokerOrderId }) => brokerOrderId))
      requests += 1
      const closed = await unlessSpent(() => broker.listOrders({ status: 'closed', since }))
      if (closed === SPENT) return { found: [], isComplete: false, requests }
      for (const order of closed)
        if (ids.has(order.brokerOrderId)) found.set(order.brokerOrderId, order)
      missing = missing.filter(({ brokerOrderId }) => !found.has(brokerOrderId))
    }
    const nowMs = clock.monotonicMs()
    this.#forgetAllBut(missing)
    const due = missing.filter(
      ({ brokerOrderId }) => nowMs >= (this.#dueMs.get(brokerOrderId) ?? -Infinity),
    )
    let asked = 0
    for (const { brokerOrderId, isForExits } of due.slice(0, idsMax)) {
      const order = await unlessSpent(() => broker.findByBrokerOrderId(brokerOrderId))
      if (order === SPENT) break
      asked += 1
      this.#dueMs.set(
        brokerOrderId,
        nowMs + (order === null || isForExits ? UNKNOWN_AGAIN_MS : AGAIN_MS),
      )
      if (order === null)
        this.#context.log.error(
          { ...this.#context.ref, brokerOrderId },
          'poll.order_unknown_to_broker',
        )
      else found.set(brokerOrderId, order)
    }
    return {
      found: [...found.values()],
      isComplete: asked === due.length,
      requests: requests + asked,
    }
  }

  #forgetAllBut(missing: readonly ExpectedOrder[]): void {
    if (this.#dueMs.size === 0) return
    const ids = new Set(missing.map(({ brokerOrderId }) => brokerOrderId))
    this.#dueMs = new Map([...this.#dueMs].filter(([id]) => ids.has(id)))
  }
}

const SPENT = Symbol('spent')

/** The answer, or `SPENT` if the request budget does not allow the request. */
async function unlessSpent<T>(ask: () => Promise<T>): Promise<T | typeof SPENT> {
  try {
    return await ask()
  } catch (error) {
    if (error instanceof BrokerError && error.code === 'RATE_LIMITED') return SPENT
    throw error
  }
}

function missingIn(
  rows: Iterable<BrokerOrder>,
  expected: readonly ExpectedOrder[],
): ExpectedOrder[] {
  const listed = new Set<string>()
  const open = new Set<string>()
  for (const { brokerOrderId, status } of rows) {
    listed.add(brokerOrderId)
    if (!isFinalStatus(status)) open.add(brokerOrderId)
  }
  return expected.filter(
    ({ brokerOrderId, waitsFor, isForExits }) =>
      (isForExits || !listed.has(brokerOrderId)) && !waitsFor.some((id) => open.has(id)),
  )
}

/**
 * The placements of these orders that may still change. A held exit works only after the placement
 * before it has ended. Brokers need not list held exits (CAN-09), and reading each by id would
 * spend the request budget of an account with many brackets.
 */
export const expectedOrders = (orders: readonly Order[]): ExpectedOrder[] =>
  orders.flatMap((order) => {
    const due = awaited(order)
    const ids = due.map(idOf)
    return due.map((one) => ({
      brokerOrderId: idOf(one),
      submittedAt: order.submittedAt ?? order.claimedAt ?? '',
      waitsFor: one.working?.status === 'held' ? ids : [],
      isForExits: false,
    }))
  })

/**
 * Our orders whose exits are not all known yet: only a reading of the order itself names its exits
 * (CAN-09).
 */
export const ordersWithoutExits = (orders: readonly Order[]): ExpectedOrder[] =>
  orders.flatMap((order) => {
    const { orderClass, origin, placements, submittedAt } = order
    const entry = placements.find(({ leg }) => leg === 'entry')
    if (
      origin !== 'fillcast' ||
      orderClass === 'simple' ||
      entry?.brokerOrderId == null ||
      submittedAt === null
    )
      return []
    const exits = new Set(placements.map(({ leg }) => leg)).size - 1
    if (exits >= (orderClass === 'bracket' ? 2 : 1)) return []
    return [{ brokerOrderId: entry.brokerOrderId, submittedAt, waitsFor: [], isForExits: true }]
  })

const idOf = ({ brokerOrderId }: Placement): string => brokerOrderId ?? ''
