import {
  add,
  type BrokerOrder,
  type Decimal,
  isPositive,
  mul,
  readClientOrderId,
  sub,
  ZERO,
} from '#domain'
import { isClosed } from '../../support/broker/ledger.ts'
import type { FakeBroker } from '../../support/fake-broker.ts'

/**
 * One trade in the books of the broker: the whole chain of orders that carried it out. The
 * stop of a pair executes for the trade, and is not among its orders.
 */
export type TradeInBooks = Readonly<{
  orders: readonly BrokerOrder[]
  isOpen: boolean
  executed: Decimal
  /** The quantity ever executed, including later busts. */
  everExecuted: Decimal
  cost: Decimal
}>

/**
 * The trades of `userId` in the books, by trade id: found by client order id, and by the links of
 * replacements.
 */
export function tradesInBooks(broker: FakeBroker, userId: string): Map<string, TradeInBooks> {
  const tradeOf = new Map<string, string>()
  const trades = new Map<string, TradeInBooks>()
  for (const order of broker.orders.values()) {
    const parent = broker.ledger.parentOf(order)
    // An exit is not the trade: only a pair of exits is one, and then both of them are.
    if (parent !== null && parent.orderClass !== 'oco') continue
    const ours = readClientOrderId(order.clientOrderId, userId)
    const tradeId = ours?.tradeId ?? tradeOf.get(order.replaces ?? parent?.brokerOrderId ?? '')
    if (tradeId === undefined) continue
    tradeOf.set(order.brokerOrderId, tradeId)
    const before = trades.get(tradeId)
    trades.set(tradeId, {
      ...(before ?? { executed: ZERO, everExecuted: ZERO, cost: ZERO }),
      orders: [...(before?.orders ?? []), ...(parent === null ? [order] : [])],
      isOpen: before?.isOpen === true || !isClosed(order),
    })
  }
  const book = (
    brokerOrderId: string,
    by: Partial<Record<'executed' | 'everExecuted' | 'cost', Decimal>>,
  ): void => {
    const tradeId = tradeOf.get(brokerOrderId)
    const trade = trades.get(tradeId ?? '')
    if (tradeId === undefined || trade === undefined) return
    const { executed = ZERO, everExecuted = ZERO, cost = ZERO } = by
    const sums = {
      executed: add(trade.executed, executed),
      everExecuted: add(trade.everExecuted, everExecuted),
    }
    trades.set(tradeId, { ...trade, ...sums, cost: add(trade.cost, cost) })
  }
  for (const { brokerOrderId, execution } of broker.executions) {
    const { quantity, price } = execution
    book(brokerOrderId, { executed: quantity, everExecuted: quantity, cost: mul(price, quantity) })
  }
  for (const { brokerOrderId, bust } of broker.ledger.busts) {
    const less = sub(bust.quantity, bust.corrected?.quantity ?? ZERO)
    if (isPositive(less)) book(brokerOrderId, { everExecuted: less })
  }
  return trades
}

/** First orders of a chain: more than one is a duplicate order. */
export const firstOrders = ({ orders }: TradeInBooks): BrokerOrder[] =>
  orders.filter(({ replaces }) => replaces === null)
