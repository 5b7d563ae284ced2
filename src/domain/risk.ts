import type { Account } from './account.ts'
import { canonicalSymbol } from './asset.ts'
import {
  abs,
  add,
  cmp,
  dec,
  type Decimal,
  DECIMAL_PLACES_MAX,
  isNegative,
  isPositive,
  isZero,
  max,
  mul,
  neg,
  sum,
  ZERO,
} from './decimal.ts'
import type { OrderIntent } from './intent.ts'
import type { Order } from './order.ts'
import type { Position } from './position.ts'
import { tradingDayOf } from './trading-day.ts'
import { isTerminal } from './transitions.ts'

// Our own checks before an order leaves: what a user, or one connection, may do at most. Pure: facts in, a denial or nothing out.
// What only makes a position smaller is never held back by a limit on exposure: whoever may not add must still be able to leave.

/** Limits of a user or of one connection; `null`: no such limit. A user's count and sum over all connections. */
export type RiskLimits = Readonly<{
  schema: 1
  /** Money, in the account's currency, that one order may move. */
  orderNotionalMax: Decimal | null
  /** What the position may be worth once the order has executed, long or short. */
  positionNotionalMax: Decimal | null
  /** Orders that are on their way or open, the new one included. */
  openOrdersMax: number | null
  /** Realized loss of the trading day (exchange time) from which on nothing new is opened. */
  dailyLossMax: Decimal | null
  /** Only these; `null`: all. */
  symbolsAllowed: readonly string[] | null
  symbolsDenied: readonly string[]
  /** How far a limit price may lie on the wrong side of the market, in percent. See `collarDenial` for the orders that it covers. */
  priceCollarPercent: Decimal | null
  /** `regular`: stock orders only while the regular session is open, and none for extended hours. */
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
  | 'DAILY_LOSS_REACHED'
  | 'PRICE_OUTSIDE_COLLAR'
  | 'MARKET_CLOSED'
  /** A limit is set, and what it is compared with is not known. */
  | 'PRICE_UNKNOWN'

/** Why an order must not be sent; `message` says what to do. */
export type Denial<Code extends string = RiskCode> = Readonly<{ code: Code; message: string }>

/** Prices of the symbol, fresh enough to judge by. `null` where there is none. */
export type RiskQuote = Readonly<{ bid: Decimal | null; ask: Decimal | null; last: Decimal | null }>

/** Prices as market data tells them: JSON numbers, zero or absent where there is none. */
export function riskQuoteOf(told: Readonly<Record<keyof RiskQuote, number | null | undefined>>): RiskQuote {
  const price = (value: number | null | undefined): Decimal | null => {
    const exact = value == null || value <= 0 ? ZERO : dec(value.toFixed(DECIMAL_PLACES_MAX))
    return isZero(exact) ? null : exact
  }
  return { bid: price(told.bid), ask: price(told.ask), last: price(told.last) }
}

export type RiskFacts = Readonly<{
  limits: Readonly<{ user: RiskLimits | null; connection: RiskLimits | null }>
  /** Of the order's symbol and connection. */
  position: Position | null
  /** It closes what the broker itself says is open, whatever we know of the position. */
  closes: boolean
  /** All of the user's; needed only where a limit counts or sums (see `countsOrders`). */
  orders: readonly Order[]
  accounts: readonly Account[]
  /** `null`: none, or too old. */
  quote: RiskQuote | null
  /** Whether the regular session is open; `null`: not known, and then the broker decides. */
  isOpen: boolean | null
  nowMs: number
}>

/** Whether these limits need all of the user's orders and accounts. */
export const countsOrders = ({ user, connection }: RiskFacts['limits']): boolean =>
  [user, connection].some((one) => one !== null && (one.openOrdersMax !== null || one.dailyLossMax !== null))

/** Whether one of these limits compares the order with the market: then its price has to be known. */
export const needsPrice = (intent: OrderIntent, { user, connection }: RiskFacts['limits']): boolean =>
  [user, connection].some(
    (one) =>
      one !== null &&
      (one.positionNotionalMax !== null ||
        (one.orderNotionalMax !== null && intent.notional === null && paysAtMost(intent) === null) ||
        (one.priceCollarPercent !== null && collaredPriceOf(intent) !== null && intent.stopPrice === null)),
  )

/** Whether these limits ask for the hours of the market. */
export const needsSession = ({ user, connection }: RiskFacts['limits']): boolean =>
  user?.sessions === 'regular' || connection?.sessions === 'regular'

/** Whether an order can only make the position smaller. An order sized in money never proves it. */
export const isReducing = ({ side, quantity }: OrderIntent, position: Position | null): boolean =>
  position !== null &&
  quantity !== null &&
  (side === 'sell' ? isPositive(position.quantity) : isNegative(position.quantity)) &&
  cmp(quantity, abs(position.quantity)) <= 0

/** The first reason not to send the order, or `null`. */
export function assess(intent: OrderIntent, facts: RiskFacts): Denial | null {
  const crossing = facts.closes ? null : crossingOf(intent, facts.position)
  if (crossing !== null) return crossing
  for (const scope of ['user', 'connection'] as const) {
    const limits = facts.limits[scope]
    const denial = limits === null ? null : assessScope(intent, facts, scope, limits)
    if (denial !== null) return denial
  }
  return null
}

/** The broker does not go from long to short, or back, in one order (POS-06). */
function crossingOf({ side, quantity, symbol }: OrderIntent, position: Position | null): Denial | null {
  if (position === null || quantity === null || isZero(position.quantity)) return null
  const isOpposite = side === 'sell' ? isPositive(position.quantity) : isNegative(position.quantity)
  if (!isOpposite || cmp(quantity, abs(position.quantity)) <= 0) return null
  const held = `${isNegative(position.quantity) ? 'short' : 'long'} ${abs(position.quantity)}`
  return {
    code: 'CROSSES_ZERO',
    message: `The position in ${symbol} is ${held}. Close it first, then open the other side with an order of its own`,
  }
}

type Check = (intent: OrderIntent, facts: RiskFacts, scope: Scope, limits: RiskLimits) => Denial | null
type Scope = 'user' | 'connection'

/** Of every order. */
const CHECKS_OF_ALL: readonly Check[] = [sessionDenial, collarDenial]
/** Of orders that may add to a position. */
const CHECKS_OF_ADDING: readonly Check[] = [
  symbolDenial,
  orderSizeDenial,
  positionSizeDenial,
  openOrdersDenial,
  dailyLossDenial,
]

function assessScope(intent: OrderIntent, facts: RiskFacts, scope: Scope, limits: RiskLimits): Denial | null {
  const checks =
    facts.closes || isReducing(intent, facts.position) ? CHECKS_OF_ALL : [...CHECKS_OF_ADDING, ...CHECKS_OF_ALL]
  for (const check of checks) {
    const denial = check(intent, facts, scope, limits)
    if (denial !== null) return denial
  }
  return null
}

function symbolDenial({ symbol }: OrderIntent, _facts: RiskFacts, _scope: Scope, limits: RiskLimits): Denial | null {
  const { symbolsAllowed, symbolsDenied } = limits
  const isNamed = (one: string): boolean => canonicalSymbol(one) === canonicalSymbol(symbol)
  if (!symbolsDenied.some(isNamed) && symbolsAllowed?.some(isNamed) !== false) return null
  return { code: 'SYMBOL_NOT_ALLOWED', message: `${symbol} is not among the symbols that may be traded here` }
}

function orderSizeDenial(intent: OrderIntent, facts: RiskFacts, _scope: Scope, limits: RiskLimits): Denial | null {
  const most = limits.orderNotionalMax
  if (most === null) return null
  const worth = worthOf(intent, facts)
  if (worth === null) return unpriced(intent, 'The value of an order')
  if (cmp(worth, most) <= 0) return null
  return { code: 'ORDER_TOO_LARGE', message: `The order is worth ${worth}, at most ${most} is allowed. Order less` }
}

function positionSizeDenial(intent: OrderIntent, facts: RiskFacts, _scope: Scope, limits: RiskLimits): Denial | null {
  const most = limits.positionNotionalMax
  if (most === null) return null
  const [worth, price] = [worthOf(intent, facts), priceOf(intent, facts)]
  const held = facts.position?.quantity ?? ZERO
  if (worth === null || (price === null && !isZero(held))) return unpriced(intent, 'The value of a position')
  const signed = intent.side === 'buy' ? worth : neg(worth)
  const after = abs(add(mul(held, price ?? ZERO), signed))
  if (cmp(after, most) <= 0) return null
  const message = `The position in ${intent.symbol} would be worth ${after}, at most ${most} is allowed. Order less`
  return { code: 'POSITION_TOO_LARGE', message }
}

function openOrdersDenial(intent: OrderIntent, facts: RiskFacts, scope: Scope, limits: RiskLimits): Denial | null {
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

function dailyLossDenial(intent: OrderIntent, facts: RiskFacts, scope: Scope, limits: RiskLimits): Denial | null {
  const most = limits.dailyLossMax
  if (most === null) return null
  const day = tradingDayOf(facts.nowMs)
  const accounts = facts.accounts.filter((one) => scope === 'user' || one.connectionId === intent.connectionId)
  const realized = sum(accounts.map(({ today }) => (today?.date === day ? today.realizedPnL : ZERO)))
  if (cmp(realized, neg(most)) > 0 || isZero(realized)) return null
  const message = `${neg(realized)} was lost today, the limit is ${most}. Only orders that reduce a position are sent until tomorrow`
  return { code: 'DAILY_LOSS_REACHED', message }
}

function sessionDenial(intent: OrderIntent, facts: RiskFacts, _scope: Scope, limits: RiskLimits): Denial | null {
  const isCrypto = intent.symbol.includes('/')
  if (limits.sessions === 'any' || isCrypto) return null
  if (intent.extendedHours) return { code: 'MARKET_CLOSED', message: 'Orders for extended hours are not allowed here' }
  // An order for the opening auction is placed while the market is closed, and executes when it opens.
  if (facts.isOpen !== false || intent.timeInForce === 'opg') return null
  return { code: 'MARKET_CLOSED', message: 'The market is closed. Send the order again in regular hours' }
}

/** The price that a collar judges: a limit's, and that of the take profit of an oco, which rests at once. Other orders have none. */
const collaredPriceOf = ({ limitPrice, orderClass, takeProfit }: OrderIntent): Decimal | null =>
  limitPrice ?? (orderClass === 'oco' ? (takeProfit?.limitPrice ?? null) : null)

/**
 * A buy far above the market, or a sell far below it, is a slip of the finger. The other way round it only rests. Covered are orders
 * with a price of their own, those that reduce a position included; without a market price they are refused.
 */
function collarDenial(intent: OrderIntent, facts: RiskFacts, _scope: Scope, limits: RiskLimits): Denial | null {
  const { side, stopPrice, symbol } = intent
  const { priceCollarPercent: percent } = limits
  const limitPrice = collaredPriceOf(intent)
  if (percent === null || limitPrice === null) return null
  // A stop's limit is judged by its stop: until that is reached, the market says nothing about it.
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

/** Where the order would trade now. */
const marketOf = ({ side }: OrderIntent, quote: RiskQuote | null): Decimal | null =>
  (side === 'buy' ? quote?.ask : quote?.bid) ?? quote?.last ?? null

/** A buy with a limit pays no more than that, whatever the market does. */
const paysAtMost = (intent: OrderIntent): Decimal | null => (intent.side === 'buy' ? collaredPriceOf(intent) : null)

/** The broker lets a buy stop execute up to so much above its stop: less for a stop of 50 and more. */
const STOP_ROOM = { from: dec('50'), below: dec('1.04'), above: dec('1.025') }

/**
 * What one unit may cost at most, or bring at least as much as; `null` where the market has to be known and is not. A position's own
 * mark does not count: nothing says how old it is.
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

/** Where a stop without a limit triggers; a trailing one as it stands now. `null`: the order is no stop. */
function stopOf({ side, stopPrice, trailPrice, trailPercent }: OrderIntent, market: Decimal): Decimal | null {
  if (stopPrice !== null) return stopPrice
  const trail = trailPrice ?? (trailPercent === null ? null : mul(mul(market, trailPercent), '0.01' as Decimal))
  return trail === null ? null : add(market, side === 'buy' ? trail : neg(trail))
}

function worthOf(intent: OrderIntent, facts: RiskFacts): Decimal | null {
  if (intent.notional !== null) return intent.notional
  const price = priceOf(intent, facts)
  return price === null || intent.quantity === null ? null : mul(intent.quantity, price)
}
