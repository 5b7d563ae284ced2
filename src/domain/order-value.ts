import { add, cmp, dec, type Decimal, max, mul, neg } from './decimal.ts'
import type { OrderIntent } from './intent.ts'
import type { RiskFacts, RiskQuote } from './risk-limits.ts'

// The price at which the risk checks count an order, and the order's value at that price.

/**
 * The price that a collar checks: the limit price, or the take-profit price of an oco, which works
 * at once. Other orders have no such price.
 */
export const collaredPriceOf = ({
  limitPrice,
  orderClass,
  takeProfit,
}: OrderIntent): Decimal | null =>
  limitPrice ?? (orderClass === 'oco' ? (takeProfit?.limitPrice ?? null) : null)

/** The price at which the order would execute now. */
export const marketOf = ({ side }: OrderIntent, quote: RiskQuote | null): Decimal | null =>
  (side === 'buy' ? quote?.ask : quote?.bid) ?? quote?.last ?? null

/** A buy with a limit price pays at most this price, in any market. */
export const paysAtMost = (intent: OrderIntent): Decimal | null =>
  intent.side === 'buy' ? collaredPriceOf(intent) : null

/**
 * The broker lets a buy stop execute up to this factor above its stop price. The factor is smaller
 * for a stop price of 50 and more.
 */
const STOP_ROOM = { from: dec('50'), below: dec('1.04'), above: dec('1.025') }

/**
 * The highest price that one unit may cost. For a sell: the higher of its own price and the market
 * price. `null`: the market price is needed and unknown. A position's own mark is not used, because
 * its age is unknown.
 */
export function priceOf(intent: OrderIntent, { quote }: RiskFacts): Decimal | null {
  const most = paysAtMost(intent)
  const market = marketOf(intent, quote)
  if (most !== null || market === null) return most
  const own = collaredPriceOf(intent) ?? stopOf(intent, market)
  if (own === null) return market
  if (intent.side === 'sell') return max(own, market)
  return max(mul(own, cmp(own, STOP_ROOM.from) < 0 ? STOP_ROOM.below : STOP_ROOM.above), market)
}

/**
 * The price at which a stop order without a limit price triggers; for a trailing stop, the trigger
 * price now. `null`: the order is no stop order.
 */
function stopOf(
  { side, stopPrice, trailPrice, trailPercent }: OrderIntent,
  market: Decimal,
): Decimal | null {
  if (stopPrice !== null) return stopPrice
  const trail =
    trailPrice ?? (trailPercent === null ? null : mul(mul(market, trailPercent), '0.01' as Decimal))
  return trail === null ? null : add(market, side === 'buy' ? trail : neg(trail))
}

/** The value of an order, in the account's currency; `null`: its price or its size is unknown. */
export function worthOf(intent: OrderIntent, facts: RiskFacts): Decimal | null {
  if (intent.notional !== null) return intent.notional
  const price = priceOf(intent, facts)
  return price === null || intent.quantity === null ? null : mul(intent.quantity, price)
}
