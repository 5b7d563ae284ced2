import type { Asset } from './assets.ts'
import { type Decimal, larger, ratio, zero } from './decimals.ts'

/**
 * An order as the broker keeps it. Invariants:
 * - `filledQty` is the sum of its executions;
 * - `filledQty` only grows and never exceeds `qty`, except by a bust, a correction or an overfill;
 * - a closed order never reopens (a canceled order may still get a late fill: the venue matched
 *   first);
 * - an id always belongs to the same order.
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

/** The exit prices of an order with legs; at least one is given. */
export type Exits = Readonly<{
  takeProfit: Decimal | null
  /** With a limit price the leg is a stop limit order, without one a stop. */
  stopLoss: Readonly<{ stopPrice: Decimal; limitPrice: Decimal | null }> | null
}>

/** The validated terms of an order. */
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
  /** The client's stated intent; null if the client leaves the intent to the broker. */
  statedIntent: PositionIntent | null
  /** Null for a simple order, and for a leg. */
  exits: Exits | null
}>

export interface Order {
  readonly id: string
  readonly request: OrderRequest
  readonly intent: PositionIntent
  /** Buying power held per open unit while the order is open; zero when it closes a position. */
  readonly heldPerUnit: Decimal
  readonly createdAt: string
  /**
   * The end of a day order's day; for a good-till-canceled order, the time at which it is too old.
   */
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
   * While a replacement is pending: the order that this order replaces, and the order that replaces
   * this order.
   */
  predecessor: Order | null
  successor: Order | null
  /**
   * Of a replacement sized by its remaining quantity: the quantity that the orders before it have
   * filled.
   */
  alreadyFilled: Decimal | null
  /** The price at which a stop triggers; a trailing stop moves it. */
  stopPrice: Decimal | null
  /**
   * True once the stop has been reached. From then on the order is a plain market or limit order.
   * True for orders without a stop.
   */
  triggered: boolean
  /** High-water mark of a trailing sell, low-water mark of a trailing buy. */
  hwm: Decimal | null
  /** The order that this leg belongs to. */
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
  /** Time of the report; for a corrected execution, the time of the correction. */
  at: string
  executedAt: string
  /** Of a bust or a correction: the execution that it undoes or replaces. */
  corrects?: string
}>

/** An execution that was undone or changed after its report. */
export type Amendment = Readonly<{
  event: 'trade_bust' | 'trade_correct'
  before: Execution
  /** The reported execution: of a bust the undone execution, of a correction the corrected one. */
  told: Execution
}>

const closedStatuses: ReadonlySet<OrderStatus> = new Set([
  'filled',
  'canceled',
  'expired',
  'rejected',
  'replaced',
])

/** True while the order may still fill by itself. */
export const isOpen = (order: Order): boolean => !closedStatuses.has(order.status)

/** True for types with a stop price that the market must reach first. */
export const isStop = ({ type }: OrderRequest): boolean =>
  type === 'stop' || type === 'stop_limit' || type === 'trailing_stop'

/**
 * The open quantity; zero for a notional order that has no size yet, and for an overfilled order.
 */
export const leavesQty = (order: Order): Decimal =>
  larger(zero, order.qty?.minus(order.filledQty) ?? zero)

/** Average over all fills, 9 decimals; null before the first fill. */
export const averagePrice = (order: Order): Decimal | null =>
  order.filledQty.eq(0) ? null : ratio(order.filledCost, order.filledQty)

/** The result of the admission checks. */
export type Admission = Readonly<{ intent: PositionIntent; heldPerUnit: Decimal }>
