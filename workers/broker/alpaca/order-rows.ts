import { type BrokerOrder, type BrokerStatus, type Bust, ORDER_CLASSES } from '#domain'
import type { StreamUpdate } from '../port.ts'
import {
  amount,
  amountIfAny,
  fail,
  moment,
  name,
  oneOf,
  optional,
  type Row,
  rowOf,
  text,
  textIfAny,
  timeOf,
} from './fields.ts'

// Orders as they come in answers, lists and stream messages, read defensively. By hand, because this is done three times for every
// order that is placed and executed, and for every row of every poll: a schema takes longer than all that is decided from what it read.

const STATUSES: ReadonlySet<string> = new Set<BrokerStatus>([
  ...(['accepted', 'pending_new', 'accepted_for_bidding', 'new', 'held', 'partially_filled', 'done_for_day'] as const),
  ...(['stopped', 'suspended', 'calculated', 'pending_cancel', 'pending_replace'] as const),
  ...(['filled', 'canceled', 'expired', 'rejected', 'replaced'] as const),
])
const SIDES = ['buy', 'sell'] as const
const ORDER_TYPES = ['market', 'limit', 'stop', 'stop_limit', 'trailing_stop'] as const
const TIMES_IN_FORCE = ['day', 'gtc', 'opg', 'cls', 'ioc', 'fok'] as const

/** @throws {ZodError} when it is not an order */
export function readOrder(wire: unknown): BrokerOrder {
  const row = rowOf(wire, 'order')
  const order = readAlone(row)
  const legs = optional(row, 'legs')
  if (legs === null) return order
  if (!Array.isArray(legs)) return fail('legs')
  return legs.length === 0 ? order : { ...order, legs: legs.map(readOrder) }
}

/** The order without its exits. */
function readAlone(row: Row): BrokerOrder {
  const status = text(row, 'status')
  const orderClass = optional(row, 'order_class')
  return {
    brokerOrderId: name(row, 'id'),
    clientOrderId: text(row, 'client_order_id'),
    symbol: name(row, 'symbol'),
    side: oneOf(SIDES, row, 'side'),
    orderType: oneOf(ORDER_TYPES, row, 'type'),
    timeInForce: oneOf(TIMES_IN_FORCE, row, 'time_in_force'),
    // An empty class is a simple order; a class that is newer than this list is one that we do not track as more than that.
    orderClass: ORDER_CLASSES.find((known) => known === orderClass) ?? 'simple',
    status: STATUSES.has(status) ? (status as BrokerStatus) : 'unrecognized',
    quantity: amountIfAny(row, 'qty'),
    notional: amountIfAny(row, 'notional'),
    filledQuantity: amount(row, 'filled_qty'),
    filledAveragePrice: amountIfAny(row, 'filled_avg_price'),
    limitPrice: amountIfAny(row, 'limit_price'),
    stopPrice: amountIfAny(row, 'stop_price'),
    submittedAt: moment(row, 'submitted_at'),
    updatedAt: moment(row, 'updated_at'),
    replaces: textIfAny(row, 'replaces'),
    replacedBy: textIfAny(row, 'replaced_by'),
    legs: [],
  }
}

const EXECUTION_EVENTS: ReadonlySet<string> = new Set(['fill', 'partial_fill'])
const AMENDMENTS: ReadonlySet<string> = new Set(['trade_bust', 'trade_correct'])

/** What a correction says: which execution it restates, and as what. What it was before is not told. */
export type Correction = Readonly<{ id: string; executionId: string; to: NonNullable<Bust['corrected']> }>

/**
 * One `trade_updates` message. Exits are left out: the SDK cuts them short, and they have messages of their own. The cumulative
 * quantity of a fill is that of the order it comes with. A bust names the execution's own price and quantity, a correction the new
 * ones. `isIncomplete`: something was amended, and the message does not say what.
 * @throws {ZodError}
 */
export function readTradeUpdate(
  wire: unknown,
): StreamUpdate & Readonly<{ correction: Correction | null; isIncomplete: boolean }> {
  const update = rowOf(wire, 'update')
  const event = text(update, 'event')
  const [price, quantity] = [amountIfAny(update, 'price'), amountIfAny(update, 'qty')]
  const executionId = textIfAny(update, 'execution_id')
  const order = readAlone(rowOf(update['order'], 'order'))
  const at = timeOf(textIfAny(update, 'at')) ?? order.updatedAt
  const none = { order, at, execution: null, bust: null, correction: null, isIncomplete: AMENDMENTS.has(event) }
  if (price === null || quantity === null) return none
  if (EXECUTION_EVENTS.has(event))
    return { ...none, execution: { executionId, quantity, price, cumulativeQuantity: order.filledQuantity, at } }
  const id = textIfAny(update, 'previous_execution_id') ?? executionId
  if (id === null || !AMENDMENTS.has(event)) return none
  const isBust = event === 'trade_bust'
  return {
    ...none,
    bust: isBust ? { id, quantity, price, corrected: null, at } : null,
    correction: isBust ? null : { id, executionId: executionId ?? id, to: { quantity, price } },
    isIncomplete: false,
  }
}
