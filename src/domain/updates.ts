import type { Decimal } from './decimal.ts'
import type { OrderClass, OrderIntent, OrderType, Side, TimeInForce } from './intent.ts'
import type { BrokerStatus, CancelRequest, Execution, Order } from './order.ts'
import type { Account } from './account.ts'
import type { Position } from './position.ts'

/** An order as the broker shows it, in our words; what every source (stream, answer, list) is translated into. */
export type BrokerOrder = Readonly<{
  brokerOrderId: string
  clientOrderId: string
  symbol: string
  side: Side
  orderType: OrderType
  timeInForce: TimeInForce
  orderClass: OrderClass
  status: BrokerStatus
  quantity: Decimal | null
  notional: Decimal | null
  filledQuantity: Decimal
  limitPrice: Decimal | null
  stopPrice: Decimal | null
  submittedAt: string
  /** The broker's time of this view. */
  updatedAt: string
}>

/** One thing learnt about one order. Facts, whatever their source; applying one twice changes nothing. */
export type OrderUpdate =
  /** Our own decision to send this intent; the first record of a trade. */
  | Readonly<{ type: 'claimed'; intent: OrderIntent; clientOrderId: string; parametersHash: string; at: string }>
  /** Our own checks refused it; it was never sent. */
  | Readonly<{ type: 'denied'; code: string; message: string; at: string }>
  /** Canceled before it was ever sent. */
  | Readonly<{ type: 'withdrawn'; at: string }>
  /** The broker's definitive answer to the request itself: not accepted. */
  | Readonly<{ type: 'refused'; code: string; brokerCode: string | null; message: string; at: string }>
  /** Sent, and nobody knows. */
  | Readonly<{ type: 'outcome_unknown'; at: string }>
  | Readonly<{ type: 'cancel_requested'; request: CancelRequest }>
  /** The broker's view of the order, with the execution that caused it where there is one. */
  | Readonly<{ type: 'broker_order'; order: BrokerOrder; execution: Execution | null; at: string }>
  /** An execution on its own, from the activity list. */
  | Readonly<{ type: 'execution'; execution: Execution }>

/** The part of a user's state that one order can touch: the order, its symbol's position, its connection's account. */
export type Slice = Readonly<{ order: Order | null; position: Position | null; account: Account | null }>

/** What came of an update, in the order in which it happened. Past tense; projected to client events, counted and logged. */
export type Change =
  | Readonly<{ type: 'order.submitted'; order: Order }>
  | Readonly<{ type: 'order.executed'; order: Order; execution: Execution; completed: boolean }>
  | Readonly<{ type: 'order.corrected'; order: Order; execution: Execution }>
  | Readonly<{ type: 'order.ended'; order: Order; at: string }>
  | Readonly<{ type: 'position.opened'; position: Position; at: string }>
  | Readonly<{ type: 'position.changed'; position: Position; at: string }>
  | Readonly<{ type: 'position.closed'; position: Position; at: string }>
  | Readonly<{ type: 'cash.changed'; account: Account; previousCash: Decimal; cause: CashCause; at: string }>
  | Readonly<{ type: 'anomaly'; orderId: string; what: Anomaly }>

export type CashCause = 'execution' | 'deposit' | 'withdrawal' | 'external'

/** Things that should not be, are never dropped silently, and change nothing by themselves. */
export type Anomaly = 'illegal_transition' | 'overfilled' | 'held_overflow' | 'unknown_order' | 'unrecognized_status'
