import type { Account } from './account.ts'
import { dec, type Decimal, DECIMAL_PLACES_MAX, isZero, ZERO } from './decimal.ts'
import type { Order } from './order.ts'
import type { Position } from './position.ts'

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
