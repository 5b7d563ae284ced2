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

// What orders that are open, or on their way, may still do to a position. Every order counts once:
// two exits that exclude each other as the larger of them, an order and the replacement of it that
// is under way as the larger of them. `null`: nobody knows how much, as of an order that is sized
// in money.

/**
 * What sending an order, or changing it, does to the position: `shrinks` only makes an order of
 * ours smaller than it was asked for.
 */
export type Exposure = 'adds' | 'reduces' | 'shrinks'

const EXITS: ReadonlySet<Order['orderClass']> = new Set(['bracket', 'oto'])

/** Replacements that may be at the broker, and have not shown which order stands. */
const sentOf = ({ replaces }: Order): ReplaceRequest[] =>
  replaces.filter(({ sentAt }) => sentAt !== null)

const isSubmitting = ({ status, endedAt }: Order): boolean =>
  status === 'submitting' && endedAt === null

const larger = (quantities: readonly (Decimal | null)[]): Decimal | null =>
  quantities.reduce((a, b) => (a === null || b === null ? null : max(a, b)), ZERO)

/**
 * What a placement may still execute. One that was replaced lives on in a successor that is not
 * known yet.
 */
function leftOfPlacement(placement: Placement): Decimal | null {
  const { quantity, final, cumulativeQuantity } = placement
  if (final !== null && final.status !== 'replaced')
    return max(sub(final.filledQuantity, cumulativeQuantity), ZERO)
  return quantity === null ? null : max(sub(quantity, netQuantity(placement)), ZERO)
}

/** What an order itself may still execute, on its own side. */
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
 * What the exits of an order may still execute, on the other side: no more than its entry has
 * opened and they have not closed.
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
 * An exit of an order that was placed elsewhere has a record of its own, and waits for its entry,
 * or beside its sibling.
 */
const isHeldElsewhere = ({ origin, placements }: Order): boolean =>
  origin === 'external' &&
  placements.length > 0 &&
  placements.every(({ working }) => working?.status === 'held')

/** What an order, or its exits, may still trade on a side. */
function leftOn(order: Order, side: Side): Decimal | null {
  if (isHeldElsewhere(order)) return ZERO
  const exits = sideOf(order, 'takeProfit') === side ? exitsLeftOf(order) : ZERO
  const own = order.side === side ? leftOf(order) : ZERO
  return own === null ? null : max(own, exits)
}

/**
 * Whether an order on this side makes the position smaller, if it is not larger than the position.
 */
export const opposes = (side: Side, position: Position | null): position is Position =>
  position !== null &&
  (side === 'sell' ? isPositive(position.quantity) : isNegative(position.quantity))

/**
 * How much of a position may still be reduced: what is held, less what open orders and orders on
 * their way reduce of it already.
 * @param orders of the user, of any connection and symbol
 * @param tradeId an order that is not counted: the one that is to reduce
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
 * The part of an order that may still open or enlarge a position: its terms, and how much of it is
 * left. Exits never do.
 */
export type Entering = Readonly<{ intent: OrderIntent; quantity: Decimal | null; spent: Decimal }>

/** What open orders and orders on their way may still add on a side. */
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

/** Its terms with the highest limit that it has, or may have by a replacement that is under way. */
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

/** Whether an order is of a size, and of a kind, that can only make a position smaller. */
export const isWithin = ({ quantity, orderClass }: OrderIntent, reducible: Decimal): boolean =>
  quantity !== null && !EXITS.has(orderClass) && !isZero(quantity) && cmp(quantity, reducible) <= 0
