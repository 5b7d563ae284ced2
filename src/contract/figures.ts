import { type Decimal, DECIMAL_PLACES_MAX, round, toNumber } from '#domain'

// Decimals as clients are shown them: JSON numbers with as many decimals as the figure means, and
// no digits of binary fractions.

/** Cash, totals and P&L: whole cents. Figures that are to add up are made of rounded ones. */
export const inCents = (amount: Decimal): Decimal => round(amount, 2)
export const money = (amount: Decimal): number => toNumber(inCents(amount))

/** Quantities, prices, averages and costs: exact, to nine decimals at most. */
export const figure = (value: Decimal): number => toNumber(round(value, DECIMAL_PLACES_MAX))
export const figureIfAny = (value: Decimal | null): number | null =>
  value === null ? null : figure(value)
