import type { Activity } from '../broker/activity.ts'
import { text } from '../broker/decimals.ts'
import type { OrderUpdate } from '../broker/order-book.ts'
import type { Json } from '../http/shapes.ts'

/** Moves of money or shares, in the form of the activity event stream. */
const DAY_MS = 86_400_000

/** The settlement date of a stock trade: the next weekday. */
function settleDate(at: string): string {
  const nextMs = Date.parse(at) + DAY_MS
  const weekday = new Date(nextMs).getUTCDay()
  const weekendDays = weekday === 6 ? 2 : weekday === 0 ? 1 : 0
  return new Date(nextMs + weekendDays * DAY_MS).toISOString().slice(0, 10)
}

/**
 * The event of a move of money or shares besides fills. The field names of each type are known from
 * the SDK's models only; the event carries the fields that the books have.
 */
export function moneyActivityJson(activity: Activity, eventId: string): Json {
  const { id, type, at, netAmount, symbol, qty, perShareAmount, splitRatio } = activity
  return {
    event_id: eventId,
    activity_type: type,
    at,
    executed_at: at,
    ref_id: id.slice(id.indexOf('::') + 2),
    status: 'executed',
    settle_date: at.slice(0, 10),
    currency: 'USD',
    ...(qty === undefined ? {} : { qty: text(qty) }),
    net_amount: text(netAmount),
    details: {
      system_date: at.slice(0, 10),
      ...(symbol === undefined ? {} : { symbol }),
      ...(perShareAmount === undefined ? {} : { rate: text(perShareAmount) }),
      ...(splitRatio === undefined ? {} : { new_rate: text(splitRatio), old_rate: '1' }),
    },
  }
}

/** An execution as an account activity; undefined for changes that move no money. */
export function tradeActivityJson({
  event,
  eventId,
  order,
  execution,
}: OrderUpdate): Json | undefined {
  if (execution === undefined) return undefined
  const { request } = order
  const amount = execution.qty.times(execution.price).times(execution.side === 'buy' ? -1 : 1)
  return {
    event_id: eventId,
    activity_type: 'TRD',
    at: execution.at,
    executed_at: execution.executedAt,
    ref_id: execution.id,
    ...(execution.corrects === undefined ? {} : { previous_id: execution.corrects }),
    status: 'executed',
    settle_date: settleDate(execution.at),
    currency: 'USD',
    qty: text(execution.qty),
    price: text(execution.price),
    net_amount: text(amount),
    details: {
      asset_id: request.asset.id,
      symbol: request.asset.symbol,
      side: execution.side,
      order_id: order.id,
      client_order_id: request.clientOrderId,
      order_status: execution.orderStatus,
      cum_qty: text(execution.cumQty),
      leaves_qty: text(execution.leavesQty),
      execution_type: event === 'trade_bust' || event === 'trade_correct' ? event : 'fill',
    },
  }
}
