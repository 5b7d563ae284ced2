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

// The relation of a broker's snapshot to an order's record: the placement that it shows, and the
// terms that apply.

/**
 * Reports if a record may begin with this snapshot. An exit or a replacement does not show the
 * requested terms, so if the store lost a trade's record, its first order must be reported before
 * them.
 */
export const canBegin = (seen: BrokerOrder, { origin, userId }: OrderKey): boolean =>
  saysWhat(seen) &&
  (origin === 'external' || readClientOrderId(seen.clientOrderId, userId)?.step === FIRST_STEP)

/**
 * Reports if a snapshot shows the symbol and the side. Without them its executions cannot be
 * booked.
 */
export const saysWhat = ({ symbol, side }: BrokerOrder): boolean => symbol !== '' && side !== null

/** An exit with a stop price limits the loss. The other exit takes the profit. */
export const exitOf = (exit: BrokerOrder): Leg =>
  typeOf(exit) === 'limit' ? 'takeProfit' : 'stopLoss'

/** The order type. If the broker's type is unknown here, it follows from the prices. */
export function typeOf({ orderType, limitPrice, stopPrice }: BrokerOrder): OrderType {
  if (orderType !== null) return orderType
  if (stopPrice !== null) return limitPrice === null ? 'stop' : 'stop_limit'
  return limitPrice === null ? 'market' : 'limit'
}

/**
 * The place of a new broker order in the order's chains. It follows from our client order id, else
 * from the order that it replaced, else from its kind of exit.
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
 * Statuses of an order before the venue has accepted it. A waiting order may be canceled or
 * replaced as well.
 */
const WAITING: ReadonlySet<string> = new Set([
  'accepted',
  'pending_new',
  'accepted_for_bidding',
  'unrecognized',
  'pending_cancel',
  'pending_replace',
])

/** The venue has accepted the placement: it may execute, or has executed. */
export const isAtWork = ({ working, final, cumulativeQuantity }: Placement): boolean =>
  !isZero(cumulativeQuantity) ||
  final?.status === 'filled' ||
  (working !== null && !WAITING.has(working.status))

/**
 * The order once `one` has taken its place. If newer replacements took place already, their terms
 * override the terms of `one`.
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
 * The order's total quantity if its newest replacement was made elsewhere, or if the request of the
 * replacement was lost: the executed quantity of the earlier orders of the chain, plus the size of
 * the working order. `null`: the size was requested here, or is unknown.
 */
export function sizeMadeElsewhere(order: Order): Decimal | null {
  const head = headOf(order, 'entry')
  if (head?.quantity == null || !head.agreed || head.replacement === 0 || isAskedFor(order, head))
    return null
  return add(executedBefore(order, head), head.quantity)
}

/**
 * The total quantity that an order reaches with its current head. `null`: the broker has not shown
 * yet how much an earlier order of the chain executed.
 */
export function sizeThatStands(order: Order): Decimal | null {
  const head = headOf(order, 'entry')
  if (order.quantity === null || head?.quantity == null || unendedBefore(order, head).length > 0)
    return null
  return add(executedBefore(order, head), head.quantity)
}

/**
 * The terms once `one` has taken its place. If the replacement was requested elsewhere, the
 * quantity comes from the broker's report.
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

/** The latest time at which the broker ended a placement that counts. */
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
