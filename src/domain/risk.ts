import { canonicalSymbol } from './asset.ts'
import {
  type Entering,
  enteringOn,
  type Exposure,
  isWithin,
  opposes,
  reducibleOf,
} from './commitments.ts'
import {
  abs,
  add,
  cmp,
  type Decimal,
  isNegative,
  isZero,
  max,
  mul,
  neg,
  sub,
  sum,
  ZERO,
} from './decimal.ts'
import type { OrderIntent, Side } from './intent.ts'
import { collaredPriceOf, marketOf, paysAtMost, priceOf, worthOf } from './order-value.ts'
import type { Position } from './position.ts'
import type { Denial, RiskFacts, RiskLimits } from './risk-limits.ts'
import { tradingDayOf } from './trading-day.ts'
import { isTerminal } from './transitions.ts'

// Our own checks before an order is sent: the limits of a user or of one connection. The checks are
// pure: they compute a denial, or `null`, from the given facts. An order that only reduces a
// position is never refused by a limit on exposure, so that a user who may not add to a position
// can still close it.

/**
 * Reports if the checks of an order need all of the user's orders, positions and accounts. Some
 * limits count or sum over them, and the reducible part of a position depends on the other orders
 * that reduce it.
 */
export const needsState = (
  { user, connection }: RiskFacts['limits'],
  side: Side,
  position: Position | null,
): boolean =>
  opposes(side, position) ||
  [user, connection].some(
    (one) =>
      one !== null &&
      (one.openOrdersMax !== null || one.dailyLossMax !== null || one.positionNotionalMax !== null),
  )

/** Reports if one of these limits compares the order with the market, so that a price is needed. */
export const needsPrice = (
  intent: OrderIntent,
  { user, connection }: RiskFacts['limits'],
): boolean =>
  [user, connection].some(
    (one) =>
      one !== null &&
      (one.positionNotionalMax !== null ||
        (one.orderNotionalMax !== null &&
          intent.notional === null &&
          paysAtMost(intent) === null) ||
        (one.priceCollarPercent !== null &&
          collaredPriceOf(intent) !== null &&
          intent.stopPrice === null)),
  )

/** Reports if one of these limits depends on the market's hours. */
export const needsSession = ({ user, connection }: RiskFacts['limits']): boolean =>
  user?.sessions === 'regular' || connection?.sessions === 'regular'

/**
 * An order as the checks judge it: a new order, or an order with the terms of a replacement.
 * `executed`: the quantity of the order that has executed and is in the position already. Role
 * `exit`: the order closes the position that its own entry opens, so it cannot add to a position.
 */
export type Judged = Readonly<{ intent: OrderIntent; executed: Decimal; role: 'entry' | 'exit' }>

/** A new order: its executed quantity is zero. */
export const newOrder = (intent: OrderIntent): Judged => ({ intent, executed: ZERO, role: 'entry' })

/** The order without its executed quantity. */
const restOf = ({ intent, executed }: Judged): OrderIntent =>
  intent.quantity === null
    ? intent
    : { ...intent, quantity: max(sub(intent.quantity, executed), ZERO) }

/**
 * `reduces` if an order can only make the position smaller, else `adds`. An order sized in money
 * always counts as adding.
 */
export function exposureOf(
  judged: Judged,
  { position, orders }: Pick<RiskFacts, 'position' | 'orders'>,
): Exposure {
  const { side, tradeId } = judged.intent
  if (!opposes(side, position)) return 'adds'
  return isWithin(restOf(judged), reducibleOf(position, orders, tradeId)) ? 'reduces' : 'adds'
}

/** The first reason not to send the order, or `null`. */
export function assess(judged: Judged, facts: RiskFacts): Denial | null {
  const exposure = exposureOf(judged, facts)
  const crossing =
    exposure === 'reduces' || judged.role === 'exit' ? null : crossingOf(restOf(judged), facts)
  if (crossing !== null) return crossing
  const isFree = exposure === 'reduces' || judged.role === 'exit'
  const checks = isFree ? CHECKS_OF_ALL : [...CHECKS_OF_ADDING, ...CHECKS_OF_ALL]
  for (const scope of ['user', 'connection'] as const) {
    const limits = facts.limits[scope]
    if (limits === null) continue
    for (const check of checks) {
      const denial = check(judged.intent, facts, { scope, limits, executed: judged.executed })
      if (denial !== null) return denial
    }
  }
  return null
}

/**
 * The broker does not accept one order from long to short or back (POS-06), nor several orders that
 * do so together.
 */
function crossingOf(
  { side, quantity, symbol, tradeId }: OrderIntent,
  { position, orders }: RiskFacts,
): Denial | null {
  if (quantity === null || !opposes(side, position)) return null
  const size = abs(position.quantity)
  const reducible = reducibleOf(position, orders, tradeId)
  if (cmp(quantity, reducible) <= 0) return null
  const held = `The position in ${symbol} is ${isNegative(position.quantity) ? 'short' : 'long'} ${size}`
  const message =
    cmp(quantity, size) > 0
      ? `${held}. Close it first, then open the other side with an order of its own`
      : `${held}, and open orders close ${sub(size, reducible)} of it. Cancel them first, or order at most ${reducible}`
  return { code: 'CROSSES_ZERO', message }
}

type Check = (intent: OrderIntent, facts: RiskFacts, by: By) => Denial | null
/**
 * The limits and the user or connection that they belong to. `executed`: the quantity of the order
 * that is in the position already.
 */
type By = Readonly<{ scope: 'user' | 'connection'; limits: RiskLimits; executed: Decimal }>

/** Checks of every order. */
const CHECKS_OF_ALL: readonly Check[] = [sessionDenial, collarDenial]
/** Checks of orders that may add to a position. */
const CHECKS_OF_ADDING: readonly Check[] = [
  symbolDenial,
  orderSizeDenial,
  positionSizeDenial,
  openOrdersDenial,
  dailyLossDenial,
]

function symbolDenial({ symbol }: OrderIntent, _facts: RiskFacts, { limits }: By): Denial | null {
  const { symbolsAllowed, symbolsDenied } = limits
  const isNamed = (one: string): boolean => canonicalSymbol(one) === canonicalSymbol(symbol)
  if (!symbolsDenied.some(isNamed) && symbolsAllowed?.some(isNamed) !== false) return null
  return {
    code: 'SYMBOL_NOT_ALLOWED',
    message: `${symbol} is not among the symbols that may be traded here`,
  }
}

function orderSizeDenial(intent: OrderIntent, facts: RiskFacts, { limits }: By): Denial | null {
  const most = limits.orderNotionalMax
  if (most === null) return null
  const worth = worthOf(intent, facts)
  if (worth === null) return unpriced(intent, 'The value of an order')
  if (cmp(worth, most) <= 0) return null
  return {
    code: 'ORDER_TOO_LARGE',
    message: `The order is worth ${worth}, at most ${most} is allowed. Order less`,
  }
}

/**
 * Counts only exposure on the order's own side. An opposite position of another connection does not
 * offset the order.
 */
function positionSizeDenial(intent: OrderIntent, facts: RiskFacts, by: By): Denial | null {
  const { symbol, side } = intent
  const most = by.limits.positionNotionalMax
  if (most === null) return null
  const isOf = (one: Pick<Position, 'symbol' | 'connectionId'>): boolean =>
    one.symbol === symbol && (by.scope === 'user' || one.connectionId === intent.connectionId)
  const inDirection = ({ quantity }: Position): Decimal =>
    side === 'buy' ? quantity : neg(quantity)
  const held = facts.positions
    .filter((one) => isOf(one))
    .map((one) =>
      one.connectionId === intent.connectionId ? inDirection(one) : max(inDirection(one), ZERO),
    )
    .reduce(add, ZERO)
  const own = priceOf(intent, facts)
  const market = marketOf(intent, facts.quote)
  const price = own === null || market === null ? (own ?? market) : max(own, market)
  const others = facts.orders.filter((order) => isOf(order) && order.id !== intent.tradeId)
  const one: Entering = {
    intent,
    quantity: intent.quantity && sub(intent.quantity, by.executed),
    spent: ZERO,
  }
  const worths = [one, ...enteringOn(others, side)].map((each) => worthOfEntering(each, facts))
  if (worths.includes(null) || (price === null && !isZero(held)))
    return unpriced(intent, 'The value of a position')
  const after = add(mul(held, price ?? ZERO), sum(worths.map((worth) => worth ?? ZERO)))
  if (cmp(after, most) <= 0) return null
  const open = worths.length > 1 ? ' with the orders that are open' : ''
  const message = `The position in ${symbol} would be worth ${after}${open}, at most ${most} is allowed. Order less`
  return { code: 'POSITION_TOO_LARGE', message }
}

/** `null`: the price is unknown. */
function worthOfEntering({ intent, quantity, spent }: Entering, facts: RiskFacts): Decimal | null {
  if (quantity === null)
    return intent.notional === null ? null : max(sub(intent.notional, spent), ZERO)
  return worthOf({ ...intent, quantity, notional: null }, facts)
}

function openOrdersDenial(
  intent: OrderIntent,
  facts: RiskFacts,
  { scope, limits }: By,
): Denial | null {
  const most = limits.openOrdersMax
  if (most === null) return null
  const open = facts.orders.filter(
    (order) =>
      !isTerminal(order.status) &&
      order.id !== intent.tradeId &&
      (scope === 'user' || order.connectionId === intent.connectionId),
  )
  if (open.length < most) return null
  const message = `${open.length} orders are open, at most ${most} are allowed. Cancel some, or wait until they have executed`
  return { code: 'TOO_MANY_OPEN_ORDERS', message }
}

function dailyLossDenial(
  intent: OrderIntent,
  facts: RiskFacts,
  { scope, limits }: By,
): Denial | null {
  const most = limits.dailyLossMax
  if (most === null) return null
  const day = tradingDayOf(facts.nowMs)
  const accounts = facts.accounts.filter(
    (one) => scope === 'user' || one.connectionId === intent.connectionId,
  )
  const realized = sum(
    accounts.map(({ today }) => (today?.date === day ? today.realizedPnL : ZERO)),
  )
  if (cmp(realized, neg(most)) > 0 || isZero(realized)) return null
  const message = `${neg(realized)} was lost today, the limit is ${most}. Only orders that reduce a position are sent until tomorrow`
  return { code: 'DAILY_LOSS_REACHED', message }
}

function sessionDenial(intent: OrderIntent, facts: RiskFacts, { limits }: By): Denial | null {
  const isCrypto = intent.symbol.includes('/')
  if (limits.sessions === 'any' || isCrypto) return null
  if (intent.extendedHours)
    return { code: 'MARKET_CLOSED', message: 'Orders for extended hours are not allowed here' }
  // An order for the opening auction is placed while the market is closed, and executes when the
  // market opens.
  if (facts.isOpen !== false || intent.timeInForce === 'opg') return null
  return {
    code: 'MARKET_CLOSED',
    message: 'The market is closed. Send the order again in regular hours',
  }
}

/**
 * Refuses a buy limit far above the market, or a sell limit far below the market: such a price is a
 * typing error. On the other side of the market a limit order only rests. The collar covers all
 * orders with a limit price, orders that reduce a position included. Without a market price these
 * orders are refused.
 */
function collarDenial(intent: OrderIntent, facts: RiskFacts, { limits }: By): Denial | null {
  const { side, stopPrice, symbol } = intent
  const { priceCollarPercent: percent } = limits
  const limitPrice = collaredPriceOf(intent)
  if (percent === null || limitPrice === null) return null
  // The limit price of a stop order is compared with its stop price: until the stop price is
  // reached, the market price is no measure for it.
  const base = stopPrice ?? marketOf(intent, facts.quote)
  if (base === null) return unpriced(intent, 'The limit price of an order')
  const room = mul(mul(base, percent), '0.01' as Decimal)
  const edge = side === 'buy' ? add(base, room) : add(base, neg(room))
  if (side === 'buy' ? cmp(limitPrice, edge) <= 0 : cmp(limitPrice, edge) >= 0) return null
  const message = `limitPrice ${limitPrice} is more than ${percent} % ${side === 'buy' ? 'above' : 'below'} ${base}, the price of ${symbol}`
  return { code: 'PRICE_OUTSIDE_COLLAR', message }
}

const unpriced = ({ symbol }: OrderIntent, what: string): Denial => ({
  code: 'PRICE_UNKNOWN',
  message: `${what} is limited here, and no price of ${symbol} could be read. Try again in a moment`,
})
