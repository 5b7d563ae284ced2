import { type Account, openOrdersOf, type Position, positionQty } from './account.ts'
import type { Asset } from './assets.ts'
import { type Decimal, larger, smaller, sum, zero } from './decimals.ts'
import { leavesQty, type Order } from './order.ts'
import type { Prices } from './prices.ts'

/**
 * What open orders hold of an account, and what that leaves. Nothing is kept: every figure is computed from the open orders when
 * asked. An order that stands behind another holds nothing itself: a held leg (its parent or its pair does), and a replacement
 * on its way (the replaced order holds the larger of the two).
 */

/** The order and what may take its place at any moment; none while it stands behind another. */
const claimants = (order: Order): readonly Order[] => {
  if (order.status === 'held' || order.predecessor !== null) return []
  return order.successor === null ? [order] : [order, order.successor]
}

const largest = (amounts: readonly Decimal[]): Decimal => amounts.reduce(larger, zero)

/** Units of its asset that an order holds. */
const qtyHeldBy = (order: Order): Decimal => largest(claimants(order).map(leavesQty))

/** Shares that open orders would take out of the position. */
export function heldQty(account: Account, asset: Asset): Decimal {
  const qty = positionQty(account, asset)
  if (qty.eq(0)) return zero
  const closing = sum(openOrdersOf(account, asset, qty.gt(0) ? 'sell' : 'buy').map(qtyHeldBy))
  return smaller(closing, qty.abs())
}

function powerOf(order: Order): Decimal {
  const { notional } = order.ticket
  if (notional !== null && order.qty === null) return order.intent.endsWith('_open') ? notional : zero
  return leavesQty(order).times(order.heldPerUnit)
}

/** What the account is worth and may still spend, all at the current last prices. */
type Funds = Readonly<{
  longValue: Decimal
  shortValue: Decimal
  equity: Decimal
  lastEquity: Decimal
  initialMargin: Decimal
  maintenanceMargin: Decimal
  buyingPower: Decimal
  freeCash: Decimal
}>

export function fundsOf(account: Account, prices: Prices): Funds {
  const positions = [...account.positions.values()]
  const value = (position: Position): Decimal => position.qty.times(prices.of(position.asset).last)
  const longValue = sum(positions.filter(({ qty }) => qty.gt(0)).map(value))
  const shortValue = sum(positions.filter(({ qty }) => qty.lt(0)).map(value))
  const equity = account.cash.plus(longValue).plus(shortValue)
  const previous = sum(positions.map(({ asset, qty }) => qty.times(prices.of(asset).previousClose)))
  const gross = longValue.minus(shortValue)
  const held = sum([...account.openOrders].map((order) => largest(claimants(order).map(powerOf))))
  const initialMargin = gross.div(account.multiplier)
  const power =
    account.multiplier === 1 ? account.cash : larger(zero, equity.minus(initialMargin)).times(account.multiplier)
  return {
    longValue,
    shortValue,
    equity,
    lastEquity: account.cash.plus(previous),
    initialMargin,
    maintenanceMargin: gross.times(30).div(100),
    buyingPower: larger(zero, power.minus(held)),
    freeCash: larger(zero, account.cash.minus(held)),
  }
}
