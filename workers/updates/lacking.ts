import type { BrokerOrder, Order, Placement } from '#domain'
import { awaited } from './book.ts'
import type { Desk } from './desk.ts'

// Lists are for discovery, never for proof of absence (CLK-05): what is open here and missing in a complete list is read by itself.

/** Orders that are read by their ids in one pass, which has 16 requests for all that is no list of orders; the rest has its turn in the next ones. */
export const IDS_PER_POLL = 4
export const IDS_PER_RECOVERY = 5
/**
 * More than this many at once are read by one list, as at the close, when every day order expires: of what has ended, which is nearly
 * all that a list of open orders lacks, and little beside a thousand orders that rest.
 */
const LIST_INSTEAD_OF = 2
const LIST_BACK_MS = 24 * 3_600_000
/** The same order is asked for again after this long, and one that the broker did not know. */
const AGAIN_MS = 3_000
const UNKNOWN_AGAIN_MS = 60_000

/** What is open here, as it can be asked for. */
type Wanted = Readonly<{ brokerOrderId: string; submittedAt: string }>

/** Remembers what was asked for, so that nothing that stays unknown takes the place of the rest. */
export class Lacking {
  readonly #desk: Desk
  #dueMs = new Map<string, number>()

  constructor(desk: Desk) {
    this.#desk = desk
  }

  /**
   * @param wanted taken before the list was read: what came later may be missing in it for being newer
   * @returns the orders, and whether every one was asked for
   */
  async read(
    wanted: readonly Wanted[],
    listed: ReadonlySet<string>,
    idsMax: number,
  ): Promise<{ found: BrokerOrder[]; isComplete: boolean; requests: number }> {
    const { broker, book, clock } = this.#desk
    const found = new Map<string, BrokerOrder>()
    let requests = 0
    let missing = wanted.filter(({ brokerOrderId }) => !listed.has(brokerOrderId))
    const backTo = Date.parse(book.newestAt ?? '') - LIST_BACK_MS
    const recent = missing.filter(({ submittedAt }) => Date.parse(submittedAt) >= backTo)
    if (recent.length > LIST_INSTEAD_OF) {
      const since = recent.map(({ submittedAt }) => submittedAt).reduce((a, b) => (a < b ? a : b))
      const ids = new Set(recent.map(({ brokerOrderId }) => brokerOrderId))
      requests += 1
      for (const order of await broker.listOrders({ status: 'closed', since }))
        if (ids.has(order.brokerOrderId)) found.set(order.brokerOrderId, order)
      missing = missing.filter(({ brokerOrderId }) => !found.has(brokerOrderId))
    }
    const nowMs = clock.monotonicMs()
    this.#forgetAllBut(missing)
    const due = missing.filter(({ brokerOrderId }) => nowMs >= (this.#dueMs.get(brokerOrderId) ?? -Infinity))
    for (const { brokerOrderId } of due.slice(0, idsMax)) {
      requests += 1
      const order = await broker.findByBrokerOrderId(brokerOrderId)
      this.#dueMs.set(brokerOrderId, nowMs + (order === null ? UNKNOWN_AGAIN_MS : AGAIN_MS))
      if (order === null) this.#desk.log.error({ ...this.#desk.ref, brokerOrderId }, 'poll.order_unknown_to_broker')
      else found.set(brokerOrderId, order)
    }
    return { found: [...found.values()], isComplete: due.length <= idsMax, requests }
  }

  #forgetAllBut(missing: readonly Wanted[]): void {
    if (this.#dueMs.size === 0) return
    const ids = new Set(missing.map(({ brokerOrderId }) => brokerOrderId))
    this.#dueMs = new Map([...this.#dueMs].filter(([id]) => ids.has(id)))
  }
}

/** The placements of these orders that may still change. */
export const wantedOf = (orders: readonly Order[]): Wanted[] =>
  orders.flatMap((order) =>
    awaited(order).map((one) => ({
      brokerOrderId: idOf(one),
      submittedAt: order.submittedAt ?? order.claimedAt ?? '',
    })),
  )

/** Orders with exits that have not been told yet: only a reading of the order itself names them (CAN-09). */
export const withoutExits = (orders: readonly Order[]): Wanted[] =>
  orders.flatMap((order) => {
    const { orderClass, origin, placements, submittedAt } = order
    const [entry] = placements
    if (origin !== 'fillcast' || orderClass === 'simple' || entry?.brokerOrderId == null || submittedAt === null)
      return []
    const exits = new Set(placements.map(({ leg }) => leg)).size - 1
    return exits >= (orderClass === 'bracket' ? 2 : 1) ? [] : [{ brokerOrderId: entry.brokerOrderId, submittedAt }]
  })

const idOf = ({ brokerOrderId }: Placement): string => brokerOrderId ?? ''
