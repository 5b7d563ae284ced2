import { z } from 'zod'
import { abs, dec, type Decimal, div, isOption, isQuotedInUsd, isZero, unitPrice } from '#domain'
import type { BrokerActivity, BrokerPosition, OrderBust, OrderExecution } from '../port.ts'
import {
  amountIfAny,
  decimalOf,
  moment,
  momentIfAny,
  name,
  type Row,
  rowOf,
  textIfAny,
  timeOf,
} from './fields.ts'

// Alpaca's shapes except orders, read defensively and translated to our terms. Source: Alpaca's
// Trading API reference.

const decimal = z.unknown().transform((value, context): Decimal => {
  const read = decimalOf(value)
  if (read !== null) return read
  context.addIssue({ code: 'custom', message: 'not a decimal' })
  return z.NEVER
})
const maybe = <Schema extends z.ZodType>(schema: Schema) =>
  schema.nullish().transform((value) => value ?? null)

const time = z.string().transform((text, context): string => {
  const read = timeOf(text)
  if (read !== null) return read
  context.addIssue({ code: 'custom', message: 'not a time' })
  return z.NEVER
})

/** The fields of an event of any activity; its details are an object of their own. */
function readEvent(event: Row) {
  const { details } = event
  const of = rowOf(details, 'details')
  return {
    id: name(event, 'event_id'),
    type: name(event, 'activity_type'),
    at: moment(event, 'at'),
    executedAt: momentIfAny(event, 'executed_at'),
    refId: name(event, 'ref_id'),
    previousId: textIfAny(event, 'previous_id'),
    quantity: amountIfAny(event, 'qty'),
    price: amountIfAny(event, 'price'),
    netAmount: amountIfAny(event, 'net_amount'),
    symbol: textIfAny(of, 'symbol'),
    brokerOrderId: textIfAny(of, 'order_id'),
    cumulativeQuantity: amountIfAny(of, 'cum_qty'),
    executionType: textIfAny(of, 'execution_type'),
  }
}
type Event = ReturnType<typeof readEvent>

type Told = OrderExecution | OrderBust | Readonly<{ activity: BrokerActivity }>

/**
 * One event of the activity stream: its content, or `told: null` if the event is incomplete; `null`
 * if the event is not readable at all.
 */
export function readActivityEvent(
  text: string,
): Readonly<{ id: string; told: Told | null }> | null {
  let event: Event
  try {
    event = readEvent(rowOf(JSON.parse(text), 'event'))
  } catch {
    return null
  }
  return {
    id: event.id,
    told: event.type === 'TRD' ? toldOfTrade(event) : { activity: toldOfMoney(event) },
  }
}

function toldOfTrade({
  quantity,
  brokerOrderId,
  cumulativeQuantity,
  executionType,
  ...event
}: Event): Told | null {
  if (quantity === null || event.price === null || brokerOrderId === null) return null
  const price = unitPrice(event.symbol ?? '', event.price)
  if (executionType === 'trade_bust') {
    const id = event.previousId ?? event.refId
    return { brokerOrderId, bust: { id, quantity, price, corrected: null, at: event.at } }
  }
  if (executionType !== 'fill' || cumulativeQuantity === null) return null
  const at = event.executedAt ?? event.at
  return {
    brokerOrderId,
    execution: { executionId: event.refId, quantity, price, cumulativeQuantity, at },
  }
}

const toldOfMoney = ({ refId: id, type, netAmount, symbol, quantity, at }: Event): BrokerActivity =>
  activityOf({ id, type, netAmount, symbol, quantity, at })

const fillShape = z.object({
  id: z.string(),
  activity_type: z.literal('FILL'),
  transaction_time: time,
  order_id: z.string(),
  symbol: maybe(z.string()).catch(null),
  price: decimal,
  qty: decimal,
  cum_qty: decimal,
})

/** Reads one FILL row of the account activities. @throws {z.ZodError} */
export function readFill(wire: unknown): OrderExecution {
  const row = fillShape.parse(wire)
  return {
    brokerOrderId: row.order_id,
    execution: {
      executionId: null,
      quantity: row.qty,
      price: unitPrice(row.symbol ?? '', row.price),
      cumulativeQuantity: row.cum_qty,
      at: row.transaction_time,
    },
  }
}

/**
 * Types with a kind of their own. Any other type is `cash` if it moves cash, and `other` if it does
 * not.
 */
const ACTIVITY_KINDS: Readonly<Record<string, BrokerActivity['kind']>> = {
  CSD: 'deposit',
  CSW: 'withdrawal',
  SPLIT: 'split',
  SSP: 'split',
  NC: 'symbol_change',
  SC: 'symbol_change',
}

/**
 * Types whose quantity moved shares into or out of the account. Dividends, interest and fees only
 * name the shares that they were paid on. A type that is newer than this list explains no change of
 * a position: the difference is then booked after the settle window, and reported.
 */
const MOVES_HOLDINGS: ReadonlySet<string> = new Set([
  'SPLIT',
  'SSP',
  'SPIN',
  'SSO',
  'MA',
  'REORG',
  'NC',
  'SC', // up to here: corporate actions
  'ACATS',
  'JNL',
  'JNLS',
  'FOPT', // up to here: securities moved between accounts
  'OPASN',
  'OPEXP',
  'OPEXC',
  'OPXRC',
  'OPTRD',
  'OPCA', // up to here: options, and the shares delivered for them
  'CFEE',
  'MISC', // a fee in coins (CFEE), and other moves
])
/** A fee taken in coins; its row names the pair without a slash. */
const IN_COINS = 'CFEE'

const activityShape = z.object({
  id: z.string().min(1),
  activity_type: z.string().min(1),
  /** `date` is the day; `created_at` is the exact time, where present. */
  date: time,
  created_at: maybe(time).catch(null),
  net_amount: maybe(decimal),
  symbol: maybe(z.string()),
  qty: maybe(decimal),
})

/** Reads one row of the account activities that is not an execution. @throws {z.ZodError} */
export function readActivity(wire: unknown): BrokerActivity {
  const row = activityShape.parse(wire)
  return activityOf({
    // The row's id is a date and the activity's id, which is the same in every source.
    id: row.id.slice(row.id.indexOf('::') + 2) || row.id,
    type: row.activity_type,
    netAmount: row.net_amount,
    symbol: row.symbol,
    quantity: row.qty,
    at: row.created_at ?? row.date,
  })
}

function activityOf(
  told: Pick<BrokerActivity, 'id' | 'type' | 'symbol' | 'quantity' | 'at'> &
    Readonly<{ netAmount: Decimal | null }>,
): BrokerActivity {
  const { netAmount, ...rest } = told
  const amount = netAmount === null || isZero(netAmount) ? null : netAmount
  const kind = ACTIVITY_KINDS[told.type] ?? (amount === null ? 'other' : 'cash')
  const symbol =
    told.type === IN_COINS && told.symbol !== null ? pairSymbol(told.symbol) : told.symbol
  const quantity = MOVES_HOLDINGS.has(told.type) ? told.quantity : null
  return { ...rest, symbol, quantity, kind, amount, newSymbol: null }
}

const positionShape = z.object({
  symbol: z.string(),
  assetClass: z.string().optional().catch(undefined),
  qty: decimal,
  side: z.string().optional(),
  avgEntryPrice: decimal,
  currentPrice: maybe(decimal).catch(null),
  costBasis: maybe(decimal).catch(null),
  marketValue: maybe(decimal).catch(null),
})

/**
 * Reads a position of the SDK's model. A short position has a negative quantity; crypto symbols get
 * their slash back. If quantity times price is not the value in USD (an option, a pair in another
 * coin), the prices are computed from the broker's own totals.
 * @throws {z.ZodError}
 */
export function readPosition(model: unknown) {
  const told = positionShape.parse(model)
  const { assetClass, qty, side, avgEntryPrice, currentPrice } = told
  const symbol = assetClass === 'crypto' ? pairSymbol(told.symbol) : told.symbol
  const quantity = side === 'short' && !qty.startsWith('-') ? dec(`-${qty}`) : qty
  if (!isOption(symbol) && isQuotedInUsd(symbol))
    return { symbol, quantity, averageEntryPrice: avgEntryPrice, currentPrice }
  const perUnit = (total: Decimal | null, price: Decimal | null): Decimal | null => {
    if (total !== null && !isZero(total) && !isZero(qty)) return div(abs(total), abs(qty))
    return price === null ? null : unitPrice(symbol, price)
  }
  return {
    symbol,
    quantity,
    averageEntryPrice: perUnit(told.costBasis, avgEntryPrice) ?? avgEntryPrice,
    currentPrice: perUnit(told.marketValue, currentPrice),
  }
}

/**
 * The held quantity like `readPosition`, and the available part: shares that open orders reserve
 * are not available.
 * @throws {z.ZodError}
 */
export function readBrokerPosition(model: unknown): BrokerPosition {
  const { quantity } = readPosition(model)
  const { qtyAvailable } = holdingShape.parse(model)
  return { quantity, available: qtyAvailable ?? quantity }
}

const holdingShape = z.object({ qtyAvailable: maybe(decimal) })

/** Positions are named `BTCUSD` where orders are named `BTC/USD`. */
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

/** Reads an account of the SDK's model. @throws {z.ZodError} */
export const readAccount = (model: unknown) => accountShape.parse(model)
