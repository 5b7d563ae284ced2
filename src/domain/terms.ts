import { add, type Decimal, isZero, ZERO } from './decimal.ts'
import { FIRST_STEP, type OrderType, readClientOrderId } from './intent.ts'
import { executedBefore, unendedBefore } from './order-status.ts'
import {
  counts,
  headOf,
  type Leg,
  LEGS,
  type Order,
  type Placement,
  type ReplaceRequest,
} from './order.ts'
import { isAskedFor, termsAskedFor } from './requests.ts'
import type { BrokerOrder, OrderKey } from './updates.ts'

// What a view of the broker means for an order's record: which of its placements it is, and which
// terms hold.

/**
 * Whether a record may begin with this view. An exit or a replacement says nothing of what was
 * asked for: of a trade whose record the store lost, its first order has to be seen before.
 */
export const canBegin = (seen: BrokerOrder, { origin, userId }: OrderKey): boolean =>
  saysWhat(seen) &&
  (origin === 'external' || readClientOrderId(seen.clientOrderId, userId)?.step === FIRST_STEP)

/** Whether a view says which asset is bought or sold: without that, nothing of it can be booked. */
export const saysWhat = ({ symbol, side }: BrokerOrder): boolean => symbol !== '' && side !== null

/** An exit with a stop limits the loss; the other one takes the profit. */
export const exitOf = (exit: BrokerOrder): Leg =>
  typeOf(exit) === 'limit' ? 'takeProfit' : 'stopLoss'

/** The type of an order: by its prices, where the broker's word for it is not known here. */
export function typeOf({ orderType, limitPrice, stopPrice }: BrokerOrder): OrderType {
  if (orderType !== null) return orderType
  if (stopPrice !== null) return limitPrice === null ? 'stop' : 'stop_limit'
  return limitPrice === null ? 'market' : 'limit'
}

/**
 * Which placement a broker order is that was not seen before: by our own id, by what it replaced,
 * by what kind of exit it is.
 */
export function placeOf(
  order: Order,
  seen: BrokerOrder,
  exit: Leg | null,
): Pick<Placement, 'leg' | 'replacement'> {
  const [leg = '', replacement = ''] =
    readClientOrderId(seen.clientOrderId, order.userId)?.step.split('.') ?? []
  const own = order.origin === 'fillcast' ? LEGS[Number(leg)] : undefined
  if (own !== undefined && leg !== '') return { leg: own, replacement: Number(replacement) }
  const old = order.placements.find(
    (one) => one.brokerOrderId !== null && one.brokerOrderId === seen.replaces,
  )
  const of =
    old?.leg ??
    exit ??
    (order.origin === 'fillcast' && order.placements.length > 0 ? exitOf(seen) : 'entry')
  return { leg: of, replacement: (headOf(order, of)?.replacement ?? -1) + 1 }
}

/**
 * Statuses that an order may have before the venue has taken it in: one that waits may be canceled
 * or replaced as well.
 */
const WAITING: ReadonlySet<string> = new Set([
  'accepted',
  'pending_new',
  'accepted_for_bidding',
  'unrecognized',
  'pending_cancel',
  'pending_replace',
])

/** The venue has taken it in: it may execute, or has. */
export const isAtWork = ({ working, final, cumulativeQuantity }: Placement): boolean =>
  !isZero(cumulativeQuantity) ||
  final?.status === 'filled' ||
  (working !== null && !WAITING.has(working.status))

/**
 * The order once `one` has taken its place. Replacements that are newer may be agreed already:
 * their terms hold over its terms.
 */
export function withAgreed(order: Order, one: Placement): Order {
  const newer = order.placements
    .filter(
      ({ leg, replacement, agreed }) => agreed && leg === one.leg && replacement > one.replacement,
    )
    .toSorted((a, b) => a.replacement - b.replacement)
  return [one, ...newer].reduce(
    (now, next) => ({ ...now, ...agreedTerms(now, next, termsAskedFor(now, next)) }),
    order,
  )
}

/**
 * What an order is for whose newest replacement was made elsewhere, or whose request was lost: what
 * the earlier orders of the chain have executed, and the size of the one at work. `null`: the size
 * was asked for here, or is not known.
 */
export function sizeMadeElsewhere(order: Order): Decimal | null {
  const head = headOf(order, 'entry')
  if (head?.quantity == null || !head.agreed || head.replacement === 0 || isAskedFor(order, head))
    return null
  return add(executedBefore(order, head), head.quantity)
}

/**
 * What an order can come to as it is. `null`: the broker has not shown yet how much an earlier
 * order of the chain executed.
 */
export function sizeThatStands(order: Order): Decimal | null {
  const head = headOf(order, 'entry')
  if (order.quantity === null || head?.quantity == null || unendedBefore(order, head).length > 0)
    return null
  return add(executedBefore(order, head), head.quantity)
}

/**
 * The terms that hold once `one` has taken its place. What somebody else replaced is sized by what
 * the broker shows.
 */
function agreedTerms(
  order: Order,
  one: Placement,
  request: Pick<ReplaceRequest, 'terms'> | undefined,
): Partial<Order> {
  const { limitPrice, stopPrice } = one
  if (one.leg === 'takeProfit' && order.takeProfit !== null && limitPrice !== null)
    return { takeProfit: { limitPrice } }
  if (one.leg === 'stopLoss' && order.stopLoss !== null && stopPrice !== null)
    return { stopLoss: { stopPrice, limitPrice } }
  if (one.leg !== 'entry') return {}
  const shown =
    one.quantity === null ? order.quantity : add(executedBefore(order, one), one.quantity)
  const quantity = request === undefined ? shown : (request.terms.quantity ?? order.quantity)
  return {
    quantity,
    limitPrice,
    stopPrice,
    ...(request?.terms.timeInForce ? { timeInForce: request.terms.timeInForce } : {}),
  }
}

/** When the broker ended what counts; the last of them. */
export const finalAt = (order: Order): string | null =>
  order.placements
    .filter(({ leg, final }) => counts(order, leg) && final !== null)
    .reduce<string | null>(
      (last, { final }) => (final !== null && (last === null || final.at > last) ? final.at : last),
      null,
    )

export const termsOf = (seen: BrokerOrder): Partial<Order> => {
  const { symbol, side, timeInForce, orderClass, notional, quantity, limitPrice, stopPrice } = seen
  const known = {
    ...(side === null ? {} : { side }),
    ...(timeInForce === null ? {} : { timeInForce }),
  }
  return {
    symbol,
    ...known,
    orderType: typeOf(seen),
    orderClass,
    notional,
    quantity,
    limitPrice,
    stopPrice,
  }
}

export const blankOrder = (orderKey: OrderKey): Order => ({
  schema: 2,
  ...orderKey,
  symbol: '',
  side: 'buy',
  orderType: 'market',
  timeInForce: 'day',
  orderClass: 'simple',
  quantity: null,
  notional: null,
  limitPrice: null,
  stopPrice: null,
  trailPrice: null,
  trailPercent: null,
  extendedHours: false,
  takeProfit: null,
  stopLoss: null,
  notAfter: null,
  parametersHash: null,
  status: 'submitting',
  placements: [],
  cumulativeQuantity: ZERO,
  totalCost: ZERO,
  claimedAt: null,
  attemptedAt: null,
  attemptEndedAt: null,
  unknownSince: null,
  submittedAt: null,
  lastExecutionAt: null,
  endedAt: null,
  cancel: null,
  replaces: [],
  replaceResults: [],
  rejection: null,
  busts: [],
})
