import {
  type Asset,
  type BrokerOrder,
  type BrokerStatus,
  cmp,
  dec,
  type Decimal,
  mul,
  type OrderIntent,
  type ReplaceTerms,
  type RiskQuote,
  sub,
  ZERO,
} from '#domain'
import type { Clock } from '#runtime'
import type { BrokerActivity } from '../../../src/domain/activities.ts'
import type { CancelOutcome, MarketSession, OrderExecution, OrderTicket, ReplaceOutcome, ReplaceTicket, SubmitOutcome, TradeStreamListener } from '../../../workers/broker/port.ts'
import type { Books } from './holdings.ts'
import { isClosed, Ledger } from './ledger.ts'
import { refusalOf, replaceRefusalOf } from './rules.ts'
import { ActivityStreams, TradeStreams } from './stream.ts'

const EPOCH_MS = Date.UTC(2024, 2, 15, 14, 0, 0)

export type VenueOptions = Readonly<{
  /** Default: a broker time of its own that moves a millisecond with everything that happens. */
  clock?: Clock
  brokerAccountId?: string
}>

/**
 * What lies behind the model broker's port: the account's ledger, how the broker behaves
 * (settings), and what a test makes happen. Ids and times depend on nothing but the order of events
 * and the clock.
 */
export class Venue {
  readonly ledger: Ledger
  readonly streams: TradeStreams
  readonly activityStreams = new ActivityStreams()
  /** Status of an order that was just accepted. */
  acceptedAs: Extract<BrokerStatus, 'accepted' | 'pending_new' | 'new'> = 'new'
  /** Cancels stay `pending_cancel` until `settleCancel`. */
  holdsCancels = false
  /** Replacements stay pending until `settleReplace`. */
  holdsReplaces = false
  /** Whether the quantity of a replacement is its own, or counts what the old order has filled. */
  replaceSizing: 'own' | 'total' = 'own'
  /** Whether a client order id is taken for ever, or only while its order is open. */
  idsLast: 'forever' | 'while_open' = 'forever'
  /**
   * How an accepted order differs from what was asked for: a conformed quantity, another way to
   * write the symbol, ...
   */
  conformed: (intent: OrderIntent) => Partial<BrokerOrder> = () => ({})
  /** Whether a synchronously refused order uses its id up. */
  refusalsTakeIds = false
  /** Orders are not found and not listed until this long after they were accepted. */
  visibleAfterMs = 0
  /** Executions are listed this long after they happened. */
  executionLagMs = 0
  /** Whether the list of executions tells busts too. */
  listsBusts = false
  /**
   * Days whose sessions differ from the calendar: an early close, an unplanned closure (`null`).
   */
  readonly sessions = new Map<string, MarketSession | null>()
  /** Latest quotes, by symbol. */
  readonly quotes = new Map<string, RiskQuote>()
  /** Overrides what the sessions say. */
  isOpen: boolean | null = null
  isRestricted = false
  /** What the broker lists. */
  assets: readonly Asset[] = [
    {
      symbol: 'AAPL',
      assetClass: 'us_equity',
      isTradable: true,
      isFractionable: true,
      isShortable: true,
      quantityMin: null,
      quantityIncrement: null,
      priceIncrement: null,
    },
    {
      symbol: 'BTC/USD',
      assetClass: 'crypto',
      isTradable: true,
      isFractionable: true,
      isShortable: false,
      quantityMin: dec('0.000000001'),
      quantityIncrement: dec('0.000000001'),
      priceIncrement: dec('0.000000001'),
    },
  ]
  readonly #takenIds = new Set<string>()
  readonly #pending = new Map<string, string>()
  /**
   * What pending replacements are for, what the old order executes before they take its place
   * included.
   */
  readonly #askedTotals = new Map<string, Decimal>()
  readonly #past: { atMs: number; books: Books }[] = []
  protected readonly clock: Clock | null
  readonly accountId: string
  #portfolioLagMs = 0
  #lastMs: number
  #ticks = 0

  constructor({ clock, brokerAccountId = 'account-1' }: VenueOptions = {}) {
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

  /** Those that stand. */
  get executions(): OrderExecution[] {
    return this.ledger.executions
  }

  get activities(): readonly BrokerActivity[] {
    return this.ledger.activities
  }

  /** Streams that are subscribed now. */
  get listeners(): Set<TradeStreamListener> {
    return this.streams.live
  }

  get isMute(): boolean {
    return this.streams.isMute
  }

  set isMute(isMute: boolean) {
    this.streams.isMute = isMute
  }

  /** Cash and positions are shown as they were this long ago. */
  get portfolioLagMs(): number {
    return this.#portfolioLagMs
  }

  set portfolioLagMs(lagMs: number) {
    this.#portfolioLagMs = lagMs
    this.#past.push({ atMs: this.nowMs(), books: this.ledger.books })
  }

  // What happens at the broker
  // -----------------------------------------------------------------------------------------------

  /**
   * Executes part of an order at a price, or all that is left of it; more than is left is an
   * overfill. Any order, any status.
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
   * Any status by the broker's own decision: rejected after it was accepted, expired, done for the
   * day, suspended ...
   */
  move(id: string, status: BrokerStatus): void {
    this.ledger.move(id, status)
  }

  /** The venue takes an execution back. By default the last one of the order. */
  bust(id: string, nth = -1): void {
    this.ledger.amend(this.#executionIdOf(id, nth), null)
  }

  correct(id: string, to: Readonly<{ quantity: string; price: string }>, nth = -1): void {
    this.ledger.amend(this.#executionIdOf(id, nth), {
      quantity: dec(to.quantity),
      price: dec(to.price),
    })
  }

  /** What becomes of a cancel that is held; `new` is the refusal to cancel after all. */
  settleCancel(id: string, to: 'canceled' | 'new' | 'expired' = 'canceled'): void {
    const { brokerOrderId } = this.ledger.order(id)
    this.ledger.move(
      brokerOrderId,
      to === 'new' && this.#isPending(brokerOrderId) ? 'accepted' : to,
    )
    this.#giveBack(brokerOrderId)
  }

  /** A replacement that ended before it took place: the order that it was to replace works on. */
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
   * What becomes of a replacement that is held; by either id of the new order. Rejected: the old
   * one works on, unless it is done.
   */
  settleReplace(id: string, to: 'replaced' | 'rejected' = 'replaced'): void {
    const next = this.ledger.order(id)
    const old = this.ledger.order(next.replaces ?? '')
    this.#pending.delete(old.brokerOrderId)
    const asked = this.#askedTotals.get(next.brokerOrderId)
    const left = asked === undefined ? next.quantity : sub(asked, old.filledQuantity)
    // Everything that it was to be for has executed meanwhile.
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
   * A dividend, a fee, interest, a journal ...: `type` is the broker's word, `amount` is signed.
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

  /** `ratio`: new shares for one old. Resting orders stay as they are. */
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

  // The inside
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

  /** For those who read late. */
  #remember(): void {
    if (this.portfolioLagMs > 0) this.#past.push({ atMs: this.nowMs(), books: this.ledger.books })
  }

  protected nowMs(): number {
    return Math.max(this.#lastMs, this.clock?.now() ?? this.#lastMs)
  }

  /** The broker's own time: never back, never twice the same. */
  #time(): string {
    const nowMs = this.clock === null ? this.#lastMs + 1 : this.nowMs()
    this.#ticks = nowMs === this.#lastMs ? this.#ticks + 1 : 0
    this.#lastMs = nowMs
    return `${new Date(nowMs).toISOString().slice(0, 23)}${String(this.#ticks).padStart(6, '0')}Z`
  }
}

const termsOf = ({ intent }: OrderTicket) => {
  const {
    symbol,
    side,
    orderType,
    timeInForce,
    orderClass,
    quantity,
    notional,
    stopPrice,
    takeProfit,
  } = intent
  const limitPrice = orderClass === 'oco' ? (takeProfit?.limitPrice ?? null) : intent.limitPrice
  return {
    symbol,
    side,
    orderType,
    timeInForce,
    orderClass,
    quantity,
    notional,
    limitPrice,
    stopPrice,
  }
}

/** The terms that differ from the order's. */
function changesOf(
  old: BrokerOrder | null,
  { quantity, limitPrice, stopPrice, timeInForce }: ReplaceTerms,
) {
  const asked = { quantity, limitPrice, stopPrice, timeInForce }
  const changed = Object.entries(asked).filter(
    ([name, value]) => value !== null && value !== old?.[name as 'quantity'],
  )
  return Object.fromEntries(changed) as Partial<
    Pick<BrokerOrder, 'limitPrice' | 'stopPrice' | 'timeInForce'>
  > & {
    quantity?: Decimal
  }
}
