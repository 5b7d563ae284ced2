import { type Asset, findAsset } from './assets.ts'
import type { OrderRequest, OrderType, Side } from './order.ts'
import { invalid, unprocessable } from './refusal.ts'
import { checkExits, exitsOf, orderClassOf } from './request-exits.ts'
import {
  amountOf,
  type Body,
  bodyOf,
  clientOrderIdOf,
  given,
  isExtendedHours,
  priceOf,
  sizeAmountOf,
  statedIntentOf,
  timeInForceOf,
  wordOf,
} from './request-fields.ts'
import { checkClassRules, checkPrices } from './request-rules.ts'

/**
 * Reads the body of `POST /v2/orders` into an order request, with the broker's messages and in its
 * order of checks. The result depends on no account.
 */

const types: readonly string[] = ['market', 'limit', 'stop', 'stop_limit', 'trailing_stop']

function assetOf(body: Body): Asset {
  const symbol = body['symbol']
  if (typeof symbol !== 'string' || symbol === '') throw invalid('symbol is required')
  const asset = findAsset(symbol)
  if (asset === undefined) throw unprocessable(`asset "${symbol.slice(0, 64)}" not found`)
  if (asset.status !== 'active') throw invalid(`asset ${asset.symbol} is not active`)
  if (!asset.tradable) throw unprocessable(`asset "${asset.symbol}" is not tradable`)
  return asset
}

function sizeOf(body: Body): Pick<OrderRequest, 'qty' | 'notional'> {
  if (!given(body['qty']) && !given(body['notional'])) throw invalid('qty or notional is required')
  if (given(body['qty']) && given(body['notional']))
    throw invalid('only one of qty or notional is accepted')
  return { qty: sizeAmountOf(body, 'qty'), notional: sizeAmountOf(body, 'notional') }
}

/**
 * @param generateId makes the client order id if the body has none
 * @param takesNotionalLimits whether stock orders sized in money may have a limit or a stop
 * @throws {Refusal} with the broker's status, code and message
 */
export function readRequest(
  body: unknown,
  generateId: () => string,
  takesNotionalLimits = false,
): OrderRequest {
  const fields = bodyOf(body)
  const asset = assetOf(fields)
  const size = sizeOf(fields)
  const side = wordOf(fields, 'side', ['buy', 'sell'], 'invalid side') as Side
  const type = wordOf(fields, 'type', types, 'invalid order type') as OrderType
  const timeInForce = timeInForceOf(fields)
  const orderClass = orderClassOf(fields)
  const exits = exitsOf(fields, orderClass, asset)
  const request: OrderRequest = {
    clientOrderId: clientOrderIdOf(fields, generateId),
    asset,
    ...size,
    side,
    type,
    timeInForce,
    orderClass,
    extendedHours: isExtendedHours(fields),
    // The main order of an oco is the take-profit; the stop-loss is its leg.
    limitPrice:
      orderClass === 'oco' ? (exits?.takeProfit ?? null) : priceOf(fields, 'limit_price', asset),
    stopPrice: priceOf(fields, 'stop_price', asset),
    trailPrice: amountOf(fields, 'trail_price'),
    trailPercent: amountOf(fields, 'trail_percent'),
    statedIntent: statedIntentOf(fields),
    exits,
  }
  checkExits(request)
  checkPrices(request)
  checkClassRules(request, takesNotionalLimits)
  return request
}
