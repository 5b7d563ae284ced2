import type { BrokerOrder, Decimal, ReplaceTerms } from '#domain'
import type { OrderTicket } from '../../../workers/broker/port.ts'

/** The terms with which the broker places an order. */
export const termsOf = ({ intent }: OrderTicket) => {
  const {
    symbol,
    side,
    orderType,
    timeInForce,
    orderClass,
    quantity,
    notional,
    stopPrice,
    takeProfit,
  } = intent
  const limitPrice = orderClass === 'oco' ? (takeProfit?.limitPrice ?? null) : intent.limitPrice
  return {
    symbol,
    side,
    orderType,
    timeInForce,
    orderClass,
    quantity,
    notional,
    limitPrice,
    stopPrice,
  }
}

/** The requested terms that differ from the terms of the order. */
export function changesOf(
  old: BrokerOrder | null,
  { quantity, limitPrice, stopPrice, timeInForce }: ReplaceTerms,
) {
  const asked = { quantity, limitPrice, stopPrice, timeInForce }
  const changed = Object.entries(asked).filter(
    ([name, value]) => value !== null && value !== old?.[name as 'quantity'],
  )
  return Object.fromEntries(changed) as Partial<
    Pick<BrokerOrder, 'limitPrice' | 'stopPrice' | 'timeInForce'>
  > & {
    quantity?: Decimal
  }
}
