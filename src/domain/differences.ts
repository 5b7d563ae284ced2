import { canonicalSymbol } from './asset.ts'
import { abs, cmp, type Decimal, isPositive, mul, sub, tryDec } from './decimal.ts'
import type { OrderIntent } from './intent.ts'
import { type Difference, intentOf, type Order } from './order.ts'
import { typeOf } from './terms.ts'
import type { BrokerOrder } from './updates.ts'

type Comparison = readonly [field: string, asked: string | null, shown: string | null]

/**
 * The differences between an intent and the order found under its client order id; empty: the order
 * has the requested terms. Figures that the broker moves by itself (the stop of a trailing stop)
 * and figures that this snapshot lacks (exits) are not compared.
 */
export function differencesOf(intent: OrderIntent, seen: BrokerOrder): Difference[] {
  const { orderClass, takeProfit, stopLoss } = intent
  const isOco = orderClass === 'oco'
  const rows: Comparison[] = [
    ['symbol', intent.symbol, seen.symbol],
    ['side', intent.side, seen.side],
    ['orderType', intent.orderType, seen.orderType],
    // An order sized in money may show the quantity that the broker derived.
    ['quantity', intent.quantity, intent.quantity === null ? null : seen.quantity],
    [
      'notional',
      intent.notional,
      intent.notional === null ? null : (seen.notional ?? intent.notional),
    ],
    // The limit of an oco order is its take-profit.
    ['limitPrice', isOco ? (takeProfit?.limitPrice ?? null) : intent.limitPrice, seen.limitPrice],
    [
      'stopPrice',
      intent.stopPrice,
      intent.orderType === 'trailing_stop' ? intent.stopPrice : seen.stopPrice,
    ],
    ...exitRows(isOco ? null : takeProfit, stopLoss, seen.legs),
  ]
  return rows
    .filter(([field, asked, shown]) => asked !== shown && isRead(seen, field))
    .map(([field, asked, shown]) => {
      const kind = isConformed(intent, seen, [field, asked, shown]) ? 'conformed' : 'unexplained'
      return { field, asked, shown, kind }
    })
}

function exitRows(
  takeProfit: OrderIntent['takeProfit'],
  stopLoss: OrderIntent['stopLoss'],
  legs: readonly BrokerOrder[],
): Comparison[] {
  if (legs.length === 0) return []
  const { profit, loss } = exitsOf(legs)
  return [
    ['takeProfit.limitPrice', takeProfit?.limitPrice ?? null, profit?.limitPrice ?? null],
    ['stopLoss.stopPrice', stopLoss?.stopPrice ?? null, loss?.stopPrice ?? null],
    ['stopLoss.limitPrice', stopLoss?.limitPrice ?? null, loss?.limitPrice ?? null],
  ]
}

const exitsOf = (
  legs: readonly BrokerOrder[],
): Readonly<{ profit?: BrokerOrder; loss?: BrokerOrder }> => {
  const profit = legs.find((leg) => typeOf(leg) === 'limit')
  const loss = legs.find((leg) => typeOf(leg) !== 'limit')
  return { ...(profit === undefined ? {} : { profit }), ...(loss === undefined ? {} : { loss }) }
}

/**
 * Reports if a field was read. A field that could not be read, or that has an unknown value, proves
 * no difference.
 */
function isRead(seen: BrokerOrder, name: string): boolean {
  const [part, ofExit] = name.split('.')
  const { profit, loss } = exitsOf(seen.legs)
  const order = ofExit === undefined ? seen : part === 'takeProfit' ? profit : loss
  const field = ofExit ?? part
  return order === undefined || order.unread?.some((one) => one === field) !== true
}

function isConformed(
  intent: OrderIntent,
  seen: BrokerOrder,
  [field, asked, shown]: Comparison,
): boolean {
  switch (field) {
    case 'symbol':
      return canonicalSymbol(asked ?? '') === canonicalSymbol(shown ?? '')
    case 'side':
      return false
    case 'orderType':
      return asked === 'stop' && shown === 'stop_limit'
    case 'limitPrice':
      // A market order may show the limit price of its collar. A stop order may show the limit
      // price of the stop-limit order that it became.
      if (asked === null) return intent.orderType === 'market' || isStopLimitNow(intent, seen)
      return isRounded(intent, asked, shown)
    case 'stopLoss.limitPrice':
      return asked === null || isRounded(intent, asked, shown)
    default:
      return isRounded(intent, asked, shown)
  }
}

const isStopLimitNow = (intent: OrderIntent, seen: BrokerOrder): boolean =>
  intent.orderType === 'stop' && seen.orderType === 'stop_limit'

/**
 * The relative change by which the broker may move a figure of a coin to its increment. Increments
 * of coins need not be powers of ten.
 */
const COINS_PART = '0.001' as Decimal

/**
 * Reports if the shown figure is the requested figure rounded to fewer decimals, or, for coins,
 * moved to an increment.
 */
function isRounded({ symbol }: OrderIntent, asked: string | null, shown: string | null): boolean {
  const from = tryDec(asked ?? '')
  const to = tryDec(shown ?? '')
  if (from === null || to === null || !isPositive(to)) return false
  const moved = abs(sub(from, to))
  if (canonicalSymbol(symbol).includes('/') && cmp(moved, mul(from, COINS_PART)) <= 0) return true
  const places = decimalsOf(to)
  return places < decimalsOf(from) && cmp(moved, unitOf(places)) < 0
}

const decimalsOf = (value: Decimal): number => value.split('.')[1]?.length ?? 0
const unitOf = (places: number): Decimal =>
  (places === 0 ? '1' : `0.${'1'.padStart(places, '0')}`) as Decimal

/**
 * The differences between an intent and the first snapshot of its order. Empty after the first
 * snapshot, and for orders that were not requested here.
 */
export const newDifferences = (order: Order, seen: BrokerOrder): Difference[] =>
  order.status === 'submitting' && order.parametersHash !== null
    ? differencesOf(intentOf(order), seen)
    : []

/** Reports if the first snapshot under the order's client order id shows another order. */
export const isForeign = (order: Order, seen: BrokerOrder): boolean =>
  newDifferences(order, seen).some(({ kind }) => kind === 'unexplained')

/** The order's terms at the broker where they differ from the request. */
export function conformedTerms(
  order: Order,
  seen: BrokerOrder,
  differences: readonly Difference[],
): Partial<Order> {
  const isOther = new Set(differences.map(({ field }) => field))
  const { symbol, side, orderType, quantity, notional, limitPrice, stopPrice, legs } = seen
  const { profit, loss } = exitsOf(legs)
  return {
    ...(isOther.has('symbol') ? { symbol } : {}),
    ...(isOther.has('side') && side !== null ? { side } : {}),
    ...(isOther.has('orderType') && orderType !== null ? { orderType } : {}),
    ...(isOther.has('quantity') ? { quantity } : {}),
    ...(isOther.has('notional') ? { notional } : {}),
    // The broker sets the limit of a collar; it is no term of the order.
    ...(isOther.has('limitPrice') && orderType !== 'market' && order.orderClass !== 'oco'
      ? { limitPrice }
      : {}),
    ...(isOther.has('stopPrice') ? { stopPrice } : {}),
    ...(isOther.has('takeProfit.limitPrice') && profit?.limitPrice != null
      ? { takeProfit: { limitPrice: profit.limitPrice } }
      : {}),
    ...((isOther.has('stopLoss.stopPrice') || isOther.has('stopLoss.limitPrice')) &&
    loss?.stopPrice != null
      ? { stopLoss: { stopPrice: loss.stopPrice, limitPrice: loss.limitPrice } }
      : {}),
  }
}
