import { cmp, type Decimal, mul, type OrderIntent, sub } from '#domain'
import { NOTIONAL_MAX } from './amounts.ts'

// What can be said of an order from the request alone. Source: Alpaca's Trading API, POST /v2/orders, field rules.

type Problem = readonly [field: string, message: string]
type Rule = (order: OrderIntent) => Problem | null

const PRICED: Readonly<Record<OrderIntent['orderType'], { limit: boolean; stop: boolean }>> = {
  market: { limit: false, stop: false },
  limit: { limit: true, stop: false },
  stop: { limit: false, stop: true },
  stop_limit: { limit: true, stop: true },
  trailing_stop: { limit: false, stop: false },
}

const words = (order: OrderIntent): string => `a ${order.orderType.replace('_', '-')} order`
const isWhole = (value: Decimal): boolean => !value.includes('.')
const isCrypto = ({ symbol }: OrderIntent): boolean => symbol.includes('/')

/** At or above 1.00 prices have two decimals, below it four. */
function tickProblem(field: string, price: Decimal | null, crypto: boolean): Problem | null {
  if (price === null || crypto) return null
  const places = cmp(price, '1' as Decimal) >= 0 ? 2 : 4
  return (price.split('.')[1]?.length ?? 0) > places ? [field, `at most ${places} decimals at this price`] : null
}

const rules: readonly Rule[] = [
  (o) => (o.quantity === null && o.notional === null ? ['quantity', 'give a quantity (or a notional)'] : null),
  (o) => (o.quantity !== null && o.notional !== null ? ['notional', 'give quantity or notional, not both'] : null),
  (o) => {
    const wants = PRICED[o.orderType].limit && o.orderClass !== 'oco'
    if (wants && o.limitPrice === null) return ['limitPrice', `${words(o)} needs a limitPrice`]
    if (o.orderClass === 'oco' && o.limitPrice !== null) {
      return ['limitPrice', 'an oco order takes no limitPrice; its takeProfit has the price']
    }
    return !PRICED[o.orderType].limit && o.limitPrice !== null
      ? ['limitPrice', `${words(o)} takes no limitPrice`]
      : null
  },
  (o) => {
    if (PRICED[o.orderType].stop && o.stopPrice === null) return ['stopPrice', `${words(o)} needs a stopPrice`]
    return !PRICED[o.orderType].stop && o.stopPrice !== null ? ['stopPrice', `${words(o)} takes no stopPrice`] : null
  },
  (o) => {
    const given = [o.trailPrice, o.trailPercent].filter((trail) => trail !== null).length
    if (o.orderType !== 'trailing_stop') return given > 0 ? ['trailPrice', `${words(o)} takes no trail`] : null
    return given === 1 ? null : ['trailPrice', 'a trailing-stop order needs trailPrice or trailPercent, one of them']
  },
  (o) =>
    o.orderType === 'trailing_stop' && !['day', 'gtc'].includes(o.timeInForce)
      ? ['timeInForce', 'a trailing-stop order works as day or gtc']
      : null,
  (o) =>
    o.extendedHours && (o.orderType !== 'limit' || !['day', 'gtc'].includes(o.timeInForce))
      ? ['extendedHours', 'only for limit orders with day or gtc']
      : null,
  (o) =>
    o.notional !== null && (isCrypto(o) ? !['market', 'limit'].includes(o.orderType) : o.orderType !== 'market')
      ? ['notional', `${words(o)} is sized by quantity`]
      : null,
  (o) => (o.notional !== null && cmp(o.notional, '1' as Decimal) < 0 ? ['notional', 'must be at least 1.00'] : null),
  (o) => {
    const price = o.limitPrice ?? o.stopPrice ?? o.takeProfit?.limitPrice ?? null
    return o.quantity !== null && price !== null && cmp(mul(o.quantity, price), NOTIONAL_MAX) > 0
      ? ['quantity', `quantity times price must be at most ${NOTIONAL_MAX}`]
      : null
  },
  (o) => {
    const isFraction = o.notional !== null || (o.quantity !== null && !isWhole(o.quantity))
    if (isCrypto(o) || !isFraction) return null
    if (o.timeInForce !== 'day') return ['timeInForce', 'fractional and notional orders work as day']
    return o.orderClass === 'simple' ? null : ['orderClass', 'fractional and notional orders are simple']
  },
  (o) =>
    isCrypto(o) && !['gtc', 'ioc'].includes(o.timeInForce) ? ['timeInForce', 'crypto orders work as gtc or ioc'] : null,
  (o) => (isCrypto(o) && o.orderClass !== 'simple' ? ['orderClass', 'crypto orders are simple'] : null),
  (o) => tickProblem('limitPrice', o.limitPrice, isCrypto(o)) ?? tickProblem('stopPrice', o.stopPrice, isCrypto(o)),
  (o) => tickProblem('takeProfit.limitPrice', o.takeProfit?.limitPrice ?? null, isCrypto(o)),
  (o) => tickProblem('stopLoss.stopPrice', o.stopLoss?.stopPrice ?? null, isCrypto(o)),
  (o) => tickProblem('stopLoss.limitPrice', o.stopLoss?.limitPrice ?? null, isCrypto(o)),
  (o) => classProblem(o),
]

function classProblem(o: OrderIntent): Problem | null {
  const { orderClass, takeProfit, stopLoss } = o
  if (orderClass === 'simple') {
    if (takeProfit !== null) return ['takeProfit', 'a simple order has no takeProfit; set orderClass']
    return stopLoss === null ? null : ['stopLoss', 'a simple order has no stopLoss; set orderClass']
  }
  if (!['day', 'gtc'].includes(o.timeInForce)) return ['timeInForce', `a ${orderClass} order works as day or gtc`]
  if (o.extendedHours) return ['extendedHours', `a ${orderClass} order works in regular hours only`]
  if (orderClass === 'oto') {
    return (takeProfit === null) !== (stopLoss === null)
      ? null
      : ['takeProfit', 'an oto order needs takeProfit or stopLoss, one of them']
  }
  const article = orderClass === 'oco' ? 'an' : 'a'
  if (takeProfit === null) return ['takeProfit', `${article} ${orderClass} order needs a takeProfit`]
  if (stopLoss === null) return ['stopLoss', `${article} ${orderClass} order needs a stopLoss`]
  if (orderClass === 'oco' && o.orderType !== 'limit') return ['orderType', 'an oco order is of type limit']
  // An oco order is the exit itself, so its own side is the exit's side; a bracket's side is the entry's.
  const isLong = orderClass === 'oco' ? o.side === 'sell' : o.side === 'buy'
  const order = cmp(takeProfit.limitPrice, stopLoss.stopPrice)
  if (!(isLong ? order > 0 : order < 0)) {
    return ['takeProfit', `takeProfit.limitPrice must be ${isLong ? 'above' : 'below'} stopLoss.stopPrice`]
  }
  if (orderClass === 'oco' || o.limitPrice === null) return null
  // The entry's limit is the base price that the stop is measured from.
  const room = isLong ? sub(o.limitPrice, stopLoss.stopPrice) : sub(stopLoss.stopPrice, o.limitPrice)
  if (cmp(room, '0.01' as Decimal) >= 0) return null
  return ['stopLoss.stopPrice', `must be at least 0.01 ${isLong ? 'below' : 'above'} the limitPrice`]
}

/** Everything that is wrong with an order, each with the field to mend. */
export const orderProblems = (order: OrderIntent): Problem[] =>
  rules.map((rule) => rule(order)).filter((problem) => problem !== null)
