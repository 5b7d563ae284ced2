import {
  abs,
  cmp,
  type Decimal,
  isNegative,
  isPositive,
  isZero,
  max,
  sub,
  sum,
  ZERO,
} from './decimal.ts'
import type { OrderIntent, Side } from './intent.ts'
import { livePlacements, netQuantity } from './order-status.ts'
import {
  counts,
  intentOf,
  type Order,
  type Placement,
  type ReplaceRequest,
  sideOf,
} from './order.ts'
import type { Position } from './position.ts'

// The quantity that open orders, and orders in submission, may still trade. Every order counts
// once: of two exits that exclude each other the larger counts, and so does the larger of an order
// and its pending replacement. `null`: the quantity is unknown, as for an order sized in money.

/**
 * The effect of an order, or of its change, on the position. `shrinks`: the request only makes one
 * of our orders smaller than it was requested.
 */
export type Exposure = 'adds' | 'reduces' | 'shrinks'

const EXITS: ReadonlySet<Order['orderClass']> = new Set(['bracket', 'oto'])

/**
 * Replacements that may be at the broker, while the broker has not shown if the old or the new
 * order works.
 */
const sentOf = ({ replaces }: Order): ReplaceRequest[] =>
  replaces.filter(({ sentAt }) => sentAt !== null)

const isSubmitting = ({ status, endedAt }: Order): boolean =>
  status === 'submitting' && endedAt === null

const larger = (quantities: readonly (Decimal | null)[]): Decimal | null =>
  quantities.reduce((a, b) => (a === null || b === null ? null : max(a, b)), ZERO)

/**
 * The quantity that a placement may still execute. A replaced placement continues in a successor
 * that is not known yet.
 */
function leftOfPlacement(placement: Placement): Decimal | null {
  const { quantity, final, cumulativeQuantity } = placement
  if (final !== null && final.status !== 'replaced')
    return max(sub(final.filledQuantity, cumulativeQuantity), ZERO)
  return quantity === null ? null : max(sub(quantity, netQuantity(placement)), ZERO)
}

/** The quantity that an order itself may still execute, on its own side. */
export function leftOf(order: Order): Decimal | null {
  const live = livePlacements(order).filter(({ leg }) => counts(order, leg))
  const sent = sentOf(order).filter(({ leg }) => counts(order, leg))
  const rest = (total: Decimal | null): Decimal | null =>
    total === null ? null : max(sub(total, order.cumulativeQuantity), ZERO)
  return larger([
    ...(isSubmitting(order) ? [rest(order.quantity)] : []),
    ...live.map(leftOfPlacement),
    ...sent.map(({ terms }) => rest(terms.quantity ?? order.quantity)),
  ])
}

/**
 * The quantity that the exits of an order may still execute, on the other side: at most the
 * quantity that the entry has opened and the exits have not closed.
 */
function exitsLeftOf(order: Order): Decimal {
  if (!EXITS.has(order.orderClass)) return ZERO
  const isExit = ({ leg }: Pick<Placement, 'leg'>): boolean => leg !== 'entry'
  const exits = order.placements.filter(isExit)
  const isOpen = exits.length === 0 ? order.endedAt === null : livePlacements(order).some(isExit)
  const closed = sum(exits.map(netQuantity))
  return isOpen ? max(sub(order.cumulativeQuantity, closed), ZERO) : ZERO
}

/**
 * An exit of an order that was placed elsewhere. Such an exit has a record of its own, and is held
 * until its entry fills, or beside its sibling.
 */
const isHeldElsewhere = ({ origin, placements }: Order): boolean =>
  origin === 'external' &&
  placements.length > 0 &&
  placements.every(({ working }) => working?.status === 'held')

/** The quantity that an order, or its exits, may still trade on a side. */
function leftOn(order: Order, side: Side): Decimal | null {
  if (isHeldElsewhere(order)) return ZERO
  const exits = sideOf(order, 'takeProfit') === side ? exitsLeftOf(order) : ZERO
  const own = order.side === side ? leftOf(order) : ZERO
  return own === null ? null : max(own, exits)
}

/**
 * Reports if an order on this side makes the position smaller, provided that the order is not
 * larger than the position.
 */
export const opposes = (side: Side, position: Position | null): position is Position =>
  position !== null &&
  (side === 'sell' ? isPositive(position.quantity) : isNegative(position.quantity))

/**
 * The quantity by which a position may still be reduced: the held quantity less the quantity that
 * open orders, and orders in submission, already reduce.
 * @param orders of the user, of any connection and symbol
 * @param tradeId the order that is to reduce the position; it is not counted
 */
export function reducibleOf(
  position: Position | null,
  orders: readonly Order[],
  tradeId: string,
): Decimal {
  if (position === null) return ZERO
  const side = isNegative(position.quantity) ? 'buy' : 'sell'
  const others = orders.filter(
    ({ id, symbol, connectionId }) =>
      id !== tradeId && symbol === position.symbol && connectionId === position.connectionId,
  )
  const reduced = others.map((order) => leftOn(order, side))
  if (reduced.includes(null)) return ZERO
  return max(sub(abs(position.quantity), sum(reduced.map((one) => one ?? ZERO))), ZERO)
}

/**
 * The part of an order that may still open or enlarge a position: the order's terms and its
 * remaining quantity. Exits are never included.
 */
export type Entering = Readonly<{ intent: OrderIntent; quantity: Decimal | null; spent: Decimal }>

/**
 * The parts of open orders, and of orders in submission, that may still add to a position on a
 * side.
 */
export const enteringOn = (orders: readonly Order[], side: Side): Entering[] =>
  orders.flatMap((order) => {
    const quantity = leftOf(order)
    if (
      order.side !== side ||
      order.orderClass === 'oco' ||
      isHeldElsewhere(order) ||
      quantity === ZERO
    )
      return []
    return [{ intent: dearestOf(order), quantity, spent: order.totalCost }]
  })

/** The order's terms with its highest limit price, the limits of pending replacements included. */
function dearestOf(order: Order): OrderIntent {
  const intent = intentOf(order)
  return sentOf(order)
    .filter(({ leg }) => counts(order, leg))
    .reduce((dearest, { terms }) => {
      const { limitPrice, stopPrice } = dearest
      return {
        ...dearest,
        limitPrice:
          terms.limitPrice === null ? limitPrice : max(limitPrice ?? ZERO, terms.limitPrice),
        stopPrice: terms.stopPrice === null ? stopPrice : max(stopPrice ?? ZERO, terms.stopPrice),
      }
    }, intent)
}

/** Reports if an order can only make a position smaller, by its size and its class. */
export const isWithin = ({ quantity, orderClass }: OrderIntent, reducible: Decimal): boolean =>
  quantity !== null && !EXITS.has(orderClass) && !isZero(quantity) && cmp(quantity, reducible) <= 0
