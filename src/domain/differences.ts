import type { Decimal } from './decimal.ts'
import type { OrderIntent } from './intent.ts'
import { intentOf, type Order } from './order.ts'
import type { BrokerOrder } from './updates.ts'

/**
 * What an order found under our id has otherwise than the intent asked for; empty: it is ours. What a broker moves by itself (the
 * stop of a trailing stop) or does not tell in this view (exits) is not compared.
 */
export function differencesOf(intent: OrderIntent, seen: BrokerOrder): string[] {
  const { orderClass, takeProfit, stopLoss } = intent
  const isOco = orderClass === 'oco'
  const rows: [name: string, asked: string | null, shown: string | null][] = [
    ['symbol', intent.symbol, seen.symbol],
    ['side', intent.side, seen.side],
    ['orderType', intent.orderType, seen.orderType],
    // An order sized in money may show the quantity that it came to.
    ['quantity', intent.quantity, intent.quantity === null ? null : seen.quantity],
    ['notional', intent.notional, intent.notional === null ? null : (seen.notional ?? intent.notional)],
    // The limit of an oco order is its take-profit.
    ['limitPrice', isOco ? (takeProfit?.limitPrice ?? null) : intent.limitPrice, seen.limitPrice],
    ['stopPrice', intent.stopPrice, intent.orderType === 'trailing_stop' ? intent.stopPrice : seen.stopPrice],
    ...exitRows(isOco ? null : takeProfit, stopLoss, seen.legs),
  ]
  return rows.filter(([, asked, shown]) => asked !== shown).map(([name]) => name)
}

function exitRows(
  takeProfit: OrderIntent['takeProfit'],
  stopLoss: OrderIntent['stopLoss'],
  legs: readonly BrokerOrder[],
): [string, Decimal | null, Decimal | null][] {
  if (legs.length === 0) return []
  const profit = legs.find(({ orderType }) => orderType === 'limit')
  const loss = legs.find(({ orderType }) => orderType !== 'limit')
  return [
    ['takeProfit.limitPrice', takeProfit?.limitPrice ?? null, profit?.limitPrice ?? null],
    ['stopLoss.stopPrice', stopLoss?.stopPrice ?? null, loss?.stopPrice ?? null],
    ['stopLoss.limitPrice', stopLoss?.limitPrice ?? null, loss?.limitPrice ?? null],
  ]
}

/** Nothing of the order has been seen yet, and what is shown under its id is not what was asked for. */
export const isForeign = (order: Order, seen: BrokerOrder): boolean =>
  order.status === 'submitting' && order.parametersHash !== null && differencesOf(intentOf(order), seen).length > 0
