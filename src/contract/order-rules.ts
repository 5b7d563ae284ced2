import {
  type Asset,
  type AssetAnswer,
  cmp,
  type Decimal,
  div,
  isQuotedInUsd,
  mul,
  type OrderIntent,
  sub,
} from '#domain'
import { NOTIONAL_MAX } from './amounts.ts'

// Rules for an order that need only the request and the broker's asset list. Source: Alpaca's
// Trading API, POST /v2/orders, field rules.

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

/** Prices at or above 1.00 have at most two decimals, prices below 1.00 at most four. */
function tickProblem(field: string, price: Decimal | null, crypto: boolean): Problem | null {
  if (price === null || crypto) return null
  const places = cmp(price, '1' as Decimal) >= 0 ? 2 : 4
  return (price.split('.')[1]?.length ?? 0) > places
    ? [field, `at most ${places} decimals at this price`]
    : null
}

const rules: readonly Rule[] = [
  (o) =>
    o.quantity === null && o.notional === null
      ? ['quantity', 'give a quantity (or a notional)']
      : null,
  (o) =>
    o.quantity !== null && o.notional !== null
      ? ['notional', 'give quantity or notional, not both']
      : null,
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
    if (PRICED[o.orderType].stop && o.stopPrice === null)
      return ['stopPrice', `${words(o)} needs a stopPrice`]
    return !PRICED[o.orderType].stop && o.stopPrice !== null
      ? ['stopPrice', `${words(o)} takes no stopPrice`]
      : null
  },
  (o) => {
    const given = [o.trailPrice, o.trailPercent].filter((trail) => trail !== null).length
    if (o.orderType !== 'trailing_stop')
      return given > 0 ? ['trailPrice', `${words(o)} takes no trail`] : null
    return given === 1
      ? null
      : ['trailPrice', 'a trailing-stop order needs trailPrice or trailPercent, one of them']
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
    // The broker decides which other types may be sized in money: that rule has changed before.
    o.notional !== null && o.orderType === 'trailing_stop'
      ? ['notional', `${words(o)} is sized by quantity`]
      : null,
  (o) =>
    o.notional !== null && cmp(o.notional, '1' as Decimal) < 0
      ? ['notional', 'must be at least 1.00']
      : null,
  (o) => {
    const price = o.limitPrice ?? o.stopPrice ?? o.takeProfit?.limitPrice ?? null
    return o.quantity !== null && price !== null && cmp(mul(o.quantity, price), NOTIONAL_MAX) > 0
      ? ['quantity', `quantity times price must be at most ${NOTIONAL_MAX}`]
      : null
  },
  (o) => {
    const isFraction = o.notional !== null || (o.quantity !== null && !isWhole(o.quantity))
    if (isCrypto(o) || !isFraction) return null
    if (o.timeInForce !== 'day')
      return ['timeInForce', 'fractional and notional orders work as day']
    return o.orderClass === 'simple'
      ? null
      : ['orderClass', 'fractional and notional orders are simple']
  },
  (o) =>
    isCrypto(o) && !['gtc', 'ioc'].includes(o.timeInForce)
      ? ['timeInForce', 'crypto orders work as gtc or ioc']
      : null,
  // Prices and cash are in USD here, so the cost of a pair in another currency could not be booked.
  (o) => (!isQuotedInUsd(o.symbol) ? ['symbol', 'pairs are traded in USD, like ETH/USD'] : null),
  (o) =>
    isCrypto(o) && o.orderClass !== 'simple' ? ['orderClass', 'crypto orders are simple'] : null,
  (o) =>
    tickProblem('limitPrice', o.limitPrice, isCrypto(o)) ??
    tickProblem('stopPrice', o.stopPrice, isCrypto(o)),
  (o) => tickProblem('takeProfit.limitPrice', o.takeProfit?.limitPrice ?? null, isCrypto(o)),
  (o) => tickProblem('stopLoss.stopPrice', o.stopLoss?.stopPrice ?? null, isCrypto(o)),
  (o) => tickProblem('stopLoss.limitPrice', o.stopLoss?.limitPrice ?? null, isCrypto(o)),
  (o) => classProblem(o),
]

function classProblem(o: OrderIntent): Problem | null {
  const { orderClass, takeProfit, stopLoss } = o
  if (orderClass === 'simple') {
    if (takeProfit !== null)
      return ['takeProfit', 'a simple order has no takeProfit; set orderClass']
    return stopLoss === null ? null : ['stopLoss', 'a simple order has no stopLoss; set orderClass']
  }
  if (!['day', 'gtc'].includes(o.timeInForce))
    return ['timeInForce', `a ${orderClass} order works as day or gtc`]
  if (o.extendedHours) return ['extendedHours', `a ${orderClass} order works in regular hours only`]
  if (orderClass === 'oto') {
    return (takeProfit === null) !== (stopLoss === null)
      ? null
      : ['takeProfit', 'an oto order needs takeProfit or stopLoss, one of them']
  }
  const article = orderClass === 'oco' ? 'an' : 'a'
  if (takeProfit === null)
    return ['takeProfit', `${article} ${orderClass} order needs a takeProfit`]
  if (stopLoss === null) return ['stopLoss', `${article} ${orderClass} order needs a stopLoss`]
  if (orderClass === 'oco' && o.orderType !== 'limit')
    return ['orderType', 'an oco order is of type limit']
  // An oco order is the exit itself, so its own side is the exit's side. The side of a bracket is
  // the entry's side.
  const isLong = orderClass === 'oco' ? o.side === 'sell' : o.side === 'buy'
  const order = cmp(takeProfit.limitPrice, stopLoss.stopPrice)
  if (!(isLong ? order > 0 : order < 0)) {
    return [
      'takeProfit',
      `takeProfit.limitPrice must be ${isLong ? 'above' : 'below'} stopLoss.stopPrice`,
    ]
  }
  if (orderClass === 'oco' || o.limitPrice === null) return null
  // The stop is measured from the entry's limit price.
  const room = isLong
    ? sub(o.limitPrice, stopLoss.stopPrice)
    : sub(stopLoss.stopPrice, o.limitPrice)
  if (cmp(room, '0.01' as Decimal) >= 0) return null
  return [
    'stopLoss.stopPrice',
    `must be at least 0.01 ${isLong ? 'below' : 'above'} the limitPrice`,
  ]
}

/** Every problem of an order, each with the field to fix. */
export const orderProblems = (order: OrderIntent): Problem[] =>
  rules.map((rule) => rule(order)).filter((problem) => problem !== null)

/** The problem of a close's limit price or of its extended hours; `null`: no problem. */
export function closeProblem(
  symbol: string,
  limitPrice: Decimal | null,
  extendedHours: boolean,
): Problem | null {
  const isPair = symbol.includes('/')
  if (extendedHours && isPair) return ['extendedHours', 'pairs trade at any time']
  if (extendedHours && limitPrice === null)
    return ['limitPrice', 'a close in extended hours needs a limitPrice']
  return tickProblem('limitPrice', limitPrice, isPair)
}

/**
 * Problems that refuse a new order before it is queued. Workers do not repeat these checks and
 * leave them to the broker: the broker has changed some of the rules before, and other facts change
 * with time. Each problem names the field to fix.
 * @param answer the entry of the symbol in the broker's asset list
 * @param holdsSome the account may hold some of the asset to sell: a position, or a buy in progress
 */
export const doorProblems = (
  order: OrderIntent,
  answer: AssetAnswer,
  { nowMs, holdsSome }: Readonly<{ nowMs: number; holdsSome: boolean }>,
): Problem[] => [
  ...doorRules.map((rule) => rule(order)).filter((problem) => problem !== null),
  ...(order.notAfter !== null && Date.parse(order.notAfter) <= nowMs
    ? [['notAfter', 'has passed already'] as const]
    : []),
  ...assetProblems(order, answer),
  ...shortProblems(order, answer, holdsSome),
]

const doorRules: readonly Rule[] = [
  (o) =>
    isCrypto(o) && !['market', 'limit', 'stop_limit'].includes(o.orderType)
      ? ['orderType', 'crypto orders are market, limit or stop_limit']
      : null,
  (o) =>
    o.orderClass === 'bracket' && !['market', 'limit'].includes(o.orderType)
      ? ['orderType', 'the entry of a bracket order is a market or limit order']
      : null,
]

/**
 * Problems that follow from the asset list. Empty if there is no list, or if the asset's class is
 * unknown here.
 */
function assetProblems(order: OrderIntent, answer: AssetAnswer): Problem[] {
  if (answer.kind === 'unknown') return []
  if (answer.kind === 'not_listed')
    return [['symbol', `${order.symbol} is no asset of the broker; check its spelling`]]
  const { asset } = answer
  if (asset.assetClass === 'other') return []
  return assetRules.map((rule) => rule(order, asset)).filter((problem) => problem !== null)
}

const assetRules: readonly ((order: OrderIntent, asset: Asset) => Problem | null)[] = [
  ({ symbol }, { isTradable }) =>
    isTradable ? null : ['symbol', `${symbol} cannot be traded at the broker now`],
  (o, { isFractionable }) => {
    if (isFractionable) return null
    if (o.notional !== null)
      return ['notional', `${o.symbol} is traded in whole shares; give a quantity`]
    return o.quantity === null || isWhole(o.quantity)
      ? null
      : ['quantity', `${o.symbol} is traded in whole shares`]
  },
  ({ quantity }, { quantityMin: min }) =>
    quantity !== null && min !== null && cmp(quantity, min) < 0
      ? ['quantity', `must be at least ${min}`]
      : null,
  ({ quantity }, { quantityIncrement }) =>
    incrementProblem('quantity', quantity, quantityIncrement),
  ({ limitPrice }, { priceIncrement }) =>
    incrementProblem('limitPrice', limitPrice, priceIncrement),
  ({ stopPrice }, { priceIncrement }) => incrementProblem('stopPrice', stopPrice, priceIncrement),
]

function incrementProblem(
  field: string,
  value: Decimal | null,
  increment: Decimal | null,
): Problem | null {
  if (value === null || increment === null || cmp(increment, '0' as Decimal) <= 0) return null
  return mul(div(value, increment, 0), increment) === value
    ? null
    : [field, `must be a multiple of ${increment}`]
}

const shortProblems = (
  { side, symbol }: OrderIntent,
  answer: AssetAnswer,
  holdsSome: boolean,
): Problem[] =>
  side === 'sell' && answer.kind === 'listed' && !answer.asset.isShortable && !holdsSome
    ? [['side', `${symbol} cannot be sold short, and none of it is held`]]
    : []
