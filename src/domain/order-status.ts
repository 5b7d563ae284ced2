import { add, cmp, type Decimal, div, isZero, max, mul, sub, sum, ZERO } from './decimal.ts'
import { counts, type Execution, headOf, type Leg, type Order, type Placement } from './order.ts'
import { isTerminal, type OrderStatus } from './transitions.ts'
import type { BrokerOrder } from './updates.ts'

// The state of an order, derived from its placements. The state is derived anew after every update
// and never changed by hand.

const counted = (order: Order): Placement[] =>
  order.placements.filter(({ leg }) => counts(order, leg))

/** The executed quantity less the busted quantity. */
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
 * The placement is filled, and the venue took back a part of it. That part will not execute again.
 */
const isShort = (placement: Placement): boolean =>
  placement.quantity === null
    ? placement.busted !== null
    : cmp(netQuantity(placement), placement.quantity) < 0

/**
 * The whole requested quantity has executed. An order sized in money is complete when a placement
 * is `filled` without a bust.
 */
export const isComplete = (order: Order): boolean =>
  order.quantity === null
    ? counted(order).some(({ status, busted }) => status === 'filled' && busted === null)
    : cmp(order.cumulativeQuantity, order.quantity) >= 0

/**
 * Reports if a placement, or its successor, may still execute. A replaced placement continues in
 * its successor. While a replacement is in progress, a cancel may be one half of it (CAN-07).
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
 * A replacement that ended before it took the place of the previous order, such as a replacement
 * that the venue rejected.
 */
const cameToNothing = ({ replacement, agreed, status }: Placement): boolean =>
  replacement > 0 && !agreed && isTerminal(status) && status !== 'replaced'

/**
 * The newest placement of a leg without replacements that failed. The order before a failed
 * replacement still works, or had ended.
 */
export const standingHeadOf = (order: Order, leg: Leg): Placement | null =>
  headOf({ placements: order.placements.filter((one) => !cameToNothing(one)) }, leg) ??
  headOf(order, leg)

/** Placements that may still execute, exits included. */
export const livePlacements = (order: Order): Placement[] =>
  order.placements.filter((one) => isLive(order, one))

/**
 * The order's status by its placements at the broker; `null` while no placement is known to be
 * there.
 */
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

/** A placement may still execute, or has executed a quantity that is not booked. */
export const isOpenOrder = (order: Order): boolean =>
  order.endedAt === null || hasGap(order) || livePlacements(order).length > 0

/**
 * A gap is a filled quantity that a source has reported and whose executions have not all been
 * booked.
 */
export const hasGap = (order: Order): boolean =>
  order.placements.some((one) => cmp(one.reportedQuantity, one.cumulativeQuantity) > 0)

/**
 * The execution that a snapshot implies while no source lists it yet.
 * - Quantity: the missing quantity above the booked quantity, up to the snapshot's filled quantity
 *   or to the next execution that waits.
 * - Price: the price that leads to the broker's average. Several missing executions share one
 *   price.
 * - Id: its span, like any other execution, so the real execution changes nothing when it arrives
 *   (FIL-05).
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

/** Reports if the working entry has the size with which the whole order executes exactly once. */
export function hasRightSize(order: Order): boolean {
  const head = headOf(order, 'entry')
  return head?.quantity != null && rightSizeOf(order, head) === head.quantity
}

/**
 * The size of a leg's head with which the whole order executes exactly once; `null`: the order has
 * no known quantity.
 */
export function rightSizeOf(order: Order, head: Placement): Decimal | null {
  return order.quantity === null ? null : sub(order.quantity, executedBefore(order, head))
}

const earlierOf = ({ placements }: Order, head: Placement): Placement[] =>
  placements.filter(({ leg, replacement }) => leg === head.leg && replacement < head.replacement)

/**
 * The quantity that the earlier orders of a chain have executed by the broker's reports, booked or
 * not. Busted quantities are left out.
 */
export const executedBefore = (order: Order, head: Placement): Decimal =>
  executedBy(earlierOf(order, head))

/** The same quantity for the whole chain of the entry, its head included. */
export const executedOf = ({ placements }: Order): Decimal =>
  executedBy(placements.filter(({ leg }) => leg === 'entry'))

const executedBy = (placements: readonly Placement[]): Decimal =>
  placements.reduce((total, one) => {
    const gross = max(one.reportedQuantity, one.cumulativeQuantity)
    return add(total, one.busted === null ? gross : sub(gross, one.busted.quantity))
  }, ZERO)

/**
 * Earlier orders of a chain that the broker has not shown as ended. Their executed quantity may
 * still grow.
 */
export const unendedBefore = (order: Order, head: Placement): Placement[] =>
  earlierOf(order, head).filter(
    ({ brokerOrderId, final }) => brokerOrderId !== null && final === null,
  )
