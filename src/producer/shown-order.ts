import { type CommandResult, commandsOf, type Order, ZERO } from '#domain'
import type { ParkedOrder } from '#store'

type Commanded = Readonly<{ commands: readonly CommandResult[] }>

/**
 * An order with the result of each of its commands: its cancels, its replacements, and, if the
 * order is a close, the close itself.
 */
export type OrderView = Order & Commanded

/**
 * An order that cannot be sent for now, with the reason and the time when it was first parked. The
 * order is not at the broker.
 */
export type WaitingOrder = Readonly<{ status: 'waiting'; reason: string; since: string }> &
  Commanded &
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

/**
 * The view of an order, with the reason why it waits. `null`: the trade has neither a record nor a
 * parked order.
 */
export function shownOrder(
  order: Order | null,
  parked: ParkedOrder | null,
): OrderView | WaitingOrder | null {
  const isUnsent = order === null || (order.status === 'submitting' && order.attemptedAt === null)
  const commands = order === null ? [] : commandsOf(order)
  if (parked === null || !isUnsent) return order === null ? null : { ...order, commands }
  const { reason, since, tradeId, userId, connectionId, symbol, side, orderType } = parked
  const { quantity, notional, limitPrice, stopPrice } = parked
  return {
    id: tradeId,
    userId,
    connectionId,
    symbol,
    side,
    orderType,
    quantity,
    notional,
    limitPrice,
    stopPrice,
    cumulativeQuantity: ZERO,
    totalCost: ZERO,
    rejection: null,
    submittedAt: null,
    placements: [],
    replaces: [],
    replaceResults: [],
    ...order,
    commands,
    status: 'waiting',
    reason,
    since,
  }
}
