import type { Clock } from '#runtime'
import type { Broker } from '../broker/broker.ts'
import type { Faults } from './faults.ts'

/** Orders that go wrong after they were answered. Each follows the change it is armed on in the next turn, as news of its own. */
export function startOrderFaults(broker: Broker, clock: Clock, faults: Faults): void {
  const { matcher } = broker
  broker.onUpdate(({ event, account, order, execution }) => {
    if ((event === 'new' || event === 'accepted') && faults.order('reject_order', account)) {
      clock.after(0, () => matcher.reject(account, order))
    }
    if (event === 'canceled' && faults.order('fill_after_cancel', account)) {
      clock.after(0, () => matcher.fillNow(account, order))
    }
    if (
      (event === 'fill' || event === 'partial_fill') &&
      execution !== undefined &&
      faults.order('bust_trade', account)
    ) {
      clock.after(0, () => matcher.bust(account, order, execution))
    }
  })
}
