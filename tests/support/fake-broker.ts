import {
  add,
  type BrokerOrder,
  type BrokerSnapshot,
  type BrokerStatus,
  cashAfter,
  cmp,
  dec,
  type Decimal,
  type Execution,
  isZero,
  mul,
  neg,
  ZERO,
} from '#domain'
import {
  type AccountStanding,
  type ActivityStream,
  type Broker,
  type BrokerActivity,
  BrokerError,
  type CancelOutcome,
  type Holding,
  type MarketClock,
  type MarketSession,
  type OrderExecution,
  type OrderFilter,
  type OrderTicket,
  type ReplaceOutcome,
  type ReplaceTicket,
  type SubmitOutcome,
  type TradeStream,
  type TradeStreamListener,
} from '../../workers/broker/index.ts'

/** What goes wrong with the next submissions. */
export type SubmitFault = 'lose_reply' | 'lose_request' | 'refuse' | 'rate_limit'

const CLOSED: ReadonlySet<BrokerStatus> = new Set(['filled', 'canceled', 'expired', 'rejected', 'replaced'])
const EPOCH_MS = Date.UTC(2024, 2, 15, 14, 0, 0)

/** A broker account in memory: the ledger that tests compare with. Fills happen when a test says so. */
export class FakeBroker implements Broker {
  readonly orders = new Map<string, BrokerOrder>()
  readonly executions: OrderExecution[] = []
  readonly activities: BrokerActivity[] = []
  readonly submissions: OrderTicket[] = []
  readonly cancels: string[] = []
  readonly faults: SubmitFault[] = []
  readonly listeners = new Set<TradeStreamListener>()
  /** Updates that the stream does not deliver. */
  isMute = false
  isRevoked = false
  #cash = dec('100000')
  readonly #positions = new Map<string, { quantity: Decimal; cost: Decimal }>()
  #ticks = 0

  async submit(ticket: OrderTicket): Promise<SubmitOutcome> {
    this.submissions.push(ticket)
    const fault = this.faults.shift()
    if (this.isRevoked)
      return { kind: 'refused', code: 'BROKER_DISCONNECTED', brokerCode: null, message: 'unauthorized.' }
    if (fault === 'lose_request') return { kind: 'unknown', cause: 'cut before the broker read it' }
    if (fault === 'refuse')
      return { kind: 'refused', code: 'INSUFFICIENT_BUYING_POWER', brokerCode: '40310000', message: 'no' }
    if (fault === 'rate_limit') return { kind: 'rate_limited', retryAfterMs: 1_000 }
    if (this.#byClientOrderId(ticket.clientOrderId) !== null) return { kind: 'duplicate' }
    const order = this.#accept(ticket)
    return fault === 'lose_reply'
      ? { kind: 'unknown', cause: 'cut after the broker read it' }
      : { kind: 'accepted', order }
  }

  async cancel(brokerOrderId: string): Promise<CancelOutcome> {
    this.cancels.push(brokerOrderId)
    const order = this.orders.get(brokerOrderId)
    if (order === undefined || CLOSED.has(order.status)) return { kind: 'refused', message: 'order is already done' }
    this.#update(order, { status: 'canceled' }, null)
    return { kind: 'requested' }
  }

  async replace({ brokerOrderId, clientOrderId, terms }: ReplaceTicket): Promise<ReplaceOutcome> {
    const order = this.orders.get(brokerOrderId)
    if (order === undefined || CLOSED.has(order.status)) return { kind: 'refused', message: 'order is already done' }
    if (this.#byClientOrderId(clientOrderId) !== null) return { kind: 'duplicate' }
    const { quantity, limitPrice, stopPrice, timeInForce } = order
    const next = this.#record(clientOrderId, {
      ...order,
      ...{ quantity: terms.quantity ?? quantity, limitPrice: terms.limitPrice ?? limitPrice },
      ...{ stopPrice: terms.stopPrice ?? stopPrice, timeInForce: terms.timeInForce ?? timeInForce },
      replaces: brokerOrderId,
    })
    this.#update(order, { status: 'replaced', replacedBy: next.brokerOrderId }, null)
    return { kind: 'accepted', order: next }
  }

  async findByBrokerOrderId(brokerOrderId: string): Promise<BrokerOrder | null> {
    this.#authenticate()
    return this.orders.get(brokerOrderId) ?? null
  }

  async findParent(exit: BrokerOrder): Promise<BrokerOrder | null> {
    this.#authenticate()
    const isExit = ({ brokerOrderId }: BrokerOrder): boolean => brokerOrderId === exit.brokerOrderId
    return [...this.orders.values()].find(({ legs }) => legs.some(isExit)) ?? null
  }

  async findByClientOrderId(clientOrderId: string): Promise<BrokerOrder | null> {
    this.#authenticate()
    return this.#byClientOrderId(clientOrderId)
  }

  async listOrders(filter: OrderFilter): Promise<readonly BrokerOrder[]> {
    this.#authenticate()
    const all = [...this.orders.values()]
    return filter.status === 'open'
      ? all.filter((order) => !CLOSED.has(order.status))
      : all.filter((order) => order.submittedAt >= filter.since)
  }

  async listExecutions(since: string): Promise<readonly OrderExecution[]> {
    this.#authenticate()
    return this.executions.filter(({ execution }) => execution.at >= since)
  }

  async listActivities(since: string): Promise<readonly BrokerActivity[]> {
    this.#authenticate()
    return this.activities.filter(({ at }) => at >= since)
  }

  async readPosition(symbol: string): Promise<Holding | null> {
    this.#authenticate()
    const held = this.#positions.get(symbol)
    return held === undefined ? null : { quantity: held.quantity, available: held.quantity }
  }

  async readSessions(from: string, to: string): Promise<readonly MarketSession[]> {
    const date = '2024-03-15'
    const session = { date, openAt: '2024-03-15T13:30:00.000Z', closeAt: '2024-03-15T20:00:00.000Z' }
    return from <= date && date <= to ? [session] : []
  }

  openActivityStream(): ActivityStream | null {
    return null
  }

  async readPortfolio(): Promise<BrokerSnapshot> {
    this.#authenticate()
    const positions = [...this.#positions].map(([symbol, { quantity, cost }]) => {
      const entry = isZero(quantity) ? ZERO : dec((Number(cost) / Math.abs(Number(quantity))).toFixed(6))
      return { symbol, quantity, averageEntryPrice: entry, currentPrice: null }
    })
    return { brokerAccountId: 'account-1', currency: 'USD', cash: this.#cash, positions }
  }

  async readAccount(): Promise<AccountStanding> {
    this.#authenticate()
    return { brokerAccountId: 'account-1', canTrade: true, why: null }
  }

  async readClock(): Promise<MarketClock> {
    return { isOpen: true, nextOpen: this.#time(), nextClose: this.#time() }
  }

  openTradeStream(listener: TradeStreamListener): TradeStream {
    this.listeners.add(listener)
    queueMicrotask(() => {
      if (this.isRevoked) listener.onDown({ kind: 'credentials', message: 'API authentication failed', final: true })
      else listener.onLive()
    })
    return { close: async () => void this.listeners.delete(listener) }
  }

  /** Executes part of an order at a price, or all that is left of it. */
  fill(clientOrderId: string, price: string, quantity?: string): void {
    const order = this.#byClientOrderId(clientOrderId)
    if (order === null) throw new Error(`no order ${clientOrderId}`)
    const total = order.quantity ?? ZERO
    const part = quantity === undefined ? add(total, neg(order.filledQuantity)) : dec(quantity)
    const filledQuantity = add(order.filledQuantity, part)
    const at = this.#time()
    const execution: Execution = {
      ...{ executionId: `x${this.executions.length}`, quantity: part, price: dec(price) },
      ...{ cumulativeQuantity: filledQuantity, at },
    }
    this.executions.push({ brokerOrderId: order.brokerOrderId, execution: { ...execution, executionId: null } })
    this.#cash = cashAfter(this.#cash, order.side, part, dec(price))
    const held = this.#positions.get(order.symbol) ?? { quantity: ZERO, cost: ZERO }
    const signed = order.side === 'buy' ? part : neg(part)
    const next = { quantity: add(held.quantity, signed), cost: add(held.cost, mul(part, dec(price))) }
    if (isZero(next.quantity)) this.#positions.delete(order.symbol)
    else this.#positions.set(order.symbol, next)
    const status = cmp(filledQuantity, total) >= 0 ? 'filled' : 'partially_filled'
    this.#update(order, { status, filledQuantity }, execution)
  }

  /** An order placed in the broker's own app. */
  placeElsewhere(symbol: string, quantity: string): BrokerOrder {
    const id = `elsewhere-${this.orders.size}`
    return this.#record(id, { symbol, side: 'buy', quantity: dec(quantity) })
  }

  #accept({ intent, clientOrderId }: OrderTicket): BrokerOrder {
    return this.#record(clientOrderId, intent)
  }

  #record(
    clientOrderId: string,
    terms: Partial<BrokerOrder> & Pick<BrokerOrder, 'symbol' | 'side' | 'quantity'>,
  ): BrokerOrder {
    const at = this.#time()
    const order: BrokerOrder = {
      brokerOrderId: `b-${this.orders.size + 1}`,
      clientOrderId,
      ...{ symbol: terms.symbol, side: terms.side, quantity: terms.quantity },
      ...{ orderType: terms.orderType ?? 'market', timeInForce: terms.timeInForce ?? 'day', orderClass: 'simple' },
      ...{ status: 'new', filledAveragePrice: null, replaces: terms.replaces ?? null, replacedBy: null, legs: [] },
      ...{ notional: terms.notional ?? null, filledQuantity: ZERO, submittedAt: at, updatedAt: at },
      ...{ limitPrice: terms.limitPrice ?? null, stopPrice: terms.stopPrice ?? null },
    }
    this.#update(order, {}, null)
    return order
  }

  #update(order: BrokerOrder, change: Partial<BrokerOrder>, execution: Execution | null): void {
    const next = { ...order, ...change, updatedAt: this.#time() }
    this.orders.set(next.brokerOrderId, next)
    if (this.isMute) return
    for (const listener of this.listeners) listener.onUpdate({ order: next, execution, bust: null, at: next.updatedAt })
  }

  #byClientOrderId(clientOrderId: string): BrokerOrder | null {
    return [...this.orders.values()].find((order) => order.clientOrderId === clientOrderId) ?? null
  }

  #authenticate(): void {
    if (this.isRevoked) throw new BrokerError('CREDENTIALS', 'API authentication failed')
  }

  #time(): string {
    this.#ticks += 1
    return `${new Date(EPOCH_MS + this.#ticks).toISOString().slice(0, 23)}000000Z`
  }
}
