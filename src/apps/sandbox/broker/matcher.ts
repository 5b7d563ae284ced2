import type { Clock } from '#runtime'
import type { Chance } from '../chance.ts'
import type { Account } from './account.ts'
import { type Admission, admit } from './admission.ts'
import type { Asset } from './assets.ts'
import { affordable, decimal, type Decimal, decimalPlaces, isWhole, zero } from './decimals.ts'
import { isOpen, leavesQty, type Order, type Ticket } from './order.ts'
import type { OrderBook } from './order-book.ts'
import type { Prices } from './prices.ts'
import { unprocessable } from './refusal.ts'
import type { Session } from './session.ts'

/**
 * Decides when an order moves. An order is *pending* (just answered), *queued* (market closed: `accepted`), *working* (`new`,
 * `partially_filled`) or gone. Working orders are tried once after the fill delay and on every tick of their symbol; they fill in
 * full at the bid or ask, except that a share of them gets a random first part. Sizes of the book are not a limit.
 */
export type MatchingOptions = Readonly<{
  /** From acknowledgement, or from a first part, to the match. 0 matches in the next turn. */
  fillDelayMs: number
  /** From the request to the cancel; fills may still land in between. */
  cancelDelayMs: number
}>

export interface Matcher {
  /** Checks and takes an order; it moves later. @throws {Refusal} */
  submit(account: Account, ticket: Ticket): Order
  /** Asks to cancel; harmless when already asked or canceled. @throws {Refusal} the order ended otherwise */
  cancel(account: Account, order: Order): void
  /** Matches by command, held or not, at the market unless a price is given; also lands a late fill on a canceled order. */
  fillNow(account: Account, order: Order, qty?: Decimal, price?: Decimal): void
  /** Stops matching by itself for an account, an asset, or (no argument) everything. */
  hold(what?: Account | Asset): void
  /** Undoes `hold` of the same thing and tries what waited. */
  release(what?: Account | Asset): void
  partialFills: { enabled: boolean; share: number }
}

/** An open order as the matcher follows it: `timed` while an attempt is scheduled, `split` once the chance of a first part is spent. */
type Working = { readonly account: Account; readonly order: Order; timed: boolean; split: boolean }
const EVERYTHING = Symbol('everything')

/** The price at which the order would trade now, or undefined. */
function marketablePrice({ ticket }: Order, prices: Prices): Decimal | undefined {
  const { bid, ask } = prices.of(ticket.asset)
  const price = ticket.side === 'buy' ? ask : bid
  if (ticket.limitPrice === null) return price
  return (ticket.side === 'buy' ? price.lte(ticket.limitPrice) : price.gte(ticket.limitPrice)) ? price : undefined
}

/** What a fill by command pays: the market when the order is marketable, else its own limit. */
const fairPrice = (order: Order, prices: Prices): Decimal =>
  marketablePrice(order, prices) ?? order.ticket.limitPrice ?? prices.of(order.ticket.asset).last

/** Everything that is left; a notional order is sized by the price it meets. */
const wholeQty = (order: Order, price: Decimal): Decimal =>
  order.qty === null ? affordable(order.ticket.notional ?? zero, price) : leavesQty(order)

/** A random part of what is left, in the order's own smallest unit; undefined when it cannot be parted. */
function firstPart(order: Order, chance: Chance): Decimal | undefined {
  if (order.qty === null) return undefined
  const places = isWhole(order.qty) ? 0 : decimalPlaces(order.qty)
  const unit = decimal(1).div(decimal(10).pow(places))
  const part = leavesQty(order).times(decimal(chance.fraction())).round(places, 0)
  const bounded = part.lt(unit) ? unit : part
  return bounded.lt(leavesQty(order)) ? bounded : undefined
}

export function createMatcher(
  book: OrderBook,
  prices: Prices,
  session: Session,
  clock: Clock,
  chance: Chance,
  options: MatchingOptions,
): Matcher {
  const partialFills: Matcher['partialFills'] = { enabled: true, share: 0.1 }
  const bySymbol = new Map<string, Map<Order, Working>>()
  const live = new Map<Order, Working>()
  const queued = new Set<Working>()
  const holds = new Set<unknown>()

  const workingOf = (asset: Asset): Map<Order, Working> => {
    const known = bySymbol.get(asset.symbol) ?? new Map<Order, Working>()
    bySymbol.set(asset.symbol, known)
    return known
  }
  const forget = (order: Order): void => {
    const working = live.get(order)
    live.delete(order)
    workingOf(order.ticket.asset).delete(order)
    if (working !== undefined) queued.delete(working)
  }
  const trades = (asset: Asset): boolean => asset.assetClass === 'crypto' || session.isOpen()
  const isHeld = ({ account, order }: Working): boolean =>
    holds.has(EVERYTHING) || holds.has(account) || holds.has(order.ticket.asset)
  const canMatch = (working: Working): boolean =>
    isOpen(working.order) &&
    working.order.status !== 'pending_cancel' &&
    trades(working.order.ticket.asset) &&
    !isHeld(working)

  const match = (working: Working, price: Decimal): void => {
    const { account, order } = working
    const mayPart = partialFills.enabled && !working.split && order.ticket.timeInForce !== 'fok'
    const part = mayPart && chance.fraction() < partialFills.share ? firstPart(order, chance) : undefined
    working.split = true
    book.fill(account, order, part ?? wholeQty(order, price), price)
    if (!isOpen(order)) forget(order)
    else if (order.ticket.timeInForce !== 'ioc') tryLater(working)
  }
  const attempt = (working: Working): void => {
    if (!canMatch(working)) return
    const { account, order } = working
    const price = marketablePrice(order, prices)
    if (price !== undefined) match(working, price)
    const immediate = order.ticket.timeInForce === 'ioc' || order.ticket.timeInForce === 'fok'
    if (immediate && isOpen(order)) {
      book.close(account, order, 'canceled')
      forget(order)
    }
  }
  const tryLater = (working: Working): void => {
    working.timed = true
    clock.after(options.fillDelayMs, () => {
      working.timed = false
      attempt(working)
    })
  }
  const tryAll = (workings: Iterable<Working>): void => {
    for (const working of [...workings]) if (!working.timed) attempt(working)
  }
  const begin = (working: Working): void => {
    if (working.order.status !== 'pending_new' && working.order.status !== 'accepted') return
    if (!trades(working.order.ticket.asset)) {
      if (queued.has(working)) return
      queued.add(working)
      book.acknowledge(working.account, working.order, 'accepted')
      return
    }
    book.acknowledge(working.account, working.order, 'new')
    workingOf(working.order.ticket.asset).set(working.order, working)
    tryLater(working)
  }

  prices.onTick(({ market }) => tryAll(workingOf(market.asset).values()))
  session.onChange((open) => {
    if (!open) return
    const waiting = [...queued]
    queued.clear()
    waiting.forEach(begin)
    for (const workings of bySymbol.values()) tryAll(workings.values())
  })

  return {
    partialFills,
    submit(account, ticket) {
      const admission: Admission = admit(account, ticket, prices)
      const status = trades(ticket.asset) ? 'pending_new' : 'accepted'
      const order = book.open(
        account,
        ticket,
        admission,
        status,
        ticket.timeInForce === 'gtc' ? null : session.dayEnd(),
      )
      const working: Working = { account, order, timed: false, split: false }
      live.set(order, working)
      // The next turn: the answer to the request is written first.
      clock.after(0, () => begin(working))
      return order
    },
    cancel(account, order) {
      if (order.status === 'pending_cancel' || order.status === 'canceled') return
      if (!isOpen(order)) throw unprocessable(`order is already in "${order.status}" state`)
      book.requestCancel(account, order)
      clock.after(options.cancelDelayMs, () => {
        forget(order)
        if (isOpen(order)) book.close(account, order, 'canceled')
      })
    },
    fillNow(account, order, qty, price) {
      if (order.status === 'filled') throw unprocessable('order is already in "filled" state')
      const working = live.get(order)
      if (working !== undefined) begin(working)
      const at = price ?? fairPrice(order, prices)
      book.fill(account, order, qty ?? wholeQty(order, at), at)
      if (!isOpen(order)) forget(order)
    },
    hold: (what) => void holds.add(what ?? EVERYTHING),
    release(what) {
      holds.delete(what ?? EVERYTHING)
      for (const workings of bySymbol.values()) tryAll(workings.values())
    },
  }
}
