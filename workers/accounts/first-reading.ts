import { type Account, type BrokerOrder, isFinalStatus } from '#domain'
import { type Broker, BrokerError, ORDERS_PER_PAGE } from '../broker/index.ts'

/** The most orders that a first reading lists: no account of a person has more orders in a day. */
const ORDERS_MAX = 200_000

/**
 * The orders of an account, listed page by page for its first reading. A day of 20,000 orders has
 * forty pages, and the request budget may end the listing at any page. The pages read so far are
 * kept, and the next try continues behind them. A listing that started again at each try would
 * spend the whole budget and never end.
 *
 *   (empty) --page--> listing --last page--> listed --end()--> (empty)
 *
 * Invariant:
 * - the orders are those submitted since the listing began, and every open order
 * - an order that may still execute is as the broker showed it within the last `read`
 */
export class FirstReading {
  readonly #orders = new Map<string, BrokerOrder>()
  #since: string | null = null
  #afterId: string | null = null
  #pages = 0
  /**
   * The start of the reading that was last sent to the store, even if the commit's reply was lost.
   */
  #committedAt: string | null = null

  /** @param since the start of the listed period, unless a listing is under way */
  begin(since: string): string {
    if (this.#since === null) this.#since = since
    return this.#since
  }

  /**
   * Call before a reading is committed. @param at the start of the reading of cash and positions
   */
  committing(at: string): void {
    this.#committedAt = at
  }

  /**
   * True if the account record comes from this reading's commit. If the reply of a commit was lost,
   * the commit looks refused or failed although the record exists.
   */
  hasCommitted(account: Account | null): boolean {
    return account !== null && account.activitiesReadTo === this.#committedAt
  }

  /** Drops the pages: the account was adopted, or a later reading lists a day of its own. */
  end(): void {
    this.#committedAt = null
    this.#orders.clear()
    this.#since = null
    this.#afterId = null
    this.#pages = 0
  }

  /** The current orders. @throws {BrokerError} the next call reads the rest */
  async read(broker: Broker, since: string): Promise<readonly BrokerOrder[]> {
    // Reading one page again costs as much as listing behind it, and shows each order's current
    // state.
    const isShort = this.#pages <= 1
    if (isShort) {
      this.#afterId = null
      this.#pages = 0
    }
    await this.#list(broker, since)
    const open = await broker.listOrders({ status: 'open' })
    const openIds = new Set(open.map(({ brokerOrderId }) => brokerOrderId))
    for (const order of open) this.#orders.set(order.brokerOrderId, order)
    if (!isShort || this.#pages > 1) await this.#readEnded(broker, openIds)
    return [...this.#orders.values()]
  }

  async #list(broker: Broker, since: string): Promise<void> {
    for (;;) {
      const page = await broker.listOrderPage(since, this.#afterId)
      for (const order of page.orders) this.#orders.set(order.brokerOrderId, order)
      if (page.rows === ORDERS_PER_PAGE) this.#pages += 1
      if (this.#orders.size > ORDERS_MAX)
        throw new BrokerError('UNREADABLE', `more than ${ORDERS_MAX} orders since ${since}`)
      if (page.lastId === this.#afterId && page.rows > 0)
        throw new BrokerError('UNREADABLE', 'a page of the listing repeats itself')
      this.#afterId = page.lastId ?? this.#afterId
      if (page.rows < ORDERS_PER_PAGE) return
    }
  }

  /**
   * Reads orders that were open on their page but are missing in the list of open orders: they may
   * have executed since.
   */
  async #readEnded(broker: Broker, openIds: ReadonlySet<string>): Promise<void> {
    const stale = [...this.#orders.values()].filter(
      ({ brokerOrderId, status }) => !openIds.has(brokerOrderId) && !isFinalStatus(status),
    )
    for (const { brokerOrderId } of stale) {
      const order = await broker.findByBrokerOrderId(brokerOrderId)
      if (order !== null) this.#orders.set(brokerOrderId, { ...order, legs: [] })
    }
  }
}
