import {
  type BrokerOrder,
  type BrokerStatus,
  cmp,
  dec,
  type Decimal,
  mul,
  sub,
  ZERO,
} from '#domain'
import type { Clock } from '#runtime'
import type { BrokerActivity } from '../../../src/domain/activities.ts'
import type {
  CancelOutcome,
  OrderExecution,
  OrderTicket,
  ReplaceOutcome,
  ReplaceTicket,
  SubmitOutcome,
  TradeStreamListener,
} from '../../../workers/broker/port.ts'
import type { Books } from './holdings.ts'
import { isClosed, Ledger } from './ledger.ts'
import { refusalOf, replaceRefusalOf } from './rules.ts'
import { VenueSettings } from './settings.ts'
import { ActivityStreams, TradeStreams } from './stream.ts'
import { changesOf, termsOf } from './terms.ts'

const EPOCH_MS = Date.UTC(2024, 2, 15, 14, 0, 0)

export type VenueOptions = Readonly<{
  /** Default: a broker time of its own that moves a millisecond with each event. */
  clock?: Clock
  brokerAccountId?: string
}>

/**
 * The inside of the model broker: the ledger of the account, the settings, and the actions that a
 * test takes at the broker. Ids and times depend only on the order of events and on the clock.
 */
export class Venue extends VenueSettings {
  readonly ledger: Ledger
  readonly streams: TradeStreams
  readonly activityStreams = new ActivityStreams()
  readonly #takenIds = new Set<string>()
  readonly #pending = new Map<string, string>()
  /**
   * The requested totals of pending replacements; a total includes the executions of the old order.
   */
  readonly #askedTotals = new Map<string, Decimal>()
  readonly #past: { atMs: number; books: Books }[] = []
  protected readonly clock: Clock | null
  readonly accountId: string
  #portfolioLagMs = 0
  #lastMs: number
  #ticks = 0

  constructor({ clock, brokerAccountId = 'account-1' }: VenueOptions = {}) {
    super()
    this.clock = clock ?? null
    this.#lastMs = clock?.now() ?? EPOCH_MS
    this.accountId = brokerAccountId
    this.streams = new TradeStreams(this.clock)
    this.ledger = new Ledger(
      brokerAccountId,
      () => this.#time(),
      (update) => {
        this.#remember()
        this.streams.tell(update)
        const { order, execution, bust } = update
        const { brokerOrderId } = order
        if (execution !== null) this.activityStreams.append({ brokerOrderId, execution })
        if (bust !== null) this.activityStreams.append({ brokerOrderId, bust })
      },
      (activity) => {
        this.#remember()
        this.activityStreams.append({ activity })
      },
    )
  }

  /** By broker order id, oldest first, without their exits. */
  get orders(): Map<string, BrokerOrder> {
    return this.ledger.orders
  }

  /** Executions without the busted ones. */
  get executions(): OrderExecution[] {
    return this.ledger.executions
  }

  get activities(): readonly BrokerActivity[] {
    return this.ledger.activities
  }

  /** Listeners of the streams that are subscribed now. */
  get listeners(): Set<TradeStreamListener> {
    return this.streams.live
  }

  get isMute(): boolean {
    return this.streams.isMute
  }

  set isMute(isMute: boolean) {
    this.streams.isMute = isMute
  }

  /** Cash and positions are shown as they were this many milliseconds ago. */
  get portfolioLagMs(): number {
    return this.#portfolioLagMs
  }

  set portfolioLagMs(lagMs: number) {
    this.#portfolioLagMs = lagMs
    this.#past.push({ atMs: this.nowMs(), books: this.ledger.books })
  }

  // Events at the broker
  // -----------------------------------------------------------------------------------------------

  /**
   * Executes `quantity` of an order at a price, or its remaining quantity. A larger quantity is an
   * overfill. The order may have any status.
   */
  fill(
    id: string,
    price: string,
    quantity?: string,
    options: Readonly<{ fee?: string }> = {},
  ): void {
    const part = quantity === undefined ? null : dec(quantity)
    const order = this.ledger.order(id)
    this.ledger.fill(order.brokerOrderId, dec(price), part, dec(options.fee ?? '0'))
    const next = this.#pending.get(order.brokerOrderId)
    if (next !== undefined && this.ledger.order(id).status === 'filled')
      this.settleReplace(next, 'rejected')
  }

  /** An order placed in the broker's own app. */
  placeElsewhere(symbol: string, quantity: string, side: 'buy' | 'sell' = 'buy'): BrokerOrder {
    return this.ledger.place(
      `elsewhere-${this.orders.size}`,
      { symbol, side, quantity: dec(quantity) },
      null,
    )
  }

  /**
   * Sets any status by the broker's own decision: rejected after the order was accepted, expired,
   * done for the day, suspended ...
   */
  move(id: string, status: BrokerStatus): void {
    this.ledger.move(id, status)
  }

  /** The venue busts an execution, by default the last one of the order. */
  bust(id: string, nth = -1): void {
    this.ledger.amend(this.#executionIdOf(id, nth), null)
  }

  correct(id: string, to: Readonly<{ quantity: string; price: string }>, nth = -1): void {
    this.ledger.amend(this.#executionIdOf(id, nth), {
      quantity: dec(to.quantity),
      price: dec(to.price),
    })
  }

  /** Ends a held cancel; `new` refuses the cancel, and the order stays open. */
  settleCancel(id: string, to: 'canceled' | 'new' | 'expired' = 'canceled'): void {
    const { brokerOrderId } = this.ledger.order(id)
    this.ledger.move(
      brokerOrderId,
      to === 'new' && this.#isPending(brokerOrderId) ? 'accepted' : to,
    )
    this.#giveBack(brokerOrderId)
  }

  /** If a replacement ends before it takes effect, the old order becomes open again. */
  #giveBack(brokerOrderId: string): void {
    const next = this.ledger.order(brokerOrderId)
    if (!this.#isPending(brokerOrderId) || !isClosed(next)) return
    const old = this.ledger.order(next.replaces ?? '')
    this.#pending.delete(old.brokerOrderId)
    this.#workOn(old)
  }

  #isPending(brokerOrderId: string): boolean {
    return [...this.#pending.values()].includes(brokerOrderId)
  }

  #workOn(old: BrokerOrder): void {
    if (!isClosed(old))
      this.ledger.move(old.brokerOrderId, old.filledQuantity === ZERO ? 'new' : 'partially_filled')
  }

  /**
   * Ends a held replacement, by either id of the new order. If the replacement is rejected, the old
   * order becomes open again, unless the old order is closed.
   */
  settleReplace(id: string, to: 'replaced' | 'rejected' = 'replaced'): void {
    const next = this.ledger.order(id)
    const old = this.ledger.order(next.replaces ?? '')
    this.#pending.delete(old.brokerOrderId)
    const asked = this.#askedTotals.get(next.brokerOrderId)
    const left = asked === undefined ? next.quantity : sub(asked, old.filledQuantity)
    // If the old order has executed the whole requested total, the replacement is rejected.
    if (to === 'rejected' || (left !== null && cmp(left, ZERO) <= 0)) {
      this.ledger.move(next.brokerOrderId, 'rejected')
      this.#workOn(old)
      return
    }
    if (asked !== undefined) this.ledger.move(next.brokerOrderId, next.status, { quantity: left })
    this.#takeOver(old.brokerOrderId, next.brokerOrderId)
  }

  deposit(amount: string): void {
    this.moveCash('deposit', 'CSD', amount)
  }

  withdraw(amount: string): void {
    this.moveCash('withdrawal', 'CSW', `-${amount}`)
  }

  /**
   * Books a dividend, a fee, interest, a journal ... `type` is the broker's code, `amount` has a
   * sign.
   */
  moveCash(
    kind: 'deposit' | 'withdrawal' | 'cash',
    type: string,
    amount: string,
    symbol: string | null = null,
  ): void {
    this.ledger.record(
      { kind, type, amount: dec(amount), symbol },
      { kind: 'cash', amount: dec(amount) },
    )
  }

  /** `ratio` is the number of new shares for one old share. Resting orders stay unchanged. */
  split(symbol: string, ratio: string): void {
    const held = this.ledger.books.positions.get(symbol)?.quantity ?? ZERO
    const quantity = sub(mul(held, dec(ratio)), held)
    this.ledger.record(
      { kind: 'split', type: 'SPLIT', symbol, quantity },
      { kind: 'split', symbol, ratio: dec(ratio) },
    )
  }

  changeSymbol(from: string, to: string): void {
    this.ledger.record(
      { kind: 'symbol_change', type: 'NC', symbol: from, newSymbol: to },
      { kind: 'symbol', from, to },
    )
  }

  // Requests
  // -----------------------------------------------------------------------------------------------

  protected accept(ticket: OrderTicket): SubmitOutcome {
    const { intent, clientOrderId } = ticket
    if (this.#isTaken(clientOrderId)) return { kind: 'duplicate' }
    const refused = refusalOf(this.ledger, intent, ticket.isClose)
    if (refused !== null) {
      if (this.refusalsTakeIds) this.#takenIds.add(clientOrderId)
      return refused
    }
    this.#takenIds.add(clientOrderId)
    const terms = { ...termsOf(ticket), ...this.conformed(intent), status: this.acceptedAs }
    const order = this.ledger.place(clientOrderId, terms, intent)
    return { kind: 'accepted', order }
  }

  #isTaken(clientOrderId: string): boolean {
    const holder = this.ledger.find(clientOrderId)
    if (
      holder?.clientOrderId === clientOrderId &&
      (this.idsLast === 'forever' || !isClosed(holder))
    )
      return true
    return holder === null && this.#takenIds.has(clientOrderId) && this.refusalsTakeIds
  }

  protected replaceNow({ brokerOrderId, clientOrderId, terms }: ReplaceTicket): ReplaceOutcome {
    if (this.#isTaken(clientOrderId)) return { kind: 'duplicate' }
    const old = this.orders.get(brokerOrderId) ?? null
    const changed = changesOf(old, terms)
    const message = replaceRefusalOf(
      old,
      changed,
      Object.keys(changed).length > 0 || terms.trail !== null,
    )
    if (message !== null || old === null) return { kind: 'refused', message: message ?? '' }
    const asked = changed.quantity ?? old.quantity
    const quantity =
      asked !== null && this.replaceSizing === 'total' ? sub(asked, old.filledQuantity) : asked
    const status = this.holdsReplaces ? 'accepted' : old.status === 'held' ? 'held' : 'new'
    const next = this.ledger.succeed(brokerOrderId, clientOrderId, { ...changed, quantity }, status)
    if (this.holdsReplaces) {
      this.#pending.set(brokerOrderId, next.brokerOrderId)
      if (asked !== null && this.replaceSizing === 'total')
        this.#askedTotals.set(next.brokerOrderId, asked)
      this.ledger.move(brokerOrderId, 'pending_replace')
    } else this.ledger.takeOver(brokerOrderId, next.brokerOrderId)
    return { kind: 'accepted', order: this.ledger.nested(next) }
  }

  #takeOver(oldId: string, nextId: string): void {
    this.ledger.takeOver(oldId, nextId)
    this.ledger.move(nextId, 'new')
  }

  protected cancelNow(brokerOrderId: string): CancelOutcome {
    const order = this.orders.get(brokerOrderId)
    if (order === undefined)
      return { kind: 'refused', message: `order not found for ${brokerOrderId}` }
    if (isClosed(order))
      return { kind: 'refused', message: `order is already in "${order.status}" state` }
    if (order.status === 'pending_replace')
      return { kind: 'refused', message: 'order is pending replace' }
    this.ledger.move(brokerOrderId, this.holdsCancels ? 'pending_cancel' : 'canceled')
    this.#giveBack(brokerOrderId)
    return { kind: 'requested' }
  }

  #executionIdOf(id: string, nth: number): string {
    const { brokerOrderId } = this.ledger.order(id)
    const own = this.executions.filter((one) => one.brokerOrderId === brokerOrderId)
    const executionId = own.at(nth)?.execution.executionId
    if (executionId == null) throw new Error(`no such execution of ${id}`)
    return executionId
  }

  protected shownBooks(): Books {
    if (this.portfolioLagMs === 0) return this.ledger.books
    const until = this.nowMs() - this.portfolioLagMs
    return (
      (this.#past.findLast(({ atMs }) => atMs <= until) ?? this.#past[0])?.books ??
      this.ledger.books
    )
  }

  /** Keeps the books for readings with a lag. */
  #remember(): void {
    if (this.portfolioLagMs > 0) this.#past.push({ atMs: this.nowMs(), books: this.ledger.books })
  }

  protected nowMs(): number {
    return Math.max(this.#lastMs, this.clock?.now() ?? this.#lastMs)
  }

  /** The broker's own time, which always increases. */
  #time(): string {
    const nowMs = this.clock === null ? this.#lastMs + 1 : this.nowMs()
    this.#ticks = nowMs === this.#lastMs ? this.#ticks + 1 : 0
    this.#lastMs = nowMs
    return `${new Date(nowMs).toISOString().slice(0, 23)}${String(this.#ticks).padStart(6, '0')}Z`
  }
}
