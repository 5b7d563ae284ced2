import { type Decimal, isNegative, isZero } from './decimal.ts'
import { headOf, LEGS, type Order, sideOf } from './order.ts'
import type { Position } from './position.ts'
import { isTerminal } from './transitions.ts'

/** The price at which an order protects a position, or `null` when it does not. A trailing stop moves by itself and is not shown. */
function stopPriceOf(order: Order, position: Position): Decimal | null {
  const exitSide = isNegative(position.quantity) ? 'buy' : 'sell'
  for (const leg of LEGS) {
    const head = headOf(order, leg)
    if (head === null || sideOf(order, leg) !== exitSide || head.stopPrice === null) continue
    const isOver = isTerminal(head.status) && head.status !== 'replaced' // a replaced one stands until its successor is known
    if (!isOver && head.status !== 'submitting' && order.orderType !== 'trailing_stop') return head.stopPrice
  }
  // The broker places the exits of a filled entry a moment later; until it has told of them, what was asked for stands.
  const isPlanned = order.stopLoss !== null && headOf(order, 'stopLoss') === null && sideOf(order, 'entry') !== exitSide
  return isPlanned && !isZero(order.cumulativeQuantity) ? (order.stopLoss?.stopPrice ?? null) : null
}

/** The position as `order` protects it: its stop is shown while it is live, and taken off when it ends. */
export function protectedBy(order: Order, position: Position): Position {
  const price = stopPriceOf(order, position)
  if (price === null) {
    return position.stopLossFrom === order.id ? { ...position, stopLossPrice: null, stopLossFrom: null } : position
  }
  if (position.stopLossPrice === price && position.stopLossFrom === order.id) return position
  return { ...position, stopLossPrice: price, stopLossFrom: order.id }
}
