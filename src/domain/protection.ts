import { add, type Decimal, isNegative, isZero, max, sub, ZERO } from './decimal.ts'
import { hasGap, livePlacements, standingHeadOf } from './order-status.ts'
import { counts, headOf, LEGS, type Order, sideOf } from './order.ts'
import { type Position, type PositionSide, positionSideOf } from './position.ts'
import { tradingDayOf } from './trading-day.ts'
import { isTerminal } from './transitions.ts'

/**
 * The price at which an order protects a position, or `null` when it does not. A trailing stop
 * moves by itself and is not shown.
 */
function stopPriceOf(order: Order, position: Position): Decimal | null {
  const exitSide = isNegative(position.quantity) ? 'buy' : 'sell'
  for (const leg of LEGS) {
    const head = standingHeadOf(order, leg)
    if (head === null || sideOf(order, leg) !== exitSide || head.stopPrice === null) continue
    // The exits of an entry are held back until something of the entry has executed.
    if (!counts(order, leg) && isZero(order.cumulativeQuantity)) continue
    const isOver = isTerminal(head.status) && head.status !== 'replaced' // a replaced one stands until its successor is known
    if (!isOver && head.status !== 'submitting' && order.orderType !== 'trailing_stop')
      return head.stopPrice
  }
  // The broker places the exits of a filled entry a moment later; until it has told of them, what
  // was asked for stands.
  const isPlanned =
    order.stopLoss !== null &&
    headOf(order, 'stopLoss') === null &&
    sideOf(order, 'entry') !== exitSide
  return isPlanned && !isZero(order.cumulativeQuantity) ? (order.stopLoss?.stopPrice ?? null) : null
}

/**
 * Whether the order's stop for this position is another one than before. A repeat of what is known
 * changes no stop.
 */
export const hasNewStop = (before: Order | null, order: Order, position: Position): boolean =>
  (before === null ? null : stopPriceOf(before, position)) !== stopPriceOf(order, position)

/**
 * The stop that the position shows, or `null`, when none of these orders protects it: the stop of
 * the first order that does.
 */
export const stopAmong = (orders: readonly Order[], position: Position): Order | null =>
  orders.find(
    (order) =>
      order.connectionId === position.connectionId &&
      order.symbol === position.symbol &&
      stopPriceOf(order, position) !== null,
  ) ?? null

/**
 * The position as `order` protects it: its stop is shown while it is live, and taken off when it
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
 * How much more the exits of an entry have executed than the entry itself, as when both of a
 * bracket are filled in a fast market; what the venue took back counts on neither side. Zero for
 * orders without exits of their own: an oco's two sides are the order itself.
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
 * What the exits of an order executed beyond its entry, as it is held: exits that sell leave a
 * short position.
 */
export type Excess = Readonly<{ symbol: string; quantity: Decimal; positionSide: PositionSide }>

/**
 * What may be closed of an order of ours that was over-exited today, once all that its placements
 * executed is booked and nothing of it is open; `null`: nothing. Where the position lies on the
 * other side, the excess came out of another holding of the user's, and one that was opened later
 * is somebody's wish: neither is ours to touch.
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
