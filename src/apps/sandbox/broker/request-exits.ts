import type { Asset } from './assets.ts'
import { isWhole } from './decimals.ts'
import type { Exits, OrderClass, OrderRequest } from './order.ts'
import { invalid, unprocessable } from './refusal.ts'
import { type Body, given, priceOf } from './request-fields.ts'

/** `order_class`, `take_profit` and `stop_loss`: the legs of an order. */

const classes = new Map<unknown, OrderClass>([
  ['simple', ''],
  ['bracket', 'bracket'],
  ['oco', 'oco'],
  ['oto', 'oto'],
])

/** @throws {Refusal} an unknown class, or a class that this sandbox does not trade */
export function orderClassOf(body: Body): OrderClass {
  const value = given(body['order_class']) ? body['order_class'] : 'simple'
  if (value === 'mleg') throw invalid('order_class mleg is not supported by this sandbox')
  const orderClass = classes.get(value)
  if (orderClass === undefined) throw invalid('invalid order_class')
  return orderClass
}

function partOf(body: Body, name: 'take_profit' | 'stop_loss'): Body {
  const part = body[name]
  if (!given(part)) return {}
  if (typeof part !== 'object' || Array.isArray(part)) throw invalid(`${name} must be an object`)
  return part as Body
}

/**
 * Reads the exits of the body; null for a simple order.
 * @throws {Refusal} exits that do not fit the order class
 */
export function exitsOf(body: Body, orderClass: OrderClass, asset: Asset): Exits | null {
  const takeProfit = priceOf(partOf(body, 'take_profit'), 'limit_price', asset)
  const stop = partOf(body, 'stop_loss')
  const stopPrice = priceOf(stop, 'stop_price', asset)
  const limitPrice = priceOf(stop, 'limit_price', asset)
  if (stopPrice === null && limitPrice !== null) throw invalid('stop_loss.stop_price is required')
  const stopLoss = stopPrice === null ? null : { stopPrice, limitPrice }
  if (orderClass === '') {
    if (takeProfit !== null || stopLoss !== null)
      throw invalid('simple orders require no take_profit or stop_loss')
    return null
  }
  // The price of an oco may also be given as `limit_price`, as in every limit order.
  const target = takeProfit ?? (orderClass === 'oco' ? priceOf(body, 'limit_price', asset) : null)
  if (orderClass === 'oto' && (target === null) === (stopLoss === null)) {
    throw invalid('oto orders require one of take_profit or stop_loss')
  }
  if (orderClass !== 'oto' && target === null)
    throw invalid(`${orderClass} orders require take_profit.limit_price`)
  if (orderClass !== 'oto' && stopLoss === null)
    throw invalid(`${orderClass} orders require stop_loss.stop_price`)
  return { takeProfit: target, stopLoss }
}

/** @throws {Refusal} terms that orders with legs cannot have */
export function checkExits(request: OrderRequest): void {
  const { asset, exits, orderClass, type, timeInForce, qty, extendedHours } = request
  if (exits === null) return
  if (asset.assetClass === 'crypto') throw unprocessable('crypto orders must be simple orders')
  if (qty === null || !isWhole(qty)) throw unprocessable('fractional orders must be simple orders')
  if (timeInForce !== 'day' && timeInForce !== 'gtc')
    throw unprocessable(`${orderClass} orders must be DAY or GTC orders`)
  if (extendedHours) throw unprocessable(`${orderClass} orders cannot be extended hours orders`)
  if (orderClass === 'oco' && type !== 'limit')
    throw unprocessable('oco orders must be limit orders')
  if (type === 'trailing_stop')
    throw unprocessable(`${orderClass} orders cannot be trailing stop orders`)
  const { takeProfit, stopLoss } = exits
  if (takeProfit === null || stopLoss === null) return
  const sells = (request.side === 'sell') === (orderClass === 'oco')
  if (sells ? takeProfit.gt(stopLoss.stopPrice) : takeProfit.lt(stopLoss.stopPrice)) return
  throw unprocessable(`take_profit.limit_price must be ${sells ? '>' : '<'} stop_loss.stop_price`)
}
