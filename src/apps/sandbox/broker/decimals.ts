import { Big } from 'big.js'

/** Exact decimals. Prices, quantities and cash are never `number` in the model. */
export type Decimal = Big

/** Digits after the point that the broker accepts in a quantity, and prints in an average. */
export const DECIMAL_PLACES_MAX = 9
/** Beyond this magnitude an amount is a mistake; also bounds what formatting can cost. */
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

/** Quotient rounded half up to `places`; zero when the divisor is zero (a ratio of nothing). */
export const ratio = (a: Decimal, b: Decimal, places: number = DECIMAL_PLACES_MAX): Decimal =>
  b.eq(0) ? zero : a.div(b).round(places)

/** How much `money` buys at `price`, rounded down so that it is never overspent. */
export const affordable = (money: Decimal, price: Decimal): Decimal =>
  money.div(price).round(DECIMAL_PLACES_MAX, 0)

/** Rounded to what the exchange takes: cents, and below a dollar hundredths of them. */
export const asPrice = (value: Decimal): Decimal => value.round(value.gte(1) ? 2 : 4)

/** Digits after the point. */
export const decimalPlaces = (value: Decimal): number => Math.max(0, value.c.length - 1 - value.e)
export const isWhole = (value: Decimal): boolean => decimalPlaces(value) === 0

/**
 * A client's amount, string or JSON number, or undefined when it is not a plain decimal of sane
 * size.
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
