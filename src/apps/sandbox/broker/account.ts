import type { Activity } from './activity.ts'
import { type Asset, positionSymbol } from './assets.ts'
import { type Decimal, smaller, zero } from './decimals.ts'
import { type Holds, newHolds, noteHold } from './holds.ts'
import { costOf, type Lots, newLots, restated } from './lots.ts'
import { type Amendment, type Execution, isOpen, type Order, type Side } from './order.ts'

/**
 * One account: cash, positions, orders and executions. Invariants:
 * - cash + positions at cost + fees = deposits + realized profit, exactly;
 * - `openOrders` holds exactly the open orders;
 * - a client order id is never used twice;
 * - the account's holds are the sum of the holds of its open orders.
 */
export interface Position {
  readonly asset: Asset
  /** Signed: negative is short. Never zero: a closed position is removed. */
  qty: Decimal
  /** Signed like `qty`: the exact cost of the open part. */
  cost: Decimal
  /** The lots from which the cost is restated when the day ends. */
  lots: Lots
}

/** The bars on trading, as the account's own fields. */
export interface AccountFlags {
  status: string
  tradingBlocked: boolean
  accountBlocked: boolean
  tradeSuspendedByUser: boolean
  shortingEnabled: boolean
  /** Allows orders for parts of a share, and orders sized in money. */
  fractionalTrading: boolean
}

/** The part of an account that an execution changes. */
export type Books = Pick<Account, 'cash' | 'realized' | 'fees' | 'positions'>

export interface Account {
  readonly id: string
  readonly number: string
  readonly createdAt: string
  /** Buying power per unit of equity; the holder may lower it. */
  multiplier: 1 | 2 | 4
  /** Deposits minus withdrawals. */
  deposits: Decimal
  /** Fees paid: cash + positions at cost + fees = deposits + realized. */
  fees: Decimal
  readonly flags: AccountFlags
  cash: Decimal
  realized: Decimal
  readonly positions: Map<string, Position>
  readonly orders: Map<string, Order>
  readonly ordersByClientId: Map<string, Order>
  readonly openOrders: Set<Order>
  readonly holds: Holds
  /**
   * Valid executions, in the order they were made: a bust removes its execution, a correction
   * replaces the execution in its place.
   */
  readonly executions: Execution[]
  /** Busts and corrections of executions, in the order they were published. */
  readonly amendments: Amendment[]
  /** Stamps of the past day ends, oldest first. */
  readonly nights: string[]
  /** All activities except fills. */
  readonly activities: Activity[]
}

/**
 * With this many orders the account refuses new orders. The rest of an account's state grows with
 * its orders.
 */
export const ORDERS_PER_ACCOUNT_MAX = 200_000
/**
 * Beyond this number the oldest nights are dropped. An older execution is then amended as if it
 * were from the first day that is still known.
 */
const NIGHTS_PER_ACCOUNT_MAX = 10_000
/**
 * A reduction releases cost rounded to this many decimals. The remainder stays with the position,
 * so no money is lost.
 */
const COST_PLACES = 12

export function newAccount(
  of: Readonly<{
    id: string
    number: string
    createdAt: string
    cash: Decimal
    multiplier: 1 | 2 | 4
  }>,
): Account {
  return {
    ...of,
    deposits: of.cash,
    flags: {
      status: 'ACTIVE',
      tradingBlocked: false,
      accountBlocked: false,
      tradeSuspendedByUser: false,
      shortingEnabled: of.multiplier > 1,
      fractionalTrading: true,
    },
    fees: zero,
    realized: zero,
    positions: new Map(),
    orders: new Map(),
    ordersByClientId: new Map(),
    openOrders: new Set(),
    holds: newHolds(),
    executions: [],
    amendments: [],
    nights: [],
    activities: [],
  }
}

export const positionOf = (
  account: Pick<Account, 'positions'>,
  asset: Asset,
): Position | undefined => account.positions.get(positionSymbol(asset))

export const positionQty = (account: Account, asset: Asset): Decimal =>
  positionOf(account, asset)?.qty ?? zero

/** Open orders of one side of one asset, oldest first. */
export const openOrdersOf = (account: Account, asset: Asset, side: Side): Order[] =>
  [...account.openOrders].filter(({ request }) => request.asset === asset && request.side === side)

/** Adds an order. In the same turn the caller has checked that the client order id is free. */
export function addOrder(account: Account, order: Order): void {
  account.orders.set(order.id, order)
  account.ordersByClientId.set(order.request.clientOrderId, order)
  noteOpen(account, order)
}

/** Updates `openOrders` and the holds after a change of an order. */
export function noteOpen(account: Account, order: Order): void {
  if (isOpen(order)) account.openOrders.add(order)
  else account.openOrders.delete(order)
  for (const changed of [order, order.predecessor, order.successor])
    if (changed !== null) noteHold(account.holds, changed)
}

/** Applies one execution to cash and position, flips included. @param qty above zero */
export function settle(
  account: Books,
  asset: Asset,
  side: Side,
  qty: Decimal,
  price: Decimal,
): void {
  const key = positionSymbol(asset)
  const signed = side === 'buy' ? qty : qty.times(-1)
  account.cash = account.cash.minus(signed.times(price))
  const position = account.positions.get(key) ?? { asset, qty: zero, cost: zero, lots: newLots() }
  const opposite = position.qty.times(signed).lt(0)
  const closing = opposite ? smaller(qty, position.qty.abs()) : zero
  if (closing.gt(0)) {
    const all = closing.eq(position.qty.abs())
    const released = all
      ? position.cost
      : position.cost.times(closing).div(position.qty.abs()).round(COST_PLACES)
    const proceeds = closing.times(price).times(position.qty.gt(0) ? 1 : -1)
    account.realized = account.realized.plus(proceeds.minus(released))
    position.cost = position.cost.minus(released)
    // A fully closed position keeps no lots: a flipped position starts with new lots.
    if (all) position.lots = newLots()
    else position.lots.closedQty = position.lots.closedQty.plus(closing)
  }
  const opening = qty.minus(closing).times(side === 'buy' ? 1 : -1)
  position.cost = position.cost.plus(opening.times(price))
  const { opened } = position.lots
  position.lots.opened = {
    qty: opened.qty.plus(opening),
    cost: opened.cost.plus(opening.times(price)),
  }
  position.qty = position.qty.plus(signed)
  if (position.qty.eq(0)) account.positions.delete(key)
  else account.positions.set(key, position)
}

/**
 * Restates the cost of every position, as the broker does overnight: from the weighted average of
 * the day to first in, first out over days. If the cost of the open part rises, the cost of the
 * closed part falls by the same amount, so the books stay balanced.
 */
export function restateCosts(account: Books): void {
  for (const position of account.positions.values()) {
    position.lots = restated(position.lots)
    const cost = costOf(position.lots)
    account.realized = account.realized.plus(cost.minus(position.cost))
    position.cost = cost
  }
}

/** Ends the day of an account. */
export function endDayOf(account: Account, at: string): void {
  account.nights.push(at)
  if (account.nights.length > NIGHTS_PER_ACCOUNT_MAX) account.nights.shift()
  restateCosts(account)
}
