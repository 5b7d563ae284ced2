import { text } from '../broker/decimals.ts'
import type { OrderUpdate } from '../broker/order-book.ts'
import { type Json, orderJson } from '../http/shapes.ts'

/** Changes of orders, in the form of the trade stream and of the order event stream. */

/** Every documented name, including names that this broker only sends by command. */
export const tradeEvents = [
  'accepted',
  'new',
  'partial_fill',
  'fill',
  'canceled',
  'expired',
  'rejected',
  'replaced',
  'done_for_day',
  'pending_new',
  'pending_cancel',
  'pending_replace',
  'pending_review',
  'held',
  'stopped',
  'calculated',
  'suspended',
  'restated',
  'order_replace_rejected',
  'order_cancel_rejected',
  'trade_bust',
  'trade_correct',
] as const
export type TradeEvent = (typeof tradeEvents)[number]

/** A change under any of the documented names. */
export type TradeUpdate = Omit<OrderUpdate, 'event'> & Readonly<{ event: TradeEvent }>

/** One change of an order. Only executions have a price, a quantity and the position after them. */
export function tradeUpdateJson({
  event,
  eventId,
  executionId,
  at,
  order,
  execution,
}: TradeUpdate): Json {
  return {
    event,
    event_id: eventId,
    at,
    timestamp: execution?.at ?? at,
    execution_id: executionId,
    ...(execution === undefined
      ? {}
      : {
          price: text(execution.price),
          qty: text(execution.qty),
          position_qty: text(execution.positionQty),
        }),
    ...(execution?.corrects === undefined || execution.corrects === executionId
      ? {}
      : { previous_execution_id: execution.corrects }),
    order: orderJson(order),
  }
}
