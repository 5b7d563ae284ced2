import { add, cmp, type Decimal, div, isZero, max, mul, sub, sum, ZERO } from './decimal.ts'
import { counts, type Execution, headOf, type Leg, type Order, type Placement } from './order.ts'
import { isTerminal, type OrderStatus } from './transitions.ts'
import type { BrokerOrder } from './updates.ts'

// What an order is, as it follows from its placements. Derived anew after every update, never
// changed by hand.

const counted = (order: Order): Placement[] =>
  order.placements.filter(({ leg }) => counts(order, leg))

/** Executed and not busted. */
export const netQuantity = ({ cumulativeQuantity, busted }: Placement): Decimal =>
  busted === null ? cumulativeQuantity : sub(cumulativeQuantity, busted.quantity)
export const netCost = ({ totalCost, busted }: Placement): Decimal =>
  busted === null ? totalCost : sub(totalCost, busted.cost)

export function totalsOf(order: Order): Pick<Order, 'cumulativeQuantity' | 'totalCost'> {
  const own = counted(order)
  const [only] = own
  if (own.length === 1 && only !== undefined)
    return { cumulativeQuantity: netQuantity(only), totalCost: netCost(only) }
  return { cumulativeQuantity: sum(own.map(netQuantity)), totalCost: sum(own.map(netCost)) }
}

/**
 * Called filled, and part of it was taken back by the venue: that part will not be executed again.
 */
const isShort = (placement: Placement): boolean =>
  placement.quantity === null
    ? placement.busted !== null
    : cmp(netQuantity(placement), placement.quantity) < 0

/**
 * Everything that was asked for has executed; an order sized in money is complete by its
 * placement's word.
 */
export const isComplete = (order: Order): boolean =>
  order.quantity === null
    ? counted(order).some(({ status, busted }) => status === 'filled' && busted === null)
    : cmp(order.cumulativeQuantity, order.quantity) >= 0

/**
 * Whether a placement may still execute, or its successor may. One that was replaced lives on in
 * its successor; and while a replacement is under way, a cancel may be one half of it (CAN-07).
 */
function isLive(order: Order, placement: Placement): boolean {
  if (placement.status === 'submitting' || placement.status === 'denied') return false
  if (!isTerminal(placement.status)) return true
  if (headOf(order, placement.leg) !== placement) return false
  if (placement.status === 'replaced') return true
  const [underWay] = order.replaces
  return (
    placement.status === 'canceled' && underWay?.sentAt != null && underWay.leg === placement.leg
  )
}

/**
 * A replacement that ended before it took the place of the order before it, as one that the venue
 * rejected.
 */
const cameToNothing = ({ replacement, agreed, status }: Placement): boolean =>
  replacement > 0 && !agreed && isTerminal(status) && status !== 'replaced'

/**
 * The newest placement of a leg, replacements that came to nothing passed over: the order before
 * them works on, or had ended.
 */
export const standingHeadOf = (order: Order, leg: Leg): Placement | null =>
  headOf({ placements: order.placements.filter((one) => !cameToNothing(one)) }, leg) ??
  headOf(order, leg)

/** Placements that may still execute, exits included. */
export const livePlacements = (order: Order): Placement[] =>
  order.placements.filter((one) => isLive(order, one))

/** Where the order stands by what is known at the broker, or `null` while nothing is. */
export function statusOf(order: Order): OrderStatus | null {
  const own = counted(order).filter(({ status }) => status !== 'submitting' && status !== 'denied')
  if (own.length === 0) return null
  if (isComplete(order)) return 'filled'
  const hasExecuted = !isZero(order.cumulativeQuantity)
  if (own.some((one) => isLive(order, one))) return hasExecuted ? 'partially_filled' : 'submitted'
  const filled = own.filter(({ status }) => status === 'filled')
  if (filled.length > 0) return filled.every(isShort) ? 'canceled' : 'filled'
  const ending = (standingHeadOf(order, 'entry') ?? own[0])?.status ?? 'canceled'
  return (hasExecuted && ending === 'rejected') || ending === 'denied' ? 'canceled' : ending
}

/** Something of it may still happen at the broker, or has happened there and is not booked. */
export const isOpenOrder = (order: Order): boolean =>
  order.endedAt === null || hasGap(order) || livePlacements(order).length > 0

/**
 * A gap is a filled quantity that some source has shown and whose executions have not all been seen
 * yet.
 */
export const hasGap = (order: Order): boolean =>
  order.placements.some((one) => cmp(one.reportedQuantity, one.cumulativeQuantity) > 0)

/**
 * The execution that a view implies where no source lists it yet: what is missing above what is
 * booked, up to what the view says is filled or to the next execution that waits, at the price that
 * makes the broker's average come out. It is named by its span like any other, so the real one
 * changes nothing later (FIL-05). Between several that are missing, the price is shared.
 */
export function inferredExecution(order: Order, seen: BrokerOrder): Execution | null {
  const placement = order.placements.find((one) => one.brokerOrderId === seen.brokerOrderId)
  if (placement === undefined || seen.filledAveragePrice === null || placement.busted !== null)
    return null
  let upTo = placement.cumulativeQuantity
  let quantity = ZERO
  let cost = ZERO
  let firstHole: Decimal | null = null
  const reached = (start: Decimal): void => {
    if (cmp(start, upTo) <= 0) return
    firstHole ??= start
    quantity = add(quantity, sub(start, upTo))
  }
  for (const held of placement.held) {
    const start = sub(held.cumulativeQuantity, held.quantity)
    reached(start)
    cost = add(cost, mul(held.price, sub(held.cumulativeQuantity, max(start, upTo))))
    upTo = held.cumulativeQuantity
  }
  reached(seen.filledQuantity)
  if (firstHole === null || cmp(upTo, seen.filledQuantity) > 0) return null
  const missing = sub(
    sub(mul(seen.filledAveragePrice, seen.filledQuantity), placement.totalCost),
    cost,
  )
  const price = div(missing, quantity)
  if (cmp(price, ZERO) <= 0) return null
  const { cumulativeQuantity: booked } = placement
  return {
    executionId: null,
    quantity: sub(firstHole, booked),
    price,
    cumulativeQuantity: firstHole,
    at: seen.updatedAt,
  }
}

/**
 * Whether the entry that is at work has the size that makes the whole order execute exactly once.
 */
export function hasRightSize(order: Order): boolean {
  const head = headOf(order, 'entry')
  return head?.quantity != null && rightSizeOf(order, head) === head.quantity
}

/**
 * What the head of a leg should be sized at so that the whole order executes exactly once; `null`
 * where nothing says.
 */
export function rightSizeOf(order: Order, head: Placement): Decimal | null {
  return order.quantity === null ? null : sub(order.quantity, executedBefore(order, head))
}

const earlierOf = ({ placements }: Order, head: Placement): Placement[] =>
  placements.filter(({ leg, replacement }) => leg === head.leg && replacement < head.replacement)

/**
 * What the earlier orders of a chain have executed by the broker's word, booked or not; what was
 * busted is left out.
 */
export const executedBefore = (order: Order, head: Placement): Decimal =>
  executedBy(earlierOf(order, head))

/** The same of the whole chain of an order, its head included. */
export const executedOf = ({ placements }: Order): Decimal =>
  executedBy(placements.filter(({ leg }) => leg === 'entry'))

const executedBy = (placements: readonly Placement[]): Decimal =>
  placements.reduce((total, one) => {
    const gross = max(one.reportedQuantity, one.cumulativeQuantity)
    return add(total, one.busted === null ? gross : sub(gross, one.busted.quantity))
  }, ZERO)

/**
 * Earlier orders of a chain that the broker has not shown ended: how much they have executed is not
 * known yet.
 */
export const unendedBefore = (order: Order, head: Placement): Placement[] =>
  earlierOf(order, head).filter(
    ({ brokerOrderId, final }) => brokerOrderId !== null && final === null,
  )
