import type { Account } from './account.ts'
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
  dec,
  type Decimal,
  DECIMAL_PLACES_MAX,
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
import type { Order } from './order.ts'
import type { Position } from './position.ts'
import { tradingDayOf } from './trading-day.ts'
import { isTerminal } from './transitions.ts'

// Our own checks before an order is sent: the limits of a user or of one connection. The checks are
// pure: they compute a denial, or `null`, from the given facts. An order that only reduces a
// position is never refused by a limit on exposure, so that a user who may not add to a position
// can still close it.

/**
 * Limits of a user or of one connection; `null`: no such limit. A user's limits count and sum over
 * all connections.
 */
export type RiskLimits = Readonly<{
  schema: 1
  /** Largest value of one order, in the account's currency. */
  orderNotionalMax: Decimal | null
  /**
   * Largest value of the position after the order has executed, in the account's currency. Open
   * orders, and orders in submission, on the same side are added.
   */
  positionNotionalMax: Decimal | null
  /** Largest number of orders that are open or in submission, the new order included. */
  openOrdersMax: number | null
  /**
   * Orders that may be sent in any 60 s, and in a trading day (exchange time). Orders that only
   * reduce a position do not count.
   */
  ordersPerMinuteMax?: number | null
  ordersPerDayMax?: number | null
  /**
   * Realized loss of the trading day (exchange time), in the account's currency, from which on no
   * position may be opened or enlarged.
   */
  dailyLossMax: Decimal | null
  /** The only symbols that may be traded; `null`: all. */
  symbolsAllowed: readonly string[] | null
  symbolsDenied: readonly string[]
  /**
   * How far a limit price may lie on the wrong side of the market, in percent. `collarDenial` lists
   * the orders that the collar covers.
   */
  priceCollarPercent: Decimal | null
  /**
   * `regular`: stock orders are sent only while the regular session is open, and no order for
   * extended hours.
   */
  sessions: 'any' | 'regular'
  /** Grows with every change of the record. */
  revision: string
}>

export type RiskCode =
  | 'CROSSES_ZERO'
  | 'SYMBOL_NOT_ALLOWED'
  | 'ORDER_TOO_LARGE'
  | 'POSITION_TOO_LARGE'
  | 'TOO_MANY_OPEN_ORDERS'
  | 'TOO_MANY_ORDERS'
  | 'DAILY_LOSS_REACHED'
  | 'PRICE_OUTSIDE_COLLAR'
  | 'MARKET_CLOSED'
  /** A limit is set, and the price that it needs is unknown. */
  | 'PRICE_UNKNOWN'

/** Why an order must not be sent. `message` says how to fix it. */
export type Denial<Code extends string = RiskCode> = Readonly<{ code: Code; message: string }>

/** Prices of the symbol, fresh enough for a decision; `null`: no such price. */
export type RiskQuote = Readonly<{ bid: Decimal | null; ask: Decimal | null; last: Decimal | null }>

/**
 * Prices of market data as decimals. Market data has JSON numbers, zero or absent if there is no
 * such price.
 */
export function riskQuoteOf(
  told: Readonly<Record<keyof RiskQuote, number | null | undefined>>,
): RiskQuote {
  const price = (value: number | null | undefined): Decimal | null => {
    const exact = value == null || value <= 0 ? ZERO : dec(value.toFixed(DECIMAL_PLACES_MAX))
    return isZero(exact) ? null : exact
  }
  return { bid: price(told.bid), ask: price(told.ask), last: price(told.last) }
}

export type RiskFacts = Readonly<{
  limits: Readonly<{ user: RiskLimits | null; connection: RiskLimits | null }>
  /** The position in the order's symbol, on its connection. */
  position: Position | null
  /**
   * All of the user's orders that are open or in submission. Needed if `needsState` returns true.
   */
  orders: readonly Order[]
  positions: readonly Position[]
  accounts: readonly Account[]
  /** `null`: there is no quote, or it is too old. */
  quote: RiskQuote | null
  /** The regular session is open. `null`: unknown, and then the broker decides. */
  isOpen: boolean | null
  nowMs: number
}>

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
 * The price that a collar checks: the limit price, or the take-profit price of an oco, which works
 * at once. Other orders have no such price.
 */
const collaredPriceOf = ({ limitPrice, orderClass, takeProfit }: OrderIntent): Decimal | null =>
  limitPrice ?? (orderClass === 'oco' ? (takeProfit?.limitPrice ?? null) : null)

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

/** The price at which the order would execute now. */
const marketOf = ({ side }: OrderIntent, quote: RiskQuote | null): Decimal | null =>
  (side === 'buy' ? quote?.ask : quote?.bid) ?? quote?.last ?? null

/** A buy with a limit price pays at most this price, in any market. */
const paysAtMost = (intent: OrderIntent): Decimal | null =>
  intent.side === 'buy' ? collaredPriceOf(intent) : null

/**
 * The broker lets a buy stop execute up to this factor above its stop price. The factor is smaller
 * for a stop price of 50 and more.
 */
const STOP_ROOM = { from: dec('50'), below: dec('1.04'), above: dec('1.025') }

/**
 * The highest price that one unit may cost. For a sell: the higher of its own price and the market
 * price. `null`: the market price is needed and unknown. A position's own mark is not used, because
 * its age is unknown.
 */
function priceOf(intent: OrderIntent, { quote }: RiskFacts): Decimal | null {
  const most = paysAtMost(intent)
  const market = marketOf(intent, quote)
  if (most !== null || market === null) return most
  const own = collaredPriceOf(intent) ?? stopOf(intent, market)
  if (own === null) return market
  if (intent.side === 'sell') return max(own, market)
  return max(mul(own, cmp(own, STOP_ROOM.from) < 0 ? STOP_ROOM.below : STOP_ROOM.above), market)
}

/**
 * The price at which a stop order without a limit price triggers; for a trailing stop, the trigger
 * price now. `null`: the order is no stop order.
 */
function stopOf(
  { side, stopPrice, trailPrice, trailPercent }: OrderIntent,
  market: Decimal,
): Decimal | null {
  if (stopPrice !== null) return stopPrice
  const trail =
    trailPrice ?? (trailPercent === null ? null : mul(mul(market, trailPercent), '0.01' as Decimal))
  return trail === null ? null : add(market, side === 'buy' ? trail : neg(trail))
}

function worthOf(intent: OrderIntent, facts: RiskFacts): Decimal | null {
  if (intent.notional !== null) return intent.notional
  const price = priceOf(intent, facts)
  return price === null || intent.quantity === null ? null : mul(intent.quantity, price)
}
