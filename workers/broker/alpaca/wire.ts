import { z } from 'zod'
import {
  type BrokerOrder,
  type BrokerStatus,
  type Bust,
  dec,
  type Decimal,
  isZero,
  ORDER_CLASSES,
  tryDec,
} from '#domain'
import type { BrokerActivity, Holding, OrderBust, OrderExecution, StreamUpdate } from '../port.ts'

// Alpaca's shapes, read defensively, and their translation into our words. Facts: Alpaca's Trading API reference; amounts are
// decimal strings, times RFC 3339 with up to nine decimals and any offset.

const decimal = z.unknown().transform((value, context): Decimal => {
  const read = typeof value === 'string' || typeof value === 'number' ? tryDec(String(value)) : null
  if (read !== null) return read
  context.addIssue({ code: 'custom', message: 'not a decimal' })
  return z.NEVER
})
const maybe = <Schema extends z.ZodType>(schema: Schema) => schema.nullish().transform((value) => value ?? null)

const time = z.string().transform((text, context): string => {
  const read = normalTime(text)
  if (read !== null) return read
  context.addIssue({ code: 'custom', message: 'not a time' })
  return z.NEVER
})

/** How nearly all of its times are written; the rest takes the long way. */
const UTC_TIME =
  /^(\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d)(?:\.(\d{1,9}))?Z$/

/** RFC 3339 in UTC with nine decimals, so that the order of texts is the order of times; `null` when it is not a time. */
function normalTime(text: string): string | null {
  const [plain, seconds, decimals = ''] = UTC_TIME.exec(text) ?? []
  if (plain !== undefined) return `${seconds}.${decimals.padEnd(9, '0')}Z`
  const ms = Date.parse(text)
  if (Number.isNaN(ms)) return null
  const fraction = /\.(\d{1,9})/.exec(text)?.[1] ?? ''
  return `${new Date(ms).toISOString().slice(0, 19)}.${fraction.padEnd(9, '0')}Z`
}

const STATUSES: ReadonlySet<string> = new Set<BrokerStatus>([
  ...(['accepted', 'pending_new', 'accepted_for_bidding', 'new', 'held', 'partially_filled', 'done_for_day'] as const),
  ...(['stopped', 'suspended', 'calculated', 'pending_cancel', 'pending_replace'] as const),
  ...(['filled', 'canceled', 'expired', 'rejected', 'replaced'] as const),
])
const status = z.string().transform((text) => (STATUSES.has(text) ? (text as BrokerStatus) : 'unrecognized'))

// An empty class is a simple order; a class that is newer than this list is one that we do not track as more than that.
const orderClass = z
  .string()
  .nullish()
  .transform((text) => ORDER_CLASSES.find((known) => known === text) ?? 'simple')

const orderShape = z.object({
  id: z.string().min(1),
  client_order_id: z.string(),
  symbol: z.string().min(1),
  side: z.enum(['buy', 'sell']),
  type: z.enum(['market', 'limit', 'stop', 'stop_limit', 'trailing_stop']),
  time_in_force: z.enum(['day', 'gtc', 'opg', 'cls', 'ioc', 'fok']),
  order_class: orderClass,
  status,
  qty: maybe(decimal),
  notional: maybe(decimal),
  filled_qty: decimal,
  filled_avg_price: maybe(decimal),
  limit_price: maybe(decimal),
  stop_price: maybe(decimal),
  submitted_at: time,
  updated_at: time,
  replaces: maybe(z.string()),
  replaced_by: maybe(z.string()),
  legs: maybe(z.array(z.unknown())),
})

/** @throws {z.ZodError} when it is not an order */
export function readOrder(wire: unknown): BrokerOrder {
  const { order, legs } = readAlone(wire)
  return legs === null || legs.length === 0 ? order : { ...order, legs: legs.map(readOrder) }
}

/** The order without its exits, and these as they came. */
function readAlone(wire: unknown): { order: BrokerOrder; legs: unknown[] | null } {
  const { legs, ...order } = orderShape.parse(wire)
  return { order: translated(order), legs }
}

function translated(order: Omit<z.output<typeof orderShape>, 'legs'>): BrokerOrder {
  return {
    brokerOrderId: order.id,
    clientOrderId: order.client_order_id,
    symbol: order.symbol,
    side: order.side,
    orderType: order.type,
    timeInForce: order.time_in_force,
    orderClass: order.order_class,
    status: order.status,
    quantity: order.qty,
    notional: order.notional,
    filledQuantity: order.filled_qty,
    filledAveragePrice: order.filled_avg_price,
    limitPrice: order.limit_price,
    stopPrice: order.stop_price,
    submittedAt: order.submitted_at,
    updatedAt: order.updated_at,
    replaces: order.replaces,
    replacedBy: order.replaced_by,
    legs: [],
  }
}

const updateShape = z.object({
  event: z.string(),
  order: z.unknown(),
  at: maybe(z.string()),
  execution_id: maybe(z.string()),
  previous_execution_id: maybe(z.string()),
  price: maybe(decimal),
  qty: maybe(decimal),
})

const EXECUTION_EVENTS: ReadonlySet<string> = new Set(['fill', 'partial_fill'])
const AMENDMENTS: ReadonlySet<string> = new Set(['trade_bust', 'trade_correct'])

/** What a correction says: which execution it restates, and as what. What it was before is not told. */
export type Correction = Readonly<{ id: string; executionId: string; to: NonNullable<Bust['corrected']> }>

/**
 * One `trade_updates` message. Exits are left out: the SDK cuts them short, and they have messages of their own. The cumulative
 * quantity of a fill is that of the order it comes with. A bust names the execution's own price and quantity, a correction the new
 * ones. `isIncomplete`: something was amended, and the message does not say what.
 * @throws {z.ZodError}
 */
export function readTradeUpdate(
  wire: unknown,
): StreamUpdate & Readonly<{ correction: Correction | null; isIncomplete: boolean }> {
  const { event, price, qty: quantity, execution_id: executionId, ...update } = updateShape.parse(wire)
  const { order } = readAlone(update.order)
  const at = (update.at === null ? null : normalTime(update.at)) ?? order.updatedAt
  const none = { order, at, execution: null, bust: null, correction: null, isIncomplete: AMENDMENTS.has(event) }
  if (price === null || quantity === null) return none
  if (EXECUTION_EVENTS.has(event))
    return { ...none, execution: { executionId, quantity, price, cumulativeQuantity: order.filledQuantity, at } }
  const id = update.previous_execution_id ?? executionId
  if (id === null || !AMENDMENTS.has(event)) return none
  const isBust = event === 'trade_bust'
  return {
    ...none,
    bust: isBust ? { id, quantity, price, corrected: null, at } : null,
    correction: isBust ? null : { id, executionId: executionId ?? id, to: { quantity, price } },
    isIncomplete: false,
  }
}

const eventShape = z.object({
  event_id: z.string().min(1),
  activity_type: z.string().min(1),
  at: time,
  executed_at: maybe(time),
  ref_id: z.string().min(1),
  previous_id: maybe(z.string()),
  qty: maybe(decimal),
  price: maybe(decimal),
  net_amount: maybe(decimal),
  details: z.looseObject({
    symbol: maybe(z.string()),
    order_id: maybe(z.string()),
    cum_qty: maybe(decimal),
    execution_type: maybe(z.string()),
  }),
})

type Told = OrderExecution | OrderBust | Readonly<{ activity: BrokerActivity }>

/** One event of the activity stream: what it tells, or `told: null` when it does not say all; `null`: not readable at all. */
export function readActivityEvent(text: string): Readonly<{ id: string; told: Told | null }> | null {
  let event: z.output<typeof eventShape>
  try {
    event = eventShape.parse(JSON.parse(text))
  } catch {
    return null
  }
  return {
    id: event.event_id,
    told: event.activity_type === 'TRD' ? toldOfTrade(event) : { activity: toldOfMoney(event) },
  }
}

function toldOfTrade(event: z.output<typeof eventShape>): Told | null {
  const { qty: quantity, price, details } = event
  const { order_id: brokerOrderId, cum_qty: cumulativeQuantity, execution_type: type } = details
  if (quantity === null || price === null || brokerOrderId === null) return null
  if (type === 'trade_bust') {
    const id = event.previous_id ?? event.ref_id
    return { brokerOrderId, bust: { id, quantity, price, corrected: null, at: event.at } }
  }
  if (type !== 'fill' || cumulativeQuantity === null) return null
  const at = event.executed_at ?? event.at
  return { brokerOrderId, execution: { executionId: event.ref_id, quantity, price, cumulativeQuantity, at } }
}

function toldOfMoney({ ref_id: id, activity_type, net_amount, qty, at, details }: z.output<typeof eventShape>) {
  return activityOf({ id, type: activity_type, netAmount: net_amount, symbol: details.symbol, quantity: qty, at })
}

const fillShape = z.object({
  id: z.string(),
  activity_type: z.literal('FILL'),
  transaction_time: time,
  order_id: z.string(),
  price: decimal,
  qty: decimal,
  cum_qty: decimal,
})

/** One FILL row of the account activities. @throws {z.ZodError} */
export function readFill(wire: unknown): OrderExecution {
  const row = fillShape.parse(wire)
  return {
    brokerOrderId: row.order_id,
    execution: {
      executionId: null,
      quantity: row.qty,
      price: row.price,
      cumulativeQuantity: row.cum_qty,
      at: row.transaction_time,
    },
  }
}

/** Types that mean something of their own; every other one that moves cash is `cash`, and one that does not is `other`. */
const ACTIVITY_KINDS: Readonly<Record<string, BrokerActivity['kind']>> = {
  CSD: 'deposit',
  CSW: 'withdrawal',
  SPLIT: 'split',
  SSP: 'split',
  NC: 'symbol_change',
  SC: 'symbol_change',
}

/**
 * Types whose quantity came to the holding or left it. Dividends, interest and fees name the shares that they were paid on, and move
 * none. A type that is newer than this list explains no holding: a difference is then believed once it stands, and is reported.
 */
const MOVES_HOLDINGS: ReadonlySet<string> = new Set([
  ...['SPLIT', 'SSP', 'SPIN', 'SSO', 'MA', 'REORG', 'NC', 'SC'], // corporate actions
  ...['ACATS', 'JNL', 'JNLS', 'FOPT'], // securities that were moved between accounts
  ...['OPASN', 'OPEXP', 'OPEXC', 'OPXRC', 'OPTRD', 'OPCA'], // options, and the shares that they turned into
  ...['CFEE', 'MISC'], // a fee in coins; whatever else
])
/** Coins that are taken as a fee: the pair is named without its slash. */
const IN_COINS = 'CFEE'

const activityShape = z.object({
  id: z.string().min(1),
  activity_type: z.string().min(1),
  /** The day; `created_at` is the moment, where there is one. */
  date: time,
  created_at: maybe(time),
  net_amount: maybe(decimal),
  symbol: maybe(z.string()),
  qty: maybe(decimal),
})

/** One row of the account activities that is no execution. @throws {z.ZodError} */
export function readActivity(wire: unknown): BrokerActivity {
  const row = activityShape.parse(wire)
  return activityOf({
    // A row's id is a date and the id that every source has.
    ...{ id: row.id.slice(row.id.indexOf('::') + 2) || row.id, type: row.activity_type, netAmount: row.net_amount },
    ...{ symbol: row.symbol, quantity: row.qty, at: row.created_at ?? row.date },
  })
}

function activityOf(
  told: Pick<BrokerActivity, 'id' | 'type' | 'symbol' | 'quantity' | 'at'> & Readonly<{ netAmount: Decimal | null }>,
): BrokerActivity {
  const { netAmount, ...rest } = told
  const amount = netAmount === null || isZero(netAmount) ? null : netAmount
  const kind = ACTIVITY_KINDS[told.type] ?? (amount === null ? 'other' : 'cash')
  const symbol = told.type === IN_COINS && told.symbol !== null ? pairSymbol(told.symbol) : told.symbol
  const quantity = MOVES_HOLDINGS.has(told.type) ? told.quantity : null
  return { ...rest, symbol, quantity, kind, amount, newSymbol: null }
}

const positionShape = z.object({
  symbol: z.string(),
  assetClass: z.string().optional(),
  qty: decimal,
  side: z.string().optional(),
  avgEntryPrice: decimal,
  currentPrice: maybe(decimal),
})

/** A position as the SDK models it. Shorts have a negative quantity; crypto symbols get their slash back. @throws {z.ZodError} */
export function readPosition(model: unknown) {
  const { symbol, assetClass, qty, side, avgEntryPrice, currentPrice } = positionShape.parse(model)
  return {
    symbol: assetClass === 'crypto' ? pairSymbol(symbol) : symbol,
    quantity: side === 'short' && !qty.startsWith('-') ? dec(`-${qty}`) : qty,
    averageEntryPrice: avgEntryPrice,
    currentPrice,
  }
}

/** What is held, as `readPosition`; shares that open orders reserve are not available. @throws {z.ZodError} */
export function readHolding(model: unknown): Holding {
  const { quantity } = readPosition(model)
  const { qtyAvailable } = holdingShape.parse(model)
  return { quantity, available: qtyAvailable ?? quantity }
}

const holdingShape = z.object({ qtyAvailable: maybe(decimal) })

/** Positions say `BTCUSD` where orders say `BTC/USD`. */
const pairSymbol = (symbol: string): string =>
  symbol.includes('/') ? symbol : symbol.replace(/(USDT|USDC|USD|BTC)$/, '/$1')

const accountShape = z.object({
  id: z.string().min(1),
  currency: z.string().default('USD'),
  cash: decimal,
  status: z.string(),
  tradingBlocked: z.boolean().default(false),
  accountBlocked: z.boolean().default(false),
  tradeSuspendedByUser: z.boolean().default(false),
})

/** An account as the SDK models it. @throws {z.ZodError} */
export const readAccount = (model: unknown) => accountShape.parse(model)
