import type { Decimal } from '#domain'

// Limits of the figures in an order and in an event. A client is sent JSON numbers, whose whole
// numbers are exact up to 2^53. Alpaca publishes no maxima of its own. The limits here are far
// above the largest order that Alpaca fills, and low enough that no sum of them leaves the exact
// range.

/**
 * Largest quantity of one order, in shares or coins. The cheapest coins trade by the ten billions.
 */
export const QUANTITY_MAX = '1000000000000' as Decimal
/**
 * Largest price of one share or coin, in the account's currency. The dearest share costs about
 * 750,000.
 */
export const PRICE_MAX = '10000000' as Decimal
/**
 * Largest amount of money that one order or one limit names, in the account's currency. The same
 * limit holds for quantity times price of a priced order.
 */
export const NOTIONAL_MAX = '1000000000000' as Decimal
/** Largest percentage: 10,000 % is a hundredfold. */
export const PERCENT_MAX = '10000' as Decimal

/**
 * The largest number, positive or negative, that an event carries. Beyond this number some whole
 * numbers have no JSON number of their own.
 */
export const EVENT_NUMBER_MAX = Number.MAX_SAFE_INTEGER
