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

// Our own checks before an order leaves: what a user, or one connection, may do at most. Pure:
// facts in, a denial or nothing out. What only makes a position smaller is never held back by a
// limit on exposure: whoever may not add must still be able to leave.

/**
 * Limits of a user or of one connection; `null`: no such limit. A user's count and sum over all
 * connections.
 */
export type RiskLimits = Readonly<{
  schema: 1
  /** Money, in the account's currency, that one order may move. */
  orderNotionalMax: Decimal | null
  /**
   * What the position may be worth once the order has executed, and with it whatever is open or on
   * its way on its side.
   */
  positionNotionalMax: Decimal | null
  /** Orders that are on their way or open, the new one included. */
  openOrdersMax: number | null
  /**
   * Orders that may be sent in any 60 s, and in a trading day (exchange time); those that only
   * reduce a position do not count.
   */
  ordersPerMinuteMax?: number | null
  ordersPerDayMax?: number | null
  /** Realized loss of the trading day (exchange time) from which on nothing new is opened. */
  dailyLossMax: Decimal | null
  /** Only these; `null`: all. */
  symbolsAllowed: readonly string[] | null
  symbolsDenied: readonly string[]
  /**
   * How far a limit price may lie on the wrong side of the market, in percent. See `collarDenial`
   * for the orders that it covers.
   */
  priceCollarPercent: Decimal | null
  /**
   * `regular`: stock orders only while the regular session is open, and none for extended hours.
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
  /** A limit is set, and what it is compared with is not known. */
  | 'PRICE_UNKNOWN'

/** Why an order must not be sent; `message` says what to do. */
export type Denial<Code extends string = RiskCode> = Readonly<{ code: Code; message: string }>

/** Prices of the symbol, fresh enough to judge by. `null` where there is none. */
export type RiskQuote = Readonly<{ bid: Decimal | null; ask: Decimal | null; last: Decimal | null }>

/** Prices as market data tells them: JSON numbers, zero or absent where there is none. */
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
  /** Of the order's symbol and connection. */
  position: Position | null
  /** All of the user's that are open or on their way; needed where `needsState` says so. */
  orders: readonly Order[]
  positions: readonly Position[]
  accounts: readonly Account[]
  /** `null`: none, or too old. */
  quote: RiskQuote | null
  /** Whether the regular session is open; `null`: not known, and then the broker decides. */
  isOpen: boolean | null
  nowMs: number
}>

/**
 * Whether an order is judged by all of the user's orders, positions and accounts: some limits count
 * or sum them, and what may be reduced of a position follows from what reduces it already.
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

/**
 * Whether one of these limits compares the order with the market: then its price has to be known.
 */
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

/** Whether these limits ask for the hours of the market. */
export const needsSession = ({ user, connection }: RiskFacts['limits']): boolean =>
  user?.sessions === 'regular' || connection?.sessions === 'regular'

/**
 * What is judged: an order, or what a replacement makes of one. `executed`: how much of the order
 * has executed and lies in the position already. `exit`: it closes what its own entry opens, and so
 * can add to nothing.
 */
export type Judged = Readonly<{ intent: OrderIntent; executed: Decimal; role: 'entry' | 'exit' }>

export const newOrder = (intent: OrderIntent): Judged => ({ intent, executed: ZERO, role: 'entry' })

/** The order as far as it has not executed. */
const restOf = ({ intent, executed }: Judged): OrderIntent =>
  intent.quantity === null
    ? intent
    : { ...intent, quantity: max(sub(intent.quantity, executed), ZERO) }

/** Whether an order can only make the position smaller. An order sized in money never proves it. */
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
 * The broker does not go from long to short, or back, in one order (POS-06); nor do several orders
 * together.
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
/** Whose limits. `executed`: how much of the order lies in the position already. */
type By = Readonly<{ scope: 'user' | 'connection'; limits: RiskLimits; executed: Decimal }>

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
 * Only what goes in the order's own direction counts: a position on the other side, of another
 * connection, makes no room.
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

/** `null`: no price is known. */
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
  // An order for the opening auction is placed while the market is closed, and executes when it
  // opens.
  if (facts.isOpen !== false || intent.timeInForce === 'opg') return null
  return {
    code: 'MARKET_CLOSED',
    message: 'The market is closed. Send the order again in regular hours',
  }
}

/**
 * The price that a collar judges: a limit's, and that of the take profit of an oco, which rests at
 * once. Other orders have none.
 */
const collaredPriceOf = ({ limitPrice, orderClass, takeProfit }: OrderIntent): Decimal | null =>
  limitPrice ?? (orderClass === 'oco' ? (takeProfit?.limitPrice ?? null) : null)

/**
 * A buy far above the market, or a sell far below it, is a slip of the finger. The other way round
 * it only rests. Covered are orders with a price of their own, those that reduce a position
 * included; without a market price they are refused.
 */
function collarDenial(intent: OrderIntent, facts: RiskFacts, { limits }: By): Denial | null {
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
const paysAtMost = (intent: OrderIntent): Decimal | null =>
  intent.side === 'buy' ? collaredPriceOf(intent) : null

/**
 * The broker lets a buy stop execute up to so much above its stop: less for a stop of 50 and more.
 */
const STOP_ROOM = { from: dec('50'), below: dec('1.04'), above: dec('1.025') }

/**
 * What one unit may cost at most, or bring at least as much as; `null` where the market has to be
 * known and is not. A position's own mark does not count: nothing says how old it is.
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
 * Where a stop without a limit triggers; a trailing one as it stands now. `null`: the order is no
 * stop.
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
