import { isWhole } from './decimals.ts'
import type { OrderRequest, OrderType } from './order.ts'
import { forbidden, invalid, unprocessable } from './refusal.ts'

/**
 * Rules that the terms of an order must satisfy among themselves, with the broker's messages. They
 * depend on no account and no market.
 */

const cryptoTimesInForce: readonly string[] = ['gtc', 'ioc']
const cryptoTypes: readonly string[] = ['market', 'limit', 'stop_limit']

/** The prices that each type needs, and the messages for a missing and for a surplus price. */
const priceRules: Readonly<
  Record<OrderType, readonly [limit: boolean, stop: boolean, missing: string, surplus: string]>
> = {
  market: [false, false, '', 'market orders require no stop or limit price'],
  limit: [true, false, 'limit orders require a limit price', 'limit orders require no stop price'],
  stop: [false, true, 'stop orders require a stop price', 'stop orders require no limit price'],
  stop_limit: [true, true, 'stop limit orders require both stop and limit price', ''],
  trailing_stop: [false, false, '', 'trailing stop orders require no stop or limit price'],
}

/** @throws {Refusal} a price is missing or surplus */
export function checkPrices({
  type,
  limitPrice,
  stopPrice,
  trailPrice,
  trailPercent,
}: OrderRequest): void {
  const [limit, stop, missing, surplus] = priceRules[type]
  if ((limit && limitPrice === null) || (stop && stopPrice === null)) throw invalid(missing)
  if ((!limit && limitPrice !== null) || (!stop && stopPrice !== null)) throw invalid(surplus)
  const trails = [trailPrice, trailPercent].filter((trail) => trail !== null).length
  if (type !== 'trailing_stop' && trails > 0)
    throw invalid('only trailing stop orders accept trail_price or trail_percent')
  if (type !== 'trailing_stop') return
  if (trails !== 1)
    throw invalid('trailing stop orders must specify one of trail_price or trail_percent')
  if (trailPercent?.gte(100) === true) throw invalid('trail_percent must be < 100')
}

function checkCrypto({ type, timeInForce, extendedHours }: OrderRequest): void {
  if (!cryptoTypes.includes(type)) throw invalid('invalid order type for crypto order')
  if (!cryptoTimesInForce.includes(timeInForce)) throw unprocessable('invalid crypto time_in_force')
  if (extendedHours) throw unprocessable('extended hours order must be DAY or GTC limit orders')
}

function checkFractional({ asset, type, timeInForce }: OrderRequest): void {
  if (timeInForce !== 'day') throw unprocessable('fractional orders must be DAY orders')
  if (type === 'trailing_stop')
    throw unprocessable('fractional orders cannot be trailing stop orders')
  if (!asset.fractionable) throw forbidden(`asset "${asset.symbol}" is not fractionable`)
}

/**
 * Types of stock orders that may be sized in money, if the broker accepts more than market orders.
 */
const notionalTypes: readonly string[] = ['market', 'limit', 'stop', 'stop_limit']

/**
 * @param takesNotionalLimits whether orders sized in money may have other types than market
 * @throws {Refusal} the combination is not traded for this class of asset
 */
export function checkClassRules(request: OrderRequest, takesNotionalLimits = false): void {
  const { asset, type, timeInForce, qty, notional, extendedHours } = request
  if (asset.assetClass === 'crypto') return checkCrypto(request)
  const dayOrGtc = timeInForce === 'day' || timeInForce === 'gtc'
  if (extendedHours && !(type === 'limit' && dayOrGtc)) {
    throw unprocessable('extended hours order must be DAY or GTC limit orders')
  }
  if (type === 'trailing_stop' && !dayOrGtc)
    throw unprocessable('trailing stop orders must be DAY or GTC orders')
  if ((timeInForce === 'opg' || timeInForce === 'cls') && type !== 'market' && type !== 'limit') {
    throw unprocessable(`${timeInForce} orders must be market or limit orders`)
  }
  if (
    notional !== null &&
    !(takesNotionalLimits ? notionalTypes.includes(type) : type === 'market')
  )
    throw unprocessable('notional orders must be market orders')
  if (notional?.lt(1) === true) throw unprocessable('notional must be >= 1.00')
  if (notional !== null || (qty !== null && !isWhole(qty))) checkFractional(request)
}
