import {
  type BrokerOrder,
  type BrokerStatus,
  type Bust,
  isZero,
  ORDER_CLASSES,
  ORDER_TYPES,
  type OrderType,
  type Side,
  type TimeInForce,
  TIMES_IN_FORCE,
  unitPrice,
} from '#domain'
import type { StreamUpdate } from '../port.ts'
import {
  amount,
  amountIfAny,
  decimalOf,
  fail,
  name,
  optional,
  type Row,
  rowOf,
  text,
  textIfAny,
  timeOf,
} from './fields.ts'

// Orders in answers, lists and stream messages, read defensively. Read without a schema, because
// each order that is placed and executed is read three times, and each poll reads every row: a
// schema would take longer than all decisions about the order.

const STATUSES: ReadonlySet<string> = new Set<BrokerStatus>([
  ...([
    'accepted',
    'pending_new',
    'accepted_for_bidding',
    'new',
    'held',
    'partially_filled',
    'done_for_day',
  ] as const),
  ...(['stopped', 'suspended', 'calculated', 'pending_cancel', 'pending_replace'] as const),
  ...(['filled', 'canceled', 'expired', 'rejected', 'replaced'] as const),
])
const TYPES: ReadonlySet<string> = new Set(ORDER_TYPES)
const TERMS: ReadonlySet<string> = new Set(TIMES_IN_FORCE)
/**
 * An order of several legs has no symbol and no side of its own: such orders are not followed here.
 */
const SEVERAL_LEGS = 'mleg'

/**
 * Reads an order. Id, status, filled quantity and average price are required; any other unreadable
 * field is named in `unread`, and its value must not be used.
 * @throws {ZodError} the row is not an order
 */
export function readOrderRow(wire: unknown): BrokerOrder {
  const row = rowOf(wire, 'order')
  const order = readAlone(row)
  const legs = optional(row, 'legs')
  if (legs === null || (Array.isArray(legs) && legs.length === 0)) return order
  const read = Array.isArray(legs) ? legs.flatMap(readLeg) : []
  const isWhole = Array.isArray(legs) && read.length === legs.length
  return { ...order, legs: read, ...(isWhole ? {} : { unread: [...(order.unread ?? []), 'legs'] }) }
}

/** Skips an unreadable exit: the exit is read from its own row or message. */
function readLeg(wire: unknown): BrokerOrder[] {
  try {
    return [readOrderRow(wire)]
  } catch {
    return []
  }
}

/** Reads the order without its exits. */
function readAlone(row: Row): BrokerOrder {
  const status = text(row, 'status')
  const orderClass = optional(row, 'order_class')
  if (orderClass === SEVERAL_LEGS) fail('order_class')
  const unread: (keyof BrokerOrder)[] = []
  /** A field that may be absent. */
  const ifAny = <T>(
    name: keyof BrokerOrder,
    field: string,
    read: (value: unknown) => T | null,
  ): T | null => {
    const value = optional(row, field)
    const known = value === null ? null : read(value)
    if (value !== null && known === null) unread.push(name)
    return known
  }
  /** A field that every order has. */
  const always = <T>(name: keyof BrokerOrder, known: T | null): T | null => {
    if (known === null) unread.push(name)
    return known
  }
  const filledQuantity = amount(row, 'filled_qty')
  const average = isZero(filledQuantity) ? null : amountIfAny(row, 'filled_avg_price')
  const symbol = always('symbol', textOf(row['symbol'])) ?? ''
  const submittedAt =
    always('submittedAt', timeOf(row['submitted_at'])) ?? timeOf(row['created_at'])
  const updatedAt =
    always('updatedAt', timeOf(row['updated_at'])) ?? latestOf(row) ?? submittedAt ?? EPOCH
  const order = {
    brokerOrderId: name(row, 'id'),
    clientOrderId: ifAny('clientOrderId', 'client_order_id', textOf) ?? '',
    symbol,
    side: always('side', sideOf(row['side']) ?? sideOf(row['position_intent'])),
    orderType: always('orderType', memberOf<OrderType>(TYPES, row['type'] ?? row['order_type'])),
    timeInForce: always('timeInForce', memberOf<TimeInForce>(TERMS, row['time_in_force'])),
    // An empty class is a simple order. A class that is newer than this list is followed as a
    // simple order too.
    orderClass: ORDER_CLASSES.find((known) => known === orderClass) ?? 'simple',
    status: STATUSES.has(status) ? (status as BrokerStatus) : 'unrecognized',
    quantity: ifAny('quantity', 'qty', decimalOf),
    notional: ifAny('notional', 'notional', decimalOf),
    filledQuantity,
    filledAveragePrice: average === null ? null : unitPrice(symbol, average),
    limitPrice: ifAny('limitPrice', 'limit_price', decimalOf),
    stopPrice: ifAny('stopPrice', 'stop_price', decimalOf),
    submittedAt: submittedAt ?? updatedAt,
    updatedAt,
    replaces: ifAny('replaces', 'replaces', textOf),
    replacedBy: ifAny('replacedBy', 'replaced_by', textOf),
    legs: [],
  }
  return unread.length === 0 ? order : { ...order, unread }
}

/**
 * Earlier than every real time, so that a snapshot without any time is never the latest snapshot.
 */
const EPOCH = '1970-01-01T00:00:00.000000000Z'
const MOMENTS = [
  'filled_at',
  'canceled_at',
  'expired_at',
  'failed_at',
  'replaced_at',
  'cancel_requested_at',
  'submitted_at',
  'created_at',
]

/** The latest of the order's other times. */
const latestOf = (row: Row): string | null =>
  MOMENTS.reduce<string | null>((latest, field) => {
    const at = timeOf(row[field])
    return at !== null && (latest === null || at > latest) ? at : latest
  }, null)

const textOf = (value: unknown): string | null =>
  typeof value === 'string' && value !== '' ? value : null

/** `sell_short`, `buy_to_open` and similar values start with their side. */
function sideOf(value: unknown): Side | null {
  if (typeof value !== 'string') return null
  return /^buy(_|$)/.test(value) ? 'buy' : /^sell(_|$)/.test(value) ? 'sell' : null
}

const memberOf = <Known extends string>(
  known: ReadonlySet<string>,
  value: unknown,
): Known | null => (typeof value === 'string' && known.has(value) ? (value as Known) : null)

const EXECUTION_EVENTS: ReadonlySet<string> = new Set(['fill', 'partial_fill'])
const AMENDMENTS: ReadonlySet<string> = new Set(['trade_bust', 'trade_correct'])

/**
 * A correction: the id of the corrected execution, and its new terms. The message does not contain
 * the former terms.
 */
export type Correction = Readonly<{
  id: string
  executionId: string
  to: NonNullable<Bust['corrected']>
}>

/**
 * Reads one `trade_updates` message. Exits are left out: the SDK shortens them, and they have
 * messages of their own. The cumulative quantity of a fill is the filled quantity of the order in
 * the same message. A bust has the execution's own price and quantity, a correction has the new
 * ones. `isIncomplete`: an execution was amended, but the message lacks its details.
 * @throws {ZodError}
 */
export function readTradeUpdate(
  wire: unknown,
): StreamUpdate & Readonly<{ correction: Correction | null; isIncomplete: boolean }> {
  const update = rowOf(wire, 'update')
  const event = text(update, 'event')
  const told = amountIfAny(update, 'price')
  const quantity = amountIfAny(update, 'qty')
  const executionId = textIfAny(update, 'execution_id')
  const seen = readAlone(rowOf(update['order'], 'order'))
  const toldAt = timeOf(update['at']) ?? timeOf(update['timestamp'])
  const at = toldAt ?? seen.updatedAt
  const order = seen.unread?.includes('updatedAt') === true ? { ...seen, updatedAt: at } : seen
  const none = {
    order,
    at,
    execution: null,
    bust: null,
    correction: null,
    isIncomplete: AMENDMENTS.has(event),
  }
  if (told === null || quantity === null) return none
  const price = unitPrice(order.symbol, told)
  if (EXECUTION_EVENTS.has(event))
    return {
      ...none,
      execution: { executionId, quantity, price, cumulativeQuantity: order.filledQuantity, at },
    }
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
