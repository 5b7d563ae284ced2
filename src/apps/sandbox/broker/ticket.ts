import { type Asset, findAsset } from './assets.ts'
import { type Decimal, decimalPlaces, DECIMAL_PLACES_MAX, parseDecimal } from './decimals.ts'
import type { OrderClass, OrderType, Side, Ticket, TimeInForce } from './order.ts'
import { invalid, unprocessable } from './refusal.ts'
import { checkClassRules, checkPrices } from './ticket-rules.ts'

/** Reads the body of `POST /v2/orders` into a ticket, in the broker's order of checks and with its words. Knows no account. */

const CLIENT_ORDER_ID_LENGTH_MAX = 128
const types: readonly string[] = ['market', 'limit', 'stop', 'stop_limit', 'trailing_stop']
const timesInForce: readonly string[] = ['day', 'gtc', 'opg', 'cls', 'ioc', 'fok']
/** What this sandbox trades; everything else of the broker is refused by name. */
const tradedTimesInForce: readonly string[] = ['day', 'gtc', 'ioc', 'fok']

type Body = Readonly<Record<string, unknown>>

/** Absent, null and empty text mean the same to the broker. */
const given = (value: unknown): boolean => value !== undefined && value !== null && value !== ''

function wordOf(body: Body, field: string, allowed: readonly string[], refusal: string): string {
  const value = body[field]
  if (typeof value !== 'string' || !allowed.includes(value)) throw invalid(refusal)
  return value
}

function amountOf(body: Body, field: string): Decimal | null {
  if (!given(body[field])) return null
  const amount = parseDecimal(body[field])
  if (amount === undefined) throw invalid(`${field} must be a decimal number`)
  if (amount.lte(0)) throw invalid(`${field} must be > 0`)
  return amount
}

function priceOf(body: Body, field: 'limit_price' | 'stop_price', asset: Asset): Decimal | null {
  const price = amountOf(body, field)
  if (price === null || asset.assetClass === 'crypto') return price
  if (decimalPlaces(price) > (price.gte(1) ? 2 : 4)) {
    throw unprocessable(
      `invalid ${field} ${price.toFixed()}. sub-penny increment does not fulfill minimum pricing criteria`,
    )
  }
  return price
}

function assetOf(body: Body): Asset {
  const symbol = body['symbol']
  if (typeof symbol !== 'string' || symbol === '') throw invalid('symbol is required')
  const asset = findAsset(symbol)
  if (asset === undefined) throw unprocessable(`asset "${symbol.slice(0, 64)}" not found`)
  return asset
}

function sizeOf(body: Body): Pick<Ticket, 'qty' | 'notional'> {
  if (!given(body['qty']) && !given(body['notional'])) throw invalid('qty or notional is required')
  if (given(body['qty']) && given(body['notional'])) throw invalid('only one of qty or notional is accepted')
  const size = { qty: amountOf(body, 'qty'), notional: amountOf(body, 'notional') }
  for (const [field, amount] of Object.entries(size)) {
    if (amount !== null && decimalPlaces(amount) > DECIMAL_PLACES_MAX) {
      throw invalid(`${field} is limited to ${DECIMAL_PLACES_MAX} decimal places`)
    }
  }
  return size
}

function clientOrderIdOf(body: Body, generate: () => string): string {
  const id = body['client_order_id']
  if (!given(id)) return generate()
  if (typeof id !== 'string') throw invalid('client_order_id must be a string')
  if (id.length > CLIENT_ORDER_ID_LENGTH_MAX) {
    throw invalid(`client_order_id must be no more than ${CLIENT_ORDER_ID_LENGTH_MAX} characters`)
  }
  return id
}

function checkSupported(body: Body, timeInForce: string): void {
  const orderClass = given(body['order_class']) ? body['order_class'] : 'simple'
  if (!['simple', 'bracket', 'oco', 'oto', 'mleg'].includes(String(orderClass))) throw invalid('invalid order_class')
  if (orderClass !== 'simple') throw invalid(`order_class ${String(orderClass)} is not supported by this sandbox`)
  if (!tradedTimesInForce.includes(timeInForce)) {
    throw invalid(`time_in_force ${timeInForce} is not supported by this sandbox`)
  }
}

/**
 * @param generateId makes the client order id when the body names none
 * @throws {Refusal} with the broker's status, code and words
 */
export function readTicket(body: unknown, generateId: () => string): Ticket {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw invalid('request body format is invalid')
  }
  const fields = body as Body
  const asset = assetOf(fields)
  const size = sizeOf(fields)
  const side = wordOf(fields, 'side', ['buy', 'sell'], 'invalid side') as Side
  const type = wordOf(fields, 'type', types, 'invalid order type') as OrderType
  const timeInForce = wordOf(fields, 'time_in_force', timesInForce, 'invalid time_in_force') as TimeInForce
  checkSupported(fields, timeInForce)
  const orderClass: OrderClass = ''
  const ticket: Ticket = {
    clientOrderId: clientOrderIdOf(fields, generateId),
    asset,
    ...size,
    side,
    type,
    timeInForce,
    orderClass,
    extendedHours: fields['extended_hours'] === true,
    limitPrice: priceOf(fields, 'limit_price', asset),
    stopPrice: priceOf(fields, 'stop_price', asset),
    trailPrice: amountOf(fields, 'trail_price'),
    trailPercent: amountOf(fields, 'trail_percent'),
  }
  checkPrices(ticket)
  checkClassRules(ticket)
  return ticket
}
