import { type Order, ZERO } from '#domain'
import type { ParkedOrder } from '#store'

/** An order that cannot be sent for now: why, and since when. Nothing of it is at the broker. */
export type WaitingOrder = Readonly<{ status: 'waiting'; reason: string; since: string }> &
  Pick<
    Order,
    | 'id'
    | 'userId'
    | 'connectionId'
    | 'symbol'
    | 'side'
    | 'orderType'
    | 'quantity'
    | 'notional'
    | 'limitPrice'
    | 'stopPrice'
    | 'cumulativeQuantity'
    | 'totalCost'
    | 'rejection'
    | 'submittedAt'
    | 'placements'
    | 'replaces'
    | 'replaceResults'
  >

/** An order as it stands, with what is known of why it waits; `null`: nothing is known of it. */
export function shownOrder(order: Order | null, parked: ParkedOrder | null): Order | WaitingOrder | null {
  const isUnsent = order === null || (order.status === 'submitting' && order.attemptedAt === null)
  if (parked === null || !isUnsent) return order
  const { reason, since, tradeId, userId, connectionId, symbol, side, orderType } = parked
  const { quantity, notional, limitPrice, stopPrice } = parked
  return {
    ...{ id: tradeId, userId, connectionId, symbol, side, orderType, quantity, notional, limitPrice, stopPrice },
    ...{ cumulativeQuantity: ZERO, totalCost: ZERO, rejection: null, submittedAt: null },
    ...{ placements: [], replaces: [], replaceResults: [] },
    ...order,
    ...{ status: 'waiting', reason, since },
  }
}
