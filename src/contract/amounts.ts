import type { Decimal } from '#domain'

// What an order may say, and what an event can. A client gets JSON numbers, whose whole numbers are
// exact up to 2^53. Alpaca publishes no maxima of its own; these are far above the largest order
// that it fills, and low enough that no sum of them leaves the exact range.

/** Shares or coins of one order. The cheapest coins trade by the ten billions. */
export const QUANTITY_MAX = '1000000000000' as Decimal
/** Of one share or coin, in the account's currency. The dearest share stands at about 750,000. */
export const PRICE_MAX = '10000000' as Decimal
/**
 * Money, in the account's currency, that one order or one limit names; of a priced order also
 * quantity times price.
 */
export const NOTIONAL_MAX = '1000000000000' as Decimal
/** 10,000 is a hundredfold. */
export const PERCENT_MAX = '10000' as Decimal

/**
 * The largest number, either way, that an event carries: beyond it not every whole number has a
 * JSON number of its own.
 */
export const EVENT_NUMBER_MAX = Number.MAX_SAFE_INTEGER
