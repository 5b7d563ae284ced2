import { add, cmp, type Decimal, isZero, sub, ZERO } from './decimal.ts'
import {
  executedOf,
  livePlacements,
  netQuantity,
  rightSizeOf,
  standingHeadOf,
} from './order-status.ts'
import {
  counts,
  intentOf,
  type Order,
  type Placement,
  type ReplaceRequest,
  sideOf,
} from './order.ts'
import type { Judged } from './risk.ts'

// A replacement before it is sent: the order that it replaces, its size, and the terms after it.

type Asked = Pick<ReplaceRequest, 'leg' | 'terms'>

/** The order that is to be replaced: the newest live placement of the leg. */
export const replacedBy = (order: Order, { leg, replacement }: ReplaceRequest): Placement | null =>
  livePlacements(order)
    .filter((one) => one.leg === leg && one.replacement < replacement)
    .toSorted((a, b) => b.replacement - a.replacement)[0] ?? null

/**
 * The size in the request to the broker; `null`: the size does not change.
 * - If the remaining quantity is larger than the quantity that the replaced order has executed, the
 *   size is the remaining quantity.
 * - Otherwise the broker refuses that size. The executed quantity is then added, as if the broker
 *   counted it in, and the new order is corrected once it works (CAN-05).
 */
export function askedSizeOf(order: Order, head: Placement, { terms, leg }: Asked): Decimal | null {
  const total = terms.quantity ?? order.quantity
  if (
    leg !== 'entry' ||
    total === null ||
    (terms.quantity === null && isZero(head.cumulativeQuantity))
  )
    return null
  const left = sub(total, order.cumulativeQuantity)
  const executed = netQuantity(head)
  return cmp(left, executed) > 0 ? left : add(left, executed)
}

/** Prefix of the command ids of replacements that correct the size of one of our own orders. */
export const CORRECTION_COMMAND = 'size-'

export const isCorrection = ({ commandId }: Pick<ReplaceRequest, 'commandId'>): boolean =>
  commandId.startsWith(CORRECTION_COMMAND)

/**
 * Why the size of an order is not corrected any more: the broker accepts no size below the quantity
 * that the replaced order has executed. Only a larger size could be requested, and the new order
 * could execute beyond the requested quantity before its own correction. `null`: the request asks
 * for the remaining size, or is no correction.
 */
export function correctionRefusalOf(
  order: Order,
  head: Placement,
  request: Asked & Pick<ReplaceRequest, 'commandId'>,
): string | null {
  if (!isCorrection(request) || order.quantity === null) return null
  const left = sub(order.quantity, order.cumulativeQuantity)
  if (askedSizeOf(order, head, request) === left) return null
  return `quantity: the broker takes no size of ${left} for an order that has executed ${head.cumulativeQuantity}`
}

/**
 * Why a total is refused: the order has already executed that quantity, and a replacement with this
 * total would execute it once more. A replacement that waited for an earlier one may have been
 * valid when it was requested. `null`: the total is possible.
 */
export function sizeRefusalOf(
  order: Order,
  { terms: { quantity } }: Pick<Asked, 'terms'>,
): string | null {
  const executed = executedOf(order)
  if (quantity === null || cmp(quantity, executed) > 0) return null
  return `quantity: ${executed} have executed; the total must be more than that`
}

/** The order, or its exit, with the terms of the replacement. */
export function becomes(order: Order, { leg, terms }: Asked): Judged {
  const intent = intentOf(order)
  const head = standingHeadOf(order, leg)
  const timeInForce = terms.timeInForce ?? order.timeInForce
  if (!counts(order, leg)) {
    const plan = leg === 'takeProfit' ? { ...order.takeProfit, stopPrice: null } : order.stopLoss
    const limitPrice = terms.limitPrice ?? head?.limitPrice ?? plan?.limitPrice ?? null
    const stopPrice = terms.stopPrice ?? head?.stopPrice ?? plan?.stopPrice ?? null
    const quantity = head?.quantity ?? order.quantity
    const exit = {
      side: sideOf(order, leg),
      orderClass: 'simple',
      takeProfit: null,
      stopLoss: null,
    } as const
    const executed = head?.cumulativeQuantity ?? ZERO
    return {
      intent: { ...intent, ...exit, notional: null, quantity, limitPrice, stopPrice, timeInForce },
      executed,
      role: 'exit',
    }
  }
  const limitPrice =
    terms.limitPrice ?? (leg === 'entry' ? order.limitPrice : (head?.limitPrice ?? null))
  const stopPrice =
    terms.stopPrice ?? (leg === 'entry' ? order.stopPrice : (head?.stopPrice ?? null))
  const [trailPrice, trailPercent] = [order.trailPrice, order.trailPercent].map(
    (trail) => trail && (terms.trail ?? trail),
  )
  const quantity = terms.quantity ?? order.quantity
  return {
    intent: {
      ...intent,
      quantity,
      limitPrice,
      stopPrice,
      timeInForce,
      trailPrice: trailPrice ?? null,
      trailPercent: trailPercent ?? null,
    },
    executed: order.cumulativeQuantity,
    role: 'entry',
  }
}

/**
 * Reports if a replacement only corrects the size of one of our orders: the new size is smaller
 * than the current size, and no other term changes. The remaining quantity of a partially filled
 * order is smaller too, but if the order has the right size already, it corrects nothing.
 */
export function isShrinking(order: Order, head: Placement, asked: Asked): boolean {
  const { quantity, limitPrice, stopPrice, trail, timeInForce } = asked.terms
  const isSizeOnly = quantity !== null && (limitPrice ?? stopPrice ?? trail ?? timeInForce) === null
  const size = askedSizeOf(order, head, asked)
  const right = rightSizeOf(order, head)
  if (
    !isSizeOnly ||
    quantity !== order.quantity ||
    head.quantity === null ||
    size === null ||
    right === null
  )
    return false
  return cmp(right, head.quantity) < 0 && cmp(size, head.quantity) < 0
}

/** Reports if a replacement raises the quantity or a price. */
export function isEnlarging(order: Order, { leg, terms }: Asked): boolean {
  const grows = (to: Decimal | null, from: Decimal | null): boolean =>
    to !== null && cmp(to, from ?? ZERO) > 0
  const { quantity, limitPrice, stopPrice } = order
  const isDearer = grows(terms.limitPrice, limitPrice) || grows(terms.stopPrice, stopPrice)
  return leg === 'entry' && (grows(terms.quantity, quantity) || isDearer || terms.trail !== null)
}
