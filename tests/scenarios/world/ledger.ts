import { add, type BrokerOrder, type Decimal, mul, readClientOrderId, ZERO } from '#domain'
import type { FakeBroker } from '../../support/fake-broker.ts'

/** What the broker's books say about one trade: the whole chain of orders that carried it out. */
export type TradeInBooks = Readonly<{
  orders: readonly BrokerOrder[]
  isOpen: boolean
  /** Executed, busts not taken off. */
  executed: Decimal
  cost: Decimal
}>

const CLOSED: ReadonlySet<string> = new Set(['filled', 'canceled', 'expired', 'rejected', 'replaced'])
export const isOpenAtBroker = (order: BrokerOrder): boolean => !CLOSED.has(order.status)

/** The trades of `userId` in the books, by trade id: found by client order id, and by what replaced what. */
export function tradesInBooks(broker: FakeBroker, userId: string): Map<string, TradeInBooks> {
  const tradeOf = new Map<string, string>()
  for (const order of broker.orders.values()) {
    const ours = readClientOrderId(order.clientOrderId, userId)
    const tradeId = ours?.tradeId ?? tradeOf.get(order.replaces ?? '')
    if (tradeId !== undefined) tradeOf.set(order.brokerOrderId, tradeId)
  }
  const trades = new Map<string, TradeInBooks>()
  for (const [brokerOrderId, tradeId] of tradeOf) {
    const order = broker.orders.get(brokerOrderId)
    if (order === undefined) continue
    const before = trades.get(tradeId) ?? { orders: [], isOpen: false, executed: ZERO, cost: ZERO }
    const executions = broker.executions.filter((one) => one.brokerOrderId === brokerOrderId)
    trades.set(tradeId, {
      orders: [...before.orders, order],
      isOpen: before.isOpen || isOpenAtBroker(order),
      executed: executions.reduce((sum, { execution }) => add(sum, execution.quantity), before.executed),
      cost: executions.reduce((sum, { execution: { price, quantity } }) => add(sum, mul(price, quantity)), before.cost),
    })
  }
  return trades
}

/** First orders of a chain: more than one is a duplicate order. */
export const firstOrders = ({ orders }: TradeInBooks): BrokerOrder[] =>
  orders.filter(({ replaces }) => replaces === null)
