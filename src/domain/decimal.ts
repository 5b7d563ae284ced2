import { Big } from 'big.js'

/**
 * An exact decimal number as its canonical text: no exponent, no leading zero, no trailing zero, no
 * `-0`. Two equal numbers are `===`, and a record of them is plain JSON. No calculation passes
 * through binary floating point (S16 of the failure catalogue).
 */
export type Decimal = string & { readonly [brand]: true }
declare const brand: unique symbol

/** Quantities and prices have at most this many decimals. Averages are rounded to this many. */
export const DECIMAL_PLACES_MAX = 9

const TEXT = /^-?\d{1,30}(\.\d{1,30})?$/
/** Text that is canonical already: most decimals of brokers, and all of our own. */
const CANONICAL = /^(?:0|-?(?:[1-9]\d{0,29}|[1-9]\d{0,29}\.\d{0,29}[1-9]|0\.\d{0,29}[1-9]))$/
const canonical = (value: Big): Decimal => (value.eq(0) ? '0' : value.toFixed()) as Decimal

/**
 * Reads a decimal as brokers and callers write it. `null`: exponents, spaces, `+`, `NaN` and the
 * like are refused.
 */
export function tryDec(text: string): Decimal | null {
  if (CANONICAL.test(text)) return text as Decimal
  return TEXT.test(text) ? canonical(new Big(text)) : null
}

const WITH_EXPONENT = /^-?\d{1,30}(\.\d{1,30})?[eE][+-]?\d{1,2}$/

/** Like `tryDec`, but also for JSON numbers with an exponent, such as `1.2e-7`. */
export const tryDecNumber = (text: string): Decimal | null =>
  tryDec(text) ?? (WITH_EXPONENT.test(text) ? tryDec(new Big(text).toFixed()) : null)

/** @throws {TypeError} where `tryDec` returns `null` */
export function dec(text: string): Decimal {
  const value = tryDec(text)
  if (value === null) throw new TypeError(`not a decimal: ${JSON.stringify(text.slice(0, 40))}`)
  return value
}

export const ZERO = dec('0')
// In most sums one term is zero: an order's first execution, a position's first order.
export const add = (a: Decimal, b: Decimal): Decimal =>
  isZero(a) ? b : isZero(b) ? a : canonical(new Big(a).plus(b))
export const sub = (a: Decimal, b: Decimal): Decimal =>
  isZero(b) ? a : canonical(new Big(a).minus(b))
export const mul = (a: Decimal, b: Decimal): Decimal => canonical(new Big(a).times(b))
export const neg = (a: Decimal): Decimal =>
  isZero(a) ? a : isNegative(a) ? abs(a) : (`-${a}` as Decimal)
export const abs = (a: Decimal): Decimal => (isNegative(a) ? (a.slice(1) as Decimal) : a)
/** -1, 0 or 1. */
export const cmp = (a: Decimal, b: Decimal): -1 | 0 | 1 => (a === b ? 0 : new Big(a).cmp(b))
export const isZero = (a: Decimal): boolean => a === ZERO
export const isNegative = (a: Decimal): boolean => a.startsWith('-')
export const isPositive = (a: Decimal): boolean => !isZero(a) && !isNegative(a)
export const min = (a: Decimal, b: Decimal): Decimal => (cmp(a, b) <= 0 ? a : b)
export const max = (a: Decimal, b: Decimal): Decimal => (cmp(a, b) >= 0 ? a : b)
export const sum = (values: readonly Decimal[]): Decimal => values.reduce(add, ZERO)

/**
 * Big constructors by precision in decimal places, at most the thirty of a decimal. They are
 * cached, because making one costs more than a division.
 */
const kinds = new Map<number, ReturnType<typeof Big>>()

function kindOf(places: number): ReturnType<typeof Big> {
  const known = kinds.get(places)
  if (known !== undefined) return known
  const kind = Big()
  kind.DP = places + 20
  kind.RM = Big.roundDown
  kinds.set(places, kind)
  return kind
}

/** `a / b`, rounded half to even at `places` decimals. Half-to-even rounding does not drift. */
export function div(a: Decimal, b: Decimal, places: number = DECIMAL_PLACES_MAX): Decimal {
  const Exact = kindOf(places)
  return canonical(new Exact(a).div(b).round(places, Big.roundHalfEven))
}

/** Rounded half to even at `places` decimals. */
export const round = (a: Decimal, places: number): Decimal =>
  (a.split('.')[1]?.length ?? 0) <= places
    ? a
    : canonical(new Big(a).round(places, Big.roundHalfEven))

/** Truncated to `places` decimals, toward zero. */
export const truncate = (a: Decimal, places: number): Decimal =>
  canonical(new Big(a).round(places, Big.roundDown))

/**
 * Only for client events (src/contract/figures.ts), whose contract has JSON numbers. This is the
 * only conversion that gives up exactness.
 */
export const toNumber = (a: Decimal): number => Number(a)
