import type { Asset } from './assets.ts'
import {
  asPrice,
  type Decimal,
  DECIMAL_PLACES_MAX,
  decimalPlaces,
  parseDecimal,
} from './decimals.ts'
import type { PositionIntent, TimeInForce } from './order.ts'
import { invalid, unprocessable } from './refusal.ts'

/** Single fields of an order's body, each read as the broker reads it. */

const CLIENT_ORDER_ID_LENGTH_MAX = 128
const timesInForce: readonly string[] = ['day', 'gtc', 'opg', 'cls', 'ioc', 'fok']
const intents: readonly string[] = ['buy_to_open', 'buy_to_close', 'sell_to_open', 'sell_to_close']

export type Body = Readonly<Record<string, unknown>>

/** @throws {Refusal} the body is no JSON object */
export function bodyOf(body: unknown): Body {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw invalid('request body format is invalid')
  return body as Body
}

/** To the broker an absent field, null and empty text mean the same. */
export const given = (value: unknown): boolean =>
  value !== undefined && value !== null && value !== ''

export function wordOf(
  body: Body,
  field: string,
  allowed: readonly string[],
  refusal: string,
): string {
  const value = body[field]
  if (typeof value !== 'string' || !allowed.includes(value)) throw invalid(refusal)
  return value
}

export function amountOf(body: Body, field: string): Decimal | null {
  if (!given(body[field])) return null
  const amount = parseDecimal(body[field])
  if (amount === undefined) throw invalid(`${field} must be a decimal number`)
  if (amount.lte(0)) throw invalid(`${field} must be > 0`)
  return amount
}

/** A quantity or an amount of money, with no more decimals than the broker accepts. */
export function sizeAmountOf(body: Body, field: 'qty' | 'notional'): Decimal | null {
  const amount = amountOf(body, field)
  if (amount === null || decimalPlaces(amount) <= DECIMAL_PLACES_MAX) return amount
  throw invalid(`${field} is limited to ${DECIMAL_PLACES_MAX} decimal places`)
}

export function priceOf(
  body: Body,
  field: 'limit_price' | 'stop_price',
  asset: Asset,
): Decimal | null {
  const price = amountOf(body, field)
  if (price === null || asset.assetClass === 'crypto') return price
  if (!price.eq(asPrice(price))) {
    throw unprocessable(
      `invalid ${field} ${price.toFixed()}. sub-penny increment does not fulfill minimum pricing criteria`,
    )
  }
  return price
}

export const timeInForceOf = (body: Body): TimeInForce =>
  wordOf(body, 'time_in_force', timesInForce, 'invalid time_in_force') as TimeInForce

export function statedIntentOf(body: Body): PositionIntent | null {
  if (!given(body['position_intent'])) return null
  return wordOf(body, 'position_intent', intents, 'invalid position_intent') as PositionIntent
}

/**
 * Refuses a value that is no boolean. Read silently as false, it would leave the order waiting
 * until the morning.
 */
export function isExtendedHours(body: Body): boolean {
  const value = body['extended_hours']
  if (given(value) && typeof value !== 'boolean')
    throw invalid('extended_hours must be true or false')
  return value === true
}

export function clientOrderIdOf(body: Body, generate: () => string): string {
  const id = body['client_order_id']
  if (!given(id)) return generate()
  if (typeof id !== 'string') throw invalid('client_order_id must be a string')
  if (id.length > CLIENT_ORDER_ID_LENGTH_MAX) {
    throw invalid(`client_order_id must be no more than ${CLIENT_ORDER_ID_LENGTH_MAX} characters`)
  }
  return id
}
