import { type Decimal, DECIMAL_PLACES_MAX, round, toNumber } from '#domain'

// Conversion of decimals to the JSON numbers of client events. Each number has only as many
// decimals as its figure needs, and no digits of binary fractions.

/**
 * Rounds cash, totals and P&L to whole cents. A total of several figures is the sum of their
 * rounded values.
 */
export const inCents = (amount: Decimal): Decimal => round(amount, 2)
/** An amount of cash, total or P&L as a JSON number, in whole cents. */
export const money = (amount: Decimal): number => toNumber(inCents(amount))

/** A quantity, price, average or cost as a JSON number: exact, to nine decimals at most. */
export const figure = (value: Decimal): number => toNumber(round(value, DECIMAL_PLACES_MAX))
/** The same as `figure`; `null` for `null`. */
export const figureIfAny = (value: Decimal | null): number | null =>
  value === null ? null : figure(value)
