import type { Change } from '#domain'
import type { FakeBroker } from '../../support/fake-broker.ts'

/**
 * S21: a holding that drifted is told of only where something moved it that no list tells: an order
 * placed elsewhere, or taken on with other terms than were asked for, a bust, a corporate action, a
 * store that lost what it knew. Anything else was believed too soon.
 */
export function groundlessDrifts(
  changes: readonly Change[],
  brokers: readonly FakeBroker[],
  losses: number,
): string[] {
  if (losses > 0) return []
  return changes.flatMap((change) => {
    if (change.type !== 'anomaly' || change.what !== 'unexplained_drift') return []
    const symbol = change.orderId.replace('position ', '')
    const isGroundless = !brokers.some((broker) => hasMoved(broker, symbol))
    return isGroundless ? [`S21 ${symbol} is said to have drifted, and nothing moved it`] : []
  })
}

function hasMoved(broker: FakeBroker, symbol: string): boolean {
  const { orders, ledger, activities } = broker
  const isElsewhere = [...orders.values()].some(
    (order) => order.symbol === symbol && order.clientOrderId.startsWith('elsewhere-'),
  )
  const isBusted = ledger.busts.some(
    ({ brokerOrderId }) => orders.get(brokerOrderId)?.symbol === symbol,
  )
  return (
    isElsewhere ||
    isTakenOnOtherwise(broker, symbol) ||
    isBusted ||
    activities.some((one) => one.symbol === symbol || one.newSymbol === symbol)
  )
}

/**
 * An order under an id of ours that is not what was asked for: where no answer says that it is
 * ours, nothing of it is booked.
 */
const isTakenOnOtherwise = ({ orders, submissions }: FakeBroker, symbol: string): boolean =>
  submissions.some(({ clientOrderId, intent }) =>
    [...orders.values()].some(
      (order) =>
        order.clientOrderId === clientOrderId &&
        order.symbol === symbol &&
        order.limitPrice !== intent.limitPrice,
    ),
  )
