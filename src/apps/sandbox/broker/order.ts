import type { Asset } from './assets.ts'
import { type Decimal, larger, ratio, zero } from './decimals.ts'

/**
 * An order as the broker keeps it. Invariants: `filledQty` is the sum of its executions; it only
 * grows and never passes `qty`, unless a bust, a correction or an overfill is asked for; a closed
 * order never opens again (a late fill may still land on a canceled one: the venue matched first);
 * ids never change hands.
 */
export type Side = 'buy' | 'sell'

export type OrderType = 'market' | 'limit' | 'stop' | 'stop_limit' | 'trailing_stop'

export type TimeInForce = 'day' | 'gtc' | 'opg' | 'cls' | 'ioc' | 'fok'

export type OrderClass = '' | 'bracket' | 'oco' | 'oto'

export type PositionIntent = 'buy_to_open' | 'buy_to_close' | 'sell_to_open' | 'sell_to_close'

export type OrderStatus =
  | 'accepted'
  | 'pending_new'
  | 'new'
  | 'held'
  | 'partially_filled'
  | 'pending_cancel'
  | 'pending_replace'
  | 'filled'
  | 'canceled'
  | 'expired'
  | 'rejected'
  | 'replaced'

/** Where an order with legs wants to be taken out of the market; at least one is given. */
export type Exits = Readonly<{
  takeProfit: Decimal | null
  /** With a limit price the leg is a stop limit order, without one a stop. */
  stopLoss: Readonly<{ stopPrice: Decimal; limitPrice: Decimal | null }> | null
}>

/** The terms of an order, checked. */
export type OrderRequest = Readonly<{
  clientOrderId: string
  asset: Asset
  side: Side
  type: OrderType
  timeInForce: TimeInForce
  orderClass: OrderClass
  extendedHours: boolean
  /** Exactly one of `qty` and `notional` is given. */
  qty: Decimal | null
  notional: Decimal | null
  limitPrice: Decimal | null
  stopPrice: Decimal | null
  trailPrice: Decimal | null
  trailPercent: Decimal | null
  /** What the client says the order is for; null when that is left to the broker. */
  statedIntent: PositionIntent | null
  /** Null for a simple order, and for a leg. */
  exits: Exits | null
}>

export interface Order {
  readonly id: string
  readonly ticket: OrderRequest
  readonly intent: PositionIntent
  /** Buying power held per open unit while the order is open; zero when it closes a position. */
  readonly heldPerUnit: Decimal
  readonly createdAt: string
  /** When a day order had its day, and when one good till canceled is too old. */
  readonly expiresAt: string
  /** Null for a notional order until its first fill sizes it. */
  qty: Decimal | null
  status: OrderStatus
  filledQty: Decimal
  /** Sum of price times quantity over its fills. */
  filledCost: Decimal
  updatedAt: string
  submittedAt: string
  filledAt: string | null
  expiredAt: string | null
  cancelRequestedAt: string | null
  canceledAt: string | null
  failedAt: string | null
  replacedAt: string | null
  replacedBy: string | null
  replaces: string | null
  /**
   * The order this one asks to take the place of, and the other way round, while that is not
   * decided.
   */
  predecessor: Order | null
  successor: Order | null
  /**
   * Of a replacement that is sized with what its request leaves: what the orders before it had
   * filled of that.
   */
  alreadyFilled: Decimal | null
  /** Where a stop triggers; a trailing stop moves it along. */
  stopPrice: Decimal | null
  /**
   * Whether the stop has been reached: from then on the order is a plain market or limit order.
   * True for orders without a stop.
   */
  triggered: boolean
  /** High-water mark of a trailing sell, low-water mark of a trailing buy. */
  hwm: Decimal | null
  /** The order whose leg this is. */
  parent: Order | null
  legs: readonly Order[] | null
}

/** One match. `qty` and `price` are of this execution alone. */
export type Execution = Readonly<{
  id: string
  activityId: string
  orderId: string
  symbol: string
  side: Side
  qty: Decimal
  price: Decimal
  cumQty: Decimal
  leavesQty: Decimal
  orderStatus: OrderStatus
  /** Signed, after this execution. */
  positionQty: Decimal
  /** When it was told; of a corrected one, when the correction was. */
  at: string
  executedAt: string
  /** Of a bust or a correction: the execution it undoes or stands for. */
  corrects?: string
}>

/** An execution that was undone or changed after it was told. */
export type Amendment = Readonly<{
  event: 'trade_bust' | 'trade_correct'
  before: Execution
  /** As it was told: of a bust what is undone, of a correction what stands now. */
  told: Execution
}>

const closedStatuses: ReadonlySet<OrderStatus> = new Set([
  'filled',
  'canceled',
  'expired',
  'rejected',
  'replaced',
])

/** Whether the order may still work by itself. */
export const isOpen = (order: Order): boolean => !closedStatuses.has(order.status)

/** Whether the terms name a price the market must reach first. */
export const isStop = ({ type }: OrderRequest): boolean =>
  type === 'stop' || type === 'stop_limit' || type === 'trailing_stop'

/**
 * What is left to fill; zero for a notional order that has no size yet, and for one that was
 * overfilled.
 */
export const leavesQty = (order: Order): Decimal =>
  larger(zero, order.qty?.minus(order.filledQty) ?? zero)

/** Average over all fills so far, 9 decimals; null before the first. */
export const averagePrice = (order: Order): Decimal | null =>
  order.filledQty.eq(0) ? null : ratio(order.filledCost, order.filledQty)

/** What the checks learned. */
export type Admission = Readonly<{ intent: PositionIntent; heldPerUnit: Decimal }>
