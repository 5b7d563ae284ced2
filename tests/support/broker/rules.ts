import {
  type BrokerOrder,
  cmp,
  dec,
  type Decimal,
  isNegative,
  type OrderIntent,
  sub,
  ZERO,
} from '#domain'
import type { SubmitOutcome } from '../../../workers/broker/port.ts'
import { isClosed, type Ledger } from './ledger.ts'

// Refusals of the model broker, as at Alpaca. It is never more lenient than the real one where
// money depends on it.

type Refusal = Extract<SubmitOutcome, { kind: 'refused' }>
const refusal = (code: Refusal['code'], brokerCode: string, message: string): Refusal => ({
  kind: 'refused',
  code,
  brokerCode,
  message,
})

const placesOf = (amount: Decimal): number => amount.split('.')[1]?.length ?? 0
/** Two decimals from one dollar on, four below. */
const isPriced = (price: Decimal): boolean => placesOf(price) <= (cmp(price, dec('1')) >= 0 ? 2 : 4)

/** How much of a long holding no open sell order has reserved. */
export function availableOf(ledger: Ledger, symbol: string): Decimal {
  const held = ledger.books.positions.get(symbol)?.quantity ?? ZERO
  if (isNegative(held)) return held
  const reserved = [...ledger.orders.values()].filter(
    (order) =>
      order.symbol === symbol &&
      order.side === 'sell' &&
      !isClosed(order) &&
      order.status !== 'held',
  )
  return reserved.reduce(
    (left, order) => sub(left, sub(order.quantity ?? ZERO, order.filledQuantity)),
    held,
  )
}

/** Why an order is refused, or `null`. @param closes it says that it closes a position */
export function refusalOf(ledger: Ledger, intent: OrderIntent, isClose = false): Refusal | null {
  const {
    quantity,
    notional,
    limitPrice,
    stopPrice,
    takeProfit,
    stopLoss,
    orderType,
    timeInForce,
    orderClass,
  } = intent
  const prices = [
    limitPrice,
    stopPrice,
    takeProfit?.limitPrice,
    stopLoss?.stopPrice,
    stopLoss?.limitPrice,
  ]
  const isPair = orderClass === 'oco'
  if (!intent.symbol.includes('/') && prices.some((price) => price && !isPriced(price)))
    return refusal(
      'INVALID_PRICE',
      '42210000',
      'sub-penny increment does not fulfill minimum pricing criteria',
    )
  if ((quantity === null) === (notional === null))
    return refusal('BROKER_REJECTED', '40010001', 'qty or notional is required')
  if (
    !isPair &&
    orderType !== 'market' &&
    orderType !== 'stop' &&
    orderType !== 'trailing_stop' &&
    limitPrice === null
  )
    return refusal('BROKER_REJECTED', '40010001', 'limit orders require a limit price')
  const isFraction = notional !== null || (quantity !== null && placesOf(quantity) > 0)
  if (
    isFraction &&
    !intent.symbol.includes('/') &&
    (timeInForce !== 'day' || orderClass !== 'simple')
  )
    return refusal(
      'FRACTIONAL_NOT_ALLOWED',
      '42210000',
      'fractional orders must be simple DAY orders',
    )
  const held = ledger.books.positions.get(intent.symbol)?.quantity ?? ZERO
  const isExit = intent.side === 'sell' ? cmp(held, ZERO) > 0 : cmp(held, ZERO) < 0
  if (isPair && !isExit)
    return refusal('BROKER_REJECTED', '42210000', 'oco orders must be exit orders')
  if (orderClass !== 'simple' && !isPair && isExit)
    return refusal('BROKER_REJECTED', '42210000', `${orderClass} orders must be entry orders`)
  if (isClose && (intent.side === 'sell' ? cmp(held, ZERO) <= 0 : cmp(held, ZERO) >= 0))
    return refusal('INSUFFICIENT_QUANTITY', '42210000', 'position intent mismatch')
  if (intent.side === 'sell' && intent.symbol.includes('/') && cmp(held, ZERO) <= 0)
    return refusal(
      'INSUFFICIENT_QUANTITY',
      '40310000',
      `insufficient balance for ${intent.symbol.split('/')[0] ?? ''}`,
    )
  if (
    intent.side === 'sell' &&
    cmp(held, ZERO) > 0 &&
    cmp(quantity ?? ZERO, availableOf(ledger, intent.symbol)) > 0
  )
    return refusal('INSUFFICIENT_QUANTITY', '40310000', 'insufficient qty available for order')
  return null
}

/** Types of orders that have such a price. */
const PRICED: Readonly<Record<'limit' | 'stop', ReadonlySet<BrokerOrder['orderType']>>> = {
  limit: new Set(['limit', 'stop_limit']),
  stop: new Set(['stop', 'stop_limit']),
}

/** Why a replacement is refused, or `null`. */
export function replaceRefusalOf(
  order: BrokerOrder | null,
  changed: Partial<Pick<BrokerOrder, 'quantity' | 'limitPrice' | 'stopPrice' | 'timeInForce'>>,
  isChanged: boolean,
): string | null {
  if (order === null) return 'order not found'
  if (order.status === 'replaced') return 'order already replaced'
  if (!['new', 'partially_filled', 'held'].includes(order.status))
    return `cannot replace order in ${order.status} status`
  if (order.notional !== null) return 'notional orders cannot be replaced'
  const { limitPrice = null, stopPrice = null } = changed
  if (limitPrice !== null && !PRICED.limit.has(order.orderType)) return 'order has no limit price'
  if (stopPrice !== null && !PRICED.stop.has(order.orderType)) return 'order has no stop price'
  if (!isChanged) return 'order parameters are not changed'
  const { quantity = null } = changed
  return quantity !== null && cmp(quantity, order.filledQuantity) <= 0
    ? 'qty must be > filled_qty'
    : null
}
