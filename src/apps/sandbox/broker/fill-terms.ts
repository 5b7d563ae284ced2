import type { Randomness } from '../randomness.ts'
import { affordable, decimal, type Decimal, decimalPlaces, isWhole, zero } from './decimals.ts'
import { leavesQty, type Order, type OrderRequest } from './order.ts'
import type { Prices } from './prices.ts'

/** The price and the quantity of a fill. */

/** True if the price is no worse than the limit, or if there is no limit. */
export const limitAllows = ({ side, limitPrice }: OrderRequest, price: Decimal): boolean =>
  limitPrice === null || (side === 'buy' ? price.lte(limitPrice) : price.gte(limitPrice))

/** The price at which the order would trade now, or undefined. */
export function marketablePrice(
  { request, triggered }: Order,
  prices: Prices,
): Decimal | undefined {
  if (!triggered) return undefined
  const { bid, ask } = prices.of(request.asset)
  const price = request.side === 'buy' ? ask : bid
  return limitAllows(request, price) ? price : undefined
}

/**
 * The price of a fill by command: the market if the order is marketable, else its own limit, else
 * the last trade.
 */
export const fairPrice = (order: Order, prices: Prices): Decimal =>
  marketablePrice(order, prices) ?? order.request.limitPrice ?? prices.of(order.request.asset).last

/** The open quantity; the size of a notional order follows from the price. */
export const wholeQty = (order: Order, price: Decimal): Decimal =>
  order.qty === null ? affordable(order.request.notional ?? zero, price) : leavesQty(order)

/**
 * A random part of the open quantity, in the order's own smallest unit; undefined if the quantity
 * cannot be split.
 */
export function firstPart(order: Order, randomness: Randomness): Decimal | undefined {
  if (order.qty === null) return undefined
  const places = isWhole(order.qty) ? 0 : decimalPlaces(order.qty)
  const unit = decimal(1).div(decimal(10).pow(places))
  const part = leavesQty(order).times(decimal(randomness.fraction())).round(places, 0)
  const bounded = part.lt(unit) ? unit : part
  return bounded.lt(leavesQty(order)) ? bounded : undefined
}
