import type { Clock } from '#runtime'
import type { Randomness } from '../randomness.ts'
import type { Account } from './account.ts'
import { admit, admitReplacement } from './admission.ts'
import { agedAt } from './aged-orders.ts'
import type { Asset } from './assets.ts'
import { type Decimal, zero } from './decimals.ts'
import { type Decisions, plainDecisions } from './decisions.ts'
import { fairPrice, firstPart, limitAllows, marketablePrice, wholeQty } from './fill-terms.ts'
import { awaitsEntry, awaitsStop, followGroup, legRequests, siblingsOf } from './groups.ts'
import { auctionBetween, checkWindow, endsAfter, worksIn } from './hours.ts'
import type { OrderBook, OrderUpdate } from './order-book.ts'
import { type Admission, isOpen, type Order, type OrderRequest } from './order.ts'
import type { Prices } from './prices.ts'
import { unprocessable } from './refusal.ts'
import type { Phase, Session } from './session.ts'
import { placeStop, reachedStop } from './stops.ts'

/**
 * Decides when an order changes. States of an order:
 * - *pending*: acknowledged to the client; becomes working or queued in the next turn (a
 *   replacement: once it is decided);
 * - *queued*: `accepted` while the market is closed; becomes working when its session opens;
 * - *working*: `new` or `partially_filled`; is tried once after the fill delay and on every tick of
 *   its symbol;
 * - *held*: an exit that waits for its entry, or for its stop;
 * - *gone*: filled, canceled, expired, rejected or replaced.
 *
 * A working order fills in full at the bid or ask, except that a share of the orders gets a random
 * first part. Bid and ask sizes are not a limit.
 */

/** Delays of the matcher. */
export type MatchingOptions = Readonly<{
  /** From the acknowledgement, or from a first part, to the match. 0 matches in the next turn. */
  fillDelayMs: number
  /** From the request to the cancel; the order may still fill in between. */
  cancelDelayMs: number
}>

/**
 * An open order in the matcher: `timed` while an attempt is scheduled, `split` after its one chance
 * of a first part.
 */
type Working = { readonly account: Account; readonly order: Order; timed: boolean; split: boolean }
const EVERYTHING = Symbol('everything')

/**
 * True while a cancel or replacement is pending: the venue does not match the order by itself.
 */
const isAsked = ({ status }: Order): boolean =>
  status === 'pending_cancel' || status === 'pending_replace'

/** Matches orders by itself; control calls can override it. */
export class Matcher {
  /** Enables first parts; `share` is the share of orders that get a first part. */
  readonly partialFills = { enabled: true, share: 0.1 }
  decisions: Decisions
  readonly #book: OrderBook
  readonly #prices: Prices
  readonly #session: Session
  readonly #clock: Clock
  readonly #randomness: Randomness
  readonly #options: MatchingOptions
  readonly #newClientOrderId: () => string
  /** Every open order; its size is bounded by the accounts' own limit. */
  readonly #live = new Map<Order, Working>()
  readonly #queued = new Set<Working>()
  readonly #bySymbol = new Map<string, Set<Working>>()
  readonly #holds = new Set<unknown>()

  constructor(
    book: OrderBook,
    prices: Prices,
    session: Session,
    clock: Clock,
    randomness: Randomness,
    options: MatchingOptions,
    newClientOrderId: () => string,
  ) {
    this.#book = book
    this.#prices = prices
    this.#session = session
    this.#clock = clock
    this.#randomness = randomness
    this.#options = options
    this.decisions = plainDecisions(options.cancelDelayMs)
    this.#newClientOrderId = newClientOrderId
    prices.onTick(({ market }) => this.#tryAll(this.#workingOf(market.asset)))
    session.onChange((phase, before) => this.#onPhase(phase, before))
  }

  /** Checks and accepts an order; matching starts later. @throws {Refusal} */
  submit(account: Account, request: OrderRequest): Order {
    checkWindow(request, this.#session)
    const working = this.#open(account, request, admit(account, request, this.#prices))
    const { order } = working
    const legs = legRequests(request, this.#newClientOrderId).map((leg) =>
      this.#openLeg(account, order, leg),
    )
    if (legs.length > 0) order.legs = legs
    // In the next turn, so the answer to the request is written first.
    this.#clock.after(0, () => this.#begin(working))
    return order
  }

  /**
   * Requests the replacement of an order. The decision comes later; the original may fill before
   * it.
   * @param request as `changedRequest` made it
   * @throws {Refusal} the account cannot carry the new terms
   */
  replace(account: Account, order: Order, request: OrderRequest): Order {
    checkWindow(request, this.#session)
    const admission = admitReplacement(account, order, request, this.#prices)
    const { order: successor } = this.#open(account, request, admission)
    const { fillsFirst, isRefused, size } = this.decisions.replace(account)
    if (size === 'remaining') successor.alreadyFilled = order.filledQty
    this.#book.requestReplace(account, order, successor)
    placeStop(successor, this.#prices.of(request.asset), order.hwm ?? undefined)
    this.#clock.after(this.#options.cancelDelayMs, () => {
      if (fillsFirst !== undefined && isOpen(order)) {
        this.fillNow(account, order, fillsFirst === 'all' ? undefined : fillsFirst)
      }
      this.#decideReplace(account, successor, isRefused)
    })
    return successor
  }

  #decideReplace(account: Account, successor: Order, isRefused = false): void {
    const order = successor.predecessor
    if (order === null) return
    if (isRefused || !isOpen(order) || successor.request.qty?.gt(order.filledQty) !== true) {
      this.#book.refuseReplace(account, order, successor)
      return this.#forget(successor)
    }
    this.#forget(order)
    this.#book.replace(account, order, successor)
    this.#place(successor)
  }

  /** Starts an order, or keeps it held while another order of its group works in its place. */
  #place(order: Order): void {
    const working = this.#live.get(order)
    if (working === undefined) return
    if (awaitsEntry(order) || awaitsStop(order)) this.#keepHeld(working)
    else this.#begin(working)
  }

  #keepHeld(working: Working): void {
    this.#book.keepHeld(working.account, working.order)
    if (awaitsEntry(working.order)) return
    this.#workingOf(working.order.request.asset).add(working)
    this.#tryLater(working)
  }

  #openLeg(account: Account, parent: Order, request: OrderRequest): Order {
    const working = this.#open(account, request, {
      intent: `${request.side}_to_close`,
      heldPerUnit: zero,
    })
    working.order.parent = parent
    this.#keepHeld(working)
    return working.order
  }

  #open(account: Account, request: OrderRequest, admission: Admission): Working {
    const status = this.#worksNow(request) ? 'pending_new' : 'accepted'
    const isLasting = request.timeInForce === 'gtc'
    const expiresAt = isLasting
      ? agedAt(this.#clock.now())
      : this.#session.dayEnd(request.extendedHours)
    const order = this.#book.open(account, request, admission, status, expiresAt)
    placeStop(order, this.#prices.of(request.asset))
    const working: Working = { account, order, timed: false, split: false }
    this.#live.set(order, working)
    return working
  }

  /** Applies the change of one order to its group. Called after the change was published. */
  follow(update: OrderUpdate): void {
    followGroup(update, {
      place: (_account, order) => this.#place(order),
      cancel: (account, order) => this.#end(account, order),
      resize: (account, order, qty) => this.#book.restate(account, order, qty),
    })
  }

  #end(account: Account, order: Order): void {
    this.#forget(order)
    if (isOpen(order)) this.#book.close(account, order, 'canceled')
  }

  /**
   * Requests a cancel; no effect if the cancel is already requested or done.
   * @throws {Refusal} the order ended otherwise
   */
  cancel(account: Account, order: Order): void {
    if (order.status === 'pending_cancel' || order.status === 'canceled') return
    if (!isOpen(order) || order.status === 'pending_replace') {
      throw unprocessable(`order is already in "${order.status}" state`)
    }
    const { status } = order
    this.#book.requestCancel(account, order)
    const { afterMs, isRefused } = this.decisions.cancel(account)
    if (afterMs === undefined) return
    this.#clock.after(afterMs, () => {
      if (isRefused) this.#book.refuseCancel(account, order, status)
      else this.#end(account, order)
    })
  }

  /** The venue cancels an order by itself, in this turn; no effect on a closed order. */
  cancelNow(account: Account, order: Order): void {
    this.#end(account, order)
  }

  /**
   * Cancels every open order of an account (of one asset, if named) in this turn, so their holds
   * are released.
   */
  cancelAtOnce(account: Account, asset?: Asset): void {
    for (const order of [...account.openOrders]) {
      if (asset === undefined || order.request.asset === asset) this.#end(account, order)
    }
  }

  /**
   * Fills an order by command, also while matching is held, at the market unless a price is given.
   * Also books a late fill on a canceled order, and an overfill on any order.
   */
  fillNow(
    account: Account,
    order: Order,
    qty?: Decimal,
    price?: Decimal,
    isOverfill = false,
  ): void {
    if (order.status === 'filled' && !isOverfill)
      throw unprocessable('order is already in "filled" state')
    this.#decideReplace(account, order)
    const working = this.#live.get(order)
    if (working !== undefined && order.status !== 'held') this.#begin(working)
    const at = price ?? fairPrice(order, this.#prices)
    this.#book.fill(account, order, qty ?? wholeQty(order, at), at, isOverfill)
    if (!isOpen(order)) this.#forget(order)
  }

  /** The venue rejects an acknowledged open order; no effect on other orders. */
  reject(account: Account, order: Order): void {
    if (!isOpen(order) || isAsked(order)) return
    this.#forget(order)
    this.#book.close(account, order, 'rejected')
  }

  /** Undoes an execution, or (`to`) changes it. @throws {RangeError} the execution is not valid */
  amend(...amendment: Parameters<OrderBook['amend']>): void {
    this.#book.amend(...amendment)
    const [, order] = amendment
    if (!isOpen(order)) this.#forget(order)
  }

  /** Stops automatic matching for an account, an asset, or (no argument) all orders. */
  hold(what?: Account | Asset): void {
    this.#holds.add(what ?? EVERYTHING)
  }

  /** Undoes `hold` of the same argument and tries the waiting orders. */
  release(what?: Account | Asset): void {
    this.#holds.delete(what ?? EVERYTHING)
    for (const workings of this.#bySymbol.values()) this.#tryAll(workings)
  }

  #workingOf(asset: Asset): Set<Working> {
    const known = this.#bySymbol.get(asset.symbol) ?? new Set<Working>()
    this.#bySymbol.set(asset.symbol, known)
    return known
  }

  #forget(order: Order): void {
    const working = this.#live.get(order)
    if (working === undefined) return
    this.#live.delete(order)
    this.#queued.delete(working)
    this.#workingOf(order.request.asset).delete(working)
  }

  #worksNow(request: OrderRequest): boolean {
    return worksIn(request, this.#session.phase())
  }

  #isFree({ account, order }: Working): boolean {
    const held = [EVERYTHING, account, order.request.asset].some((what) => this.#holds.has(what))
    return isOpen(order) && !isAsked(order) && !held
  }

  #canMatch(working: Working): boolean {
    return this.#worksNow(working.order.request) && this.#isFree(working)
  }

  /** Moves a pending, queued or held order to working, or a pending order to queued. */
  #begin(working: Working): void {
    const { account, order } = working
    if (order.status !== 'pending_new' && order.status !== 'accepted' && order.status !== 'held')
      return
    if (this.#worksNow(order.request)) {
      this.#book.acknowledge(account, order, 'new')
      this.#workingOf(order.request.asset).add(working)
      this.#tryLater(working)
    } else if (!this.#queued.has(working)) {
      this.#queued.add(working)
      this.#book.acknowledge(account, order, 'accepted')
    }
  }

  /** Runs the auction, expires day orders, and starts the queued orders of the new phase. */
  #onPhase(phase: Phase, before: Phase): void {
    const auction = auctionBetween(before, phase)
    const inAuction = [...this.#queued].filter(({ order }) => order.request.timeInForce === auction)
    inAuction.forEach((working) => this.#auction(working))
    for (const { account, order } of [...this.#live.values()]) {
      if (!endsAfter(order, before, phase)) continue
      this.#forget(order)
      this.#book.close(account, order, 'expired')
    }
    for (const working of [...this.#queued]) {
      if (!this.#worksNow(working.order.request)) continue
      this.#queued.delete(working)
      this.#begin(working)
    }
    for (const workings of this.#bySymbol.values()) this.#tryAll(workings)
  }

  /** Fills in full at the auction's one price, the last trade; an unmatched order is canceled. */
  #auction(working: Working): void {
    const { account, order } = working
    const { last } = this.#prices.of(order.request.asset)
    const price = limitAllows(order.request, last) && this.#isFree(working) ? last : undefined
    if (price === undefined) return this.#end(account, order)
    this.#forget(order)
    this.#book.acknowledge(account, order, 'new')
    this.#book.fill(account, order, wholeQty(order, price), price)
  }

  #tryLater(working: Working): void {
    working.timed = true
    this.#clock.after(this.#options.fillDelayMs, () => {
      working.timed = false
      this.#attempt(working)
    })
  }

  #tryAll(workings: ReadonlySet<Working>): void {
    for (const working of [...workings]) {
      // A stop that is reached while an attempt is scheduled stays triggered.
      if (!working.timed) this.#attempt(working)
      else if (this.#canMatch(working))
        reachedStop(working.order, this.#prices.of(working.order.request.asset))
    }
  }

  #attempt(working: Working): void {
    if (!this.#canMatch(working)) return
    const { account, order } = working
    const reached = reachedStop(order, this.#prices.of(order.request.asset))
    if (order.status === 'held') {
      if (!reached) return
      siblingsOf(order).forEach((other) => this.#end(account, other))
      this.#book.acknowledge(account, order, 'new')
    }
    const price = marketablePrice(order, this.#prices)
    if (price !== undefined) this.#match(working, price)
    const immediate = order.request.timeInForce === 'ioc' || order.request.timeInForce === 'fok'
    if (!immediate || !isOpen(order)) return
    this.#book.close(account, order, 'canceled')
    this.#forget(order)
  }

  #match(working: Working, price: Decimal): void {
    const { account, order } = working
    const { enabled, share } = this.partialFills
    const mayPart = enabled && !working.split && order.request.timeInForce !== 'fok'
    const part =
      mayPart && this.#randomness.fraction() < share
        ? firstPart(order, this.#randomness)
        : undefined
    working.split = true
    this.#book.fill(account, order, part ?? wholeQty(order, price), price)
    if (!isOpen(order)) this.#forget(order)
    else if (order.request.timeInForce !== 'ioc') this.#tryLater(working)
  }
}
