import { type Asset, findAsset } from './assets.ts'
import type { OrderClass, OrderType, Side, Ticket } from './order.ts'
import { invalid, unprocessable } from './refusal.ts'
import {
  amountOf,
  type Body,
  bodyOf,
  clientOrderIdOf,
  given,
  priceOf,
  sizeAmountOf,
  timeInForceOf,
  wordOf,
} from './ticket-fields.ts'
import { checkClassRules, checkPrices } from './ticket-rules.ts'

/** Reads the body of `POST /v2/orders` into a ticket, in the broker's order of checks and with its words. Knows no account. */

const types: readonly string[] = ['market', 'limit', 'stop', 'stop_limit', 'trailing_stop']
/** What this sandbox trades; everything else of the broker is refused by name. */
const tradedTimesInForce: readonly string[] = ['day', 'gtc', 'ioc', 'fok']

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
  return { qty: sizeAmountOf(body, 'qty'), notional: sizeAmountOf(body, 'notional') }
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
  const fields = bodyOf(body)
  const asset = assetOf(fields)
  const size = sizeOf(fields)
  const side = wordOf(fields, 'side', ['buy', 'sell'], 'invalid side') as Side
  const type = wordOf(fields, 'type', types, 'invalid order type') as OrderType
  const timeInForce = timeInForceOf(fields)
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
