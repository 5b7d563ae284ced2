import { type Account, type BrokerOrder, isFinalStatus } from '#domain'
import { type Broker, BrokerError, ORDERS_PER_PAGE } from '../broker/index.ts'

/**
 * Orders of a day that a first reading takes in; an account with more is no account of a person.
 */
const ORDERS_MAX = 200_000

/**
 * The orders of an account, page by page, for its first reading. A day of 20,000 orders is forty
 * pages, and the request budget may end the listing at any of them: the pages that were read are
 * kept, and the next try goes on behind them. A listing that began anew at each try would spend the
 * whole budget and never end.
 *
 *   (empty) --page--> listing --last page--> listed --begin()--> (empty)
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
  /** When the reading that was committed last began, whatever was answered. */
  #committedAt: string | null = null

  /** @param since from when on orders are listed, unless a listing is under way */
  begin(since: string): string {
    if (this.#since === null) this.#since = since
    return this.#since
  }

  /** Before a reading is committed. @param at when the reading of cash and positions began */
  committing(at: string): void {
    this.#committedAt = at
  }

  /**
   * Whether a record comes from that commit: the reply of a commit may be lost, and then the commit
   * looks refused, or failed.
   */
  hasCommitted(account: Account | null): boolean {
    return account !== null && account.activitiesReadTo === this.#committedAt
  }

  /**
   * Forgets the pages: the account was adopted, or a later reading begins with a day of its own.
   */
  end(): void {
    this.#committedAt = null
    this.#orders.clear()
    this.#since = null
    this.#afterId = null
    this.#pages = 0
  }

  /** The orders as they are now. @throws {BrokerError} the rest is read by the next call */
  async read(broker: Broker, since: string): Promise<readonly BrokerOrder[]> {
    // One page costs as much as finding out what is new behind it, and shows each order as it is
    // now.
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
   * An order that was open when its page was read and is in no list of open orders may have
   * executed since.
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
