import {
  abs,
  add,
  cmp,
  dec,
  type Decimal,
  div,
  isPositive,
  isZero,
  max,
  mul,
  sub,
  ZERO,
} from './decimal.ts'
import { netCost, netQuantity } from './order-status.ts'
import type { BrokerTotal, Bust, Execution, Order, Placement } from './order.ts'

// Compares the booked quantity and cost of a placement with the broker's own total. Reports of
// single executions and busts may be lost, or come from a list that omits busted executions. The
// total remains available, and is correct once it is confirmed.

/** Numbers of decimals that prices have, the usual ones first. */
const PRICE_PLACES = [2, 4, 6, 9] as const

const placesOf = (value: Decimal): number => value.split('.')[1]?.length ?? 0

/**
 * Reports if a cost has the broker's average, compared to as many decimals as the broker's average
 * has. Our own average has at most nine decimals.
 */
const isAverage = (cost: Decimal, { quantity, averagePrice }: BrokerTotal): boolean =>
  averagePrice === null ||
  isZero(quantity) ||
  div(cost, quantity, placesOf(averagePrice)) === averagePrice

/**
 * An average with at least this many decimals is treated as rounded; an average with fewer decimals
 * is treated as exact.
 */
const ROUNDED_PLACES_MIN = 6
/**
 * A broker that adds each execution to a rounded average rounds at each execution. After a hundred
 * executions the average may be off by several units of its last decimal. A restatement of one
 * share by one cent is a larger part than this of any order's cost up to a million dollars.
 */
const ROUNDED_PART_MAX = dec('0.00000001')

/**
 * Reports if the average equals the cost's average except for rounding: at most one unit of the
 * last decimal, or `part` of the average.
 */
function isNearlyAverage(cost: Decimal, total: BrokerTotal, part: Decimal): boolean {
  const { quantity, averagePrice } = total
  if (isAverage(cost, total) || averagePrice === null) return true
  const places = placesOf(averagePrice)
  if (places < ROUNDED_PLACES_MIN) return false
  const apart = abs(sub(div(cost, quantity, places), averagePrice))
  const lastPlace = dec(`0.${'0'.repeat(places - 1)}1`)
  return cmp(apart, max(lastPlace, mul(averagePrice, part))) <= 0
}

/** The booked quantity and cost equal the broker's total. */
const agrees = (placement: Placement, total: BrokerTotal, part = ROUNDED_PART_MAX): boolean =>
  netQuantity(placement) === total.quantity && isNearlyAverage(netCost(placement), total, part)

const isWaiting = ({ held, reportedQuantity, cumulativeQuantity }: Placement): boolean =>
  held.length > 0 || cmp(reportedQuantity, cumulativeQuantity) > 0

/** The total has no average price, so it cannot be booked. */
export const isUnpriced = ({ quantity, averagePrice }: BrokerTotal): boolean =>
  averagePrice === null && !isZero(quantity)

/**
 * The totals that differ from the booked quantity and cost, and the totals with executions that are
 * not booked yet.
 */
export const unsettledTotals = (
  order: Order,
): Readonly<{ brokerOrderId: string; total: BrokerTotal }>[] =>
  order.placements.flatMap((one) => {
    const { brokerOrderId, total } = one
    if (brokerOrderId === null || total == null || isUnpriced(total)) return []
    return agrees(one, total) && !isWaiting(one) ? [] : [{ brokerOrderId, total }]
  })

/**
 * Reports if a bust takes back a booked execution.
 * - If executions are missing: no, because the busted execution may be one of them.
 * - If the broker's total already excludes the bust and equals our booked total: no.
 */
export function takesBooked(placement: Placement, { quantity, corrected, at }: Bust): boolean {
  if (isWaiting(placement) || cmp(netQuantity(placement), quantity) < 0) return false
  const { total } = placement
  if (total == null || total.at < at) return true
  // Rounding is not tolerated here, because a bust may restate an execution by a very small amount.
  if (agrees(placement, total, ZERO)) return false
  const after = add(sub(netQuantity(placement), quantity), corrected?.quantity ?? ZERO)
  return cmp(after, total.quantity) >= 0
}

/**
 * The total, which equals our booked total, includes this execution already: the venue changed the
 * execution's id when it restated other executions.
 */
export const isInTotal = (placement: Placement, { at }: Execution): boolean =>
  placement.total != null &&
  at <= placement.total.at &&
  agrees(placement, placement.total) &&
  !isWaiting(placement)

export function withBust(
  placement: Placement,
  { quantity, price, corrected, at }: Bust,
): Placement {
  const before = placement.busted ?? { quantity: ZERO, cost: ZERO, at }
  const restated = corrected === null ? ZERO : mul(corrected.quantity, corrected.price)
  const busted = {
    quantity: add(before.quantity, sub(quantity, corrected?.quantity ?? ZERO)),
    cost: add(before.cost, sub(mul(quantity, price), restated)),
    at: later(before.at, at),
  }
  return { ...placement, busted }
}

export const withExecution = (
  placement: Placement,
  { quantity, price, cumulativeQuantity }: Execution,
): Placement => ({
  ...placement,
  cumulativeQuantity,
  totalCost: add(placement.totalCost, mul(quantity, price)),
})

/**
 * The quantity of the total above the booked quantity, as one execution; `null`: the booked
 * quantity reaches the total.
 */
export function missingExecution(placement: Placement, total: BrokerTotal): Execution | null {
  const quantity = sub(total.quantity, netQuantity(placement))
  if (!isPositive(quantity)) return null
  const price = priceOf(placement, total, quantity) ?? total.averagePrice ?? ZERO
  const cumulativeQuantity = add(placement.cumulativeQuantity, quantity)
  return { executionId: null, quantity, price, cumulativeQuantity, at: total.at }
}

/**
 * The bust that turns the booked quantity and cost into the total. Either the surplus is taken
 * back, or all executions are restated as one. `null`: they agree already.
 */
export function amendmentTo(placement: Placement, total: BrokerTotal): Bust | null {
  if (agrees(placement, total)) return null
  const booked = netQuantity(placement)
  const { at, averagePrice } = total
  const id = `total ${placement.brokerOrderId ?? ''} ${at}`
  const surplus = sub(booked, total.quantity)
  const average = div(netCost(placement), booked)
  if (averagePrice === null) return { id, quantity: booked, price: average, corrected: null, at }
  const price = isPositive(surplus) ? priceOf(placement, total, surplus) : null
  if (price !== null) return { id, quantity: surplus, price, corrected: null, at }
  return {
    id,
    quantity: booked,
    price: average,
    corrected: { quantity: total.quantity, price: averagePrice },
    at,
  }
}

/**
 * Closes the gap up to the highest reported quantity: the part of it that is not in the total was
 * busted.
 */
export function closedAt(placement: Placement, total: BrokerTotal): Placement {
  const { cumulativeQuantity, reportedQuantity, held, busted, final } = placement
  const top = max(reportedQuantity, held.at(-1)?.cumulativeQuantity ?? ZERO)
  const never = max(ZERO, sub(top, cumulativeQuantity))
  if (isZero(never) && held.length === 0) return placement
  const quantity = add(busted?.quantity ?? ZERO, never)
  return {
    ...placement,
    held: [],
    cumulativeQuantity: max(top, cumulativeQuantity),
    final: final === null ? null : { ...final, filledQuantity: max(final.filledQuantity, top) },
    busted: { quantity, cost: busted?.cost ?? ZERO, at: later(busted?.at ?? '', total.at) },
  }
}

const later = (a: string, b: string): string => (a > b ? a : b)

/**
 * The price of `quantity` with the fewest usual decimals that leads from the booked cost to the
 * total; `null`: there is no such price.
 */
function priceOf(placement: Placement, total: BrokerTotal, quantity: Decimal): Decimal | null {
  const cost = mul(total.averagePrice ?? ZERO, total.quantity)
  const booked = netCost(placement)
  const isMore = cmp(total.quantity, netQuantity(placement)) > 0
  const apart = isMore ? sub(cost, booked) : sub(booked, cost)
  for (const places of PRICE_PLACES) {
    const price = div(apart, quantity, places)
    const change = mul(price, quantity)
    if (isPositive(price) && isAverage(isMore ? add(booked, change) : sub(booked, change), total))
      return price
  }
  return null
}
