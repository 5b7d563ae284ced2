import { Big } from 'big.js'

/** Exact decimals. Prices, quantities and cash are never `number` in the model. */
export type Decimal = Big

/** Maximum digits after the point, of a quantity that the broker accepts and of an average. */
export const DECIMAL_PLACES_MAX = 9
/** A larger amount is a mistake; the limit also bounds the cost of formatting. */
const DIGITS_BEFORE_POINT_MAX = 15

export const zero = new Big(0)
export const decimal = (value: string | number): Decimal => new Big(value)
export const larger = (a: Decimal, b: Decimal): Decimal => (a.gt(b) ? a : b)
export const smaller = (a: Decimal, b: Decimal): Decimal => (a.lt(b) ? a : b)
export const sum = (values: Iterable<Decimal>): Decimal => {
  let total = zero
  for (const value of values) total = total.plus(value)
  return total
}

/** Plain decimal text without exponent or trailing zeros: `150`, `0.5`, `-3`. */
export const text = (value: Decimal): string => (value.eq(0) ? '0' : value.toFixed())

/** Quotient rounded half up to `places`; zero if the divisor is zero. */
export const ratio = (a: Decimal, b: Decimal, places: number = DECIMAL_PLACES_MAX): Decimal =>
  b.eq(0) ? zero : a.div(b).round(places)

/**
 * The quantity that `money` buys at `price`, rounded down so that the cost stays within `money`.
 */
export const affordable = (money: Decimal, price: Decimal): Decimal =>
  money.div(price).round(DECIMAL_PLACES_MAX, 0)

/** Rounded to the exchange's price step: one cent, or a hundredth of a cent below one dollar. */
export const asPrice = (value: Decimal): Decimal => value.round(value.gte(1) ? 2 : 4)

/** Digits after the point. */
export const decimalPlaces = (value: Decimal): number => Math.max(0, value.c.length - 1 - value.e)
export const isWhole = (value: Decimal): boolean => decimalPlaces(value) === 0

/**
 * Reads a client's amount, string or JSON number; undefined if it is no plain decimal of sane size.
 */
export function parseDecimal(value: unknown): Decimal | undefined {
  if (typeof value !== 'string' && typeof value !== 'number') return undefined
  const written = String(value).trim()
  if (written.length > 40 || !/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,2})?$/i.test(written))
    return undefined
  const parsed = new Big(
    written
      .replace(/^\+/, '')
      .replace(/^(-?)\./, '$10.')
      .replace(/\.(?=e|$)/i, ''),
  )
  return parsed.e < DIGITS_BEFORE_POINT_MAX && decimalPlaces(parsed) <= 30 ? parsed : undefined
}
