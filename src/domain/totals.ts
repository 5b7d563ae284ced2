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

// What was executed and taken back against the broker's own total of a placement. Single executions
// and busts may be lost, or told in a list that leaves out what was busted; the total is what
// remains, and is right once it stands.

/** Decimals that prices have, the usual ones first. */
const PRICE_PLACES = [2, 4, 6, 9] as const

const placesOf = (value: Decimal): number => value.split('.')[1]?.length ?? 0

/** As exactly as the broker writes its average; ours has at most nine decimals. */
const isAverage = (cost: Decimal, { quantity, averagePrice }: BrokerTotal): boolean =>
  averagePrice === null ||
  isZero(quantity) ||
  div(cost, quantity, placesOf(averagePrice)) === averagePrice

/** An average of so many decimals is rounded; one of fewer is taken at its word. */
const ROUNDED_PLACES_MIN = 6
/**
 * A broker that adds each execution to a rounded average rounds again each time: after a hundred
 * executions the average may be off by several in its last decimal. A restatement of one share by
 * one cent is more than this part of an order's cost up to a million dollars.
 */
const ROUNDED_PART_MAX = dec('0.00000001')

/**
 * Whether the average is that of the cost but for rounding: off by one in the last decimal, or by
 * `part` of itself.
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

/** What is booked comes to the broker's total. */
const agrees = (placement: Placement, total: BrokerTotal, part = ROUNDED_PART_MAX): boolean =>
  netQuantity(placement) === total.quantity && isNearlyAverage(netCost(placement), total, part)

const isWaiting = ({ held, reportedQuantity, cumulativeQuantity }: Placement): boolean =>
  held.length > 0 || cmp(reportedQuantity, cumulativeQuantity) > 0

/** The broker does not say at what price: nothing can be booked from it. */
export const isUnpriced = ({ quantity, averagePrice }: BrokerTotal): boolean =>
  averagePrice === null && !isZero(quantity)

/** The totals that what is booked does not come to, or that executions still wait under. */
export const unsettledTotals = (
  order: Order,
): Readonly<{ brokerOrderId: string; total: BrokerTotal }>[] =>
  order.placements.flatMap((one) => {
    const { brokerOrderId, total } = one
    if (brokerOrderId === null || total == null || isUnpriced(total)) return []
    return agrees(one, total) && !isWaiting(one) ? [] : [{ brokerOrderId, total }]
  })

/**
 * Whether a bust takes back what is booked. It does not while executions are missing, for its own
 * may be one of them; and not when the broker's total, which leaves it out already, comes out
 * without it.
 */
export function takesBooked(placement: Placement, { quantity, corrected, at }: Bust): boolean {
  if (isWaiting(placement) || cmp(netQuantity(placement), quantity) < 0) return false
  const { total } = placement
  if (total == null || total.at < at) return true
  // A bust is no rounding, however little it restates.
  if (agrees(placement, total, ZERO)) return false
  const after = add(sub(netQuantity(placement), quantity), corrected?.quantity ?? ZERO)
  return cmp(after, total.quantity) >= 0
}

/**
 * The total, which has come out already, has this execution in it: the venue named it otherwise
 * when it restated others.
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

/** What the total has above what is booked, as one execution; `null`: nothing. */
export function missingExecution(placement: Placement, total: BrokerTotal): Execution | null {
  const quantity = sub(total.quantity, netQuantity(placement))
  if (!isPositive(quantity)) return null
  const price = priceOf(placement, total, quantity) ?? total.averagePrice ?? ZERO
  const cumulativeQuantity = add(placement.cumulativeQuantity, quantity)
  return { executionId: null, quantity, price, cumulativeQuantity, at: total.at }
}

/**
 * What turns what is booked into the total: the surplus taken back, or else everything restated;
 * `null`: nothing to do.
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
 * Everything up to the highest quantity ever shown has had its turn: what of it is not in the total
 * was taken back.
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
 * The roundest price of `quantity` that leads from what is booked to the total; `null`: no price
 * does.
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
