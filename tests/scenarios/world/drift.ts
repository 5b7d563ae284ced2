import type { Change } from '#domain'
import type { FakeBroker } from '../../support/fake-broker.ts'

/**
 * S21: a holding that drifted is told of only where something moved it that no list tells: an order placed elsewhere, a bust, a corporate
 * action, a store that lost what it knew. Anything else was believed too soon.
 */
export function groundlessDrifts(changes: readonly Change[], brokers: readonly FakeBroker[], losses: number): string[] {
  if (losses > 0) return []
  return changes.flatMap((change) => {
    if (change.type !== 'anomaly' || change.what !== 'unexplained_drift') return []
    const symbol = change.orderId.replace('position ', '')
    const isGroundless = !brokers.some((broker) => hasMoved(broker, symbol))
    return isGroundless ? [`S21 ${symbol} is said to have drifted, and nothing moved it`] : []
  })
}

function hasMoved({ orders, ledger, activities }: FakeBroker, symbol: string): boolean {
  const isElsewhere = [...orders.values()].some(
    (order) => order.symbol === symbol && order.clientOrderId.startsWith('elsewhere-'),
  )
  const isBusted = ledger.busts.some(({ brokerOrderId }) => orders.get(brokerOrderId)?.symbol === symbol)
  return isElsewhere || isBusted || activities.some((one) => one.symbol === symbol || one.newSymbol === symbol)
}
