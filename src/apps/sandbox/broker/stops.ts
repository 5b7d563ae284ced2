import { asPrice, decimal, type Decimal, larger, smaller } from './decimals.ts'
import type { Order, OrderRequest } from './order.ts'
import type { Market } from './prices.ts'

/**
 * Stops. A stop watches trades, not quotes: a sell triggers at or below its stop price, a buy at or
 * above. A trailing stop moves its stop price with the best trade since it was placed (its
 * high-water mark; for a buy the lowest trade), and never back. A triggered stop stays triggered.
 */

const HUNDRED = decimal('100')

/** The stop price of a trailing stop at a mark. */
function trailed({ side, trailPrice, trailPercent }: OrderRequest, mark: Decimal): Decimal {
  const distance = trailPrice ?? mark.times(trailPercent ?? 0).div(HUNDRED)
  return asPrice(side === 'sell' ? mark.minus(distance) : mark.plus(distance))
}

/** The stop price of an order placed now; null without a stop. */
export const stopPriceAt = (request: OrderRequest, market: Market): Decimal | null =>
  request.type === 'trailing_stop' ? trailed(request, market.last) : request.stopPrice

function moveMark(order: Order, mark: Decimal): void {
  order.hwm = mark
  order.stopPrice = trailed(order.request, mark)
}

/**
 * Gives a trailing stop its first mark, or the mark of the order that it replaces. Other orders
 * stay unchanged.
 */
export function placeStop(order: Order, { last }: Market, mark: Decimal = last): void {
  if (order.request.type === 'trailing_stop') moveMark(order, mark)
}

/**
 * Applies the last trade to the stop of an order: moves the trail, triggers the stop if it is
 * reached, and returns whether the stop is triggered.
 */
export function reachedStop(order: Order, { last }: Market): boolean {
  if (order.triggered) return true
  const { side } = order.request
  if (order.hwm !== null) {
    const mark = side === 'sell' ? larger(order.hwm, last) : smaller(order.hwm, last)
    if (!mark.eq(order.hwm)) moveMark(order, mark)
  }
  const { stopPrice } = order
  order.triggered =
    stopPrice !== null && (side === 'sell' ? last.lte(stopPrice) : last.gte(stopPrice))
  return order.triggered
}
