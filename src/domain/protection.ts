import { add, type Decimal, isNegative, isZero, max, sub, ZERO } from './decimal.ts'
import { hasGap, livePlacements, standingHeadOf } from './order-status.ts'
import { counts, headOf, LEGS, type Order, sideOf } from './order.ts'
import { type Position, type PositionSide, positionSideOf } from './position.ts'
import { tradingDayOf } from './trading-day.ts'
import { isTerminal } from './transitions.ts'

/**
 * The price at which an order protects a position; `null`: the order does not protect it. A
 * trailing stop moves by itself and is not shown.
 */
function stopPriceOf(order: Order, position: Position): Decimal | null {
  const exitSide = isNegative(position.quantity) ? 'buy' : 'sell'
  for (const leg of LEGS) {
    const head = standingHeadOf(order, leg)
    if (head === null || sideOf(order, leg) !== exitSide || head.stopPrice === null) continue
    // The exits are held until a part of the entry has executed.
    if (!counts(order, leg) && isZero(order.cumulativeQuantity)) continue
    const isOver = isTerminal(head.status) && head.status !== 'replaced' // a replaced head counts until its successor is known
    if (!isOver && head.status !== 'submitting' && order.orderType !== 'trailing_stop')
      return head.stopPrice
  }
  // The broker places the exits of a filled entry a moment later. Until it reports the exits, the
  // requested stop counts.
  const isPlanned =
    order.stopLoss !== null &&
    headOf(order, 'stopLoss') === null &&
    sideOf(order, 'entry') !== exitSide
  return isPlanned && !isZero(order.cumulativeQuantity) ? (order.stopLoss?.stopPrice ?? null) : null
}

/** Reports if the order's stop for this position has changed. A repeated report changes no stop. */
export const hasNewStop = (before: Order | null, order: Order, position: Position): boolean =>
  (before === null ? null : stopPriceOf(before, position)) !== stopPriceOf(order, position)

/**
 * The first of these orders with a stop that protects the position; `null`: no order protects it.
 */
export const stopAmong = (orders: readonly Order[], position: Position): Order | null =>
  orders.find(
    (order) =>
      order.connectionId === position.connectionId &&
      order.symbol === position.symbol &&
      stopPriceOf(order, position) !== null,
  ) ?? null

/**
 * The position with the stop of `order`: the stop is shown while it is live, and removed when it
 * ends.
 */
export function protectedBy(order: Order, position: Position): Position {
  const price = stopPriceOf(order, position)
  if (price === null) {
    return position.stopLossFrom === order.id
      ? { ...position, stopLossPrice: null, stopLossFrom: null }
      : position
  }
  if (position.stopLossPrice === price && position.stopLossFrom === order.id) return position
  return { ...position, stopLossPrice: price, stopLossFrom: order.id }
}

/**
 * The quantity that the exits of an entry executed beyond the entry itself, for example if both
 * exits of a bracket fill in a fast market. Busted quantities do not count on either side. Zero for
 * orders without exits of their own: the two sides of an oco are the order itself.
 */
export function overExitOf({ orderClass, placements }: Order): Decimal {
  if (orderClass !== 'bracket' && orderClass !== 'oto') return ZERO
  let over = ZERO
  for (const { leg, cumulativeQuantity, busted } of placements) {
    const executed = sub(cumulativeQuantity, busted?.quantity ?? ZERO)
    over = leg === 'entry' ? sub(over, executed) : add(over, executed)
  }
  return max(over, ZERO)
}

/**
 * The excess of an order's exits over its entry, as it is held: exits that sell leave a short
 * position.
 */
export type Excess = Readonly<{ symbol: string; quantity: Decimal; positionSide: PositionSide }>

/**
 * The excess to close of an order of ours that was over-exited today. The quantity is zero if the
 * exits did not execute beyond the entry. `null`: the excess may not be closed automatically. The
 * order must have no open placement and no gap. If the position is on the other side, the excess
 * reduced another holding of the user. If the position was opened later, the user opened it on
 * purpose. Neither position may be touched.
 */
export function excessOf(order: Order, position: Position | null, nowMs: number): Excess | null {
  const { origin, symbol, lastExecutionAt } = order
  if (origin !== 'fillcast' || hasGap(order) || livePlacements(order).length > 0) return null
  if (lastExecutionAt === null || tradingDayOf(Date.parse(lastExecutionAt)) !== tradingDayOf(nowMs))
    return null
  const positionSide = sideOf(order, 'takeProfit') === 'sell' ? 'short' : 'long'
  if (
    position === null ||
    positionSideOf(position) !== positionSide ||
    position.openedAt > lastExecutionAt
  )
    return null
  return { symbol, quantity: overExitOf(order), positionSide }
}
