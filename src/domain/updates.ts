import type { Account, CashCause } from './account.ts'
import type { Decimal } from './decimal.ts'
import type { OrderClass, OrderIntent, OrderType, Side, TimeInForce } from './intent.ts'
import type {
  Bust,
  CancelRequest,
  EndedCommand,
  Execution,
  Leg,
  Order,
  Refusal,
  ReplaceRequest,
  ReplaceResult,
} from './order.ts'
import type { Position } from './position.ts'
import type { BrokerStatus } from './transitions.ts'

/**
 * An order as the broker shows it, in our terms. Every source (stream, answer, list) is translated
 * into this form.
 */
export type BrokerOrder = Readonly<{
  brokerOrderId: string
  /** '' if the broker does not report it. */
  clientOrderId: string
  /** '' if it cannot be read. */
  symbol: string
  /** `null` here and in the next two fields: the broker's value is unknown here. */
  side: Side | null
  orderType: OrderType | null
  timeInForce: TimeInForce | null
  orderClass: OrderClass
  status: BrokerStatus
  quantity: Decimal | null
  notional: Decimal | null
  filledQuantity: Decimal
  /** Over all executions so far; `null` before the first execution. */
  filledAveragePrice: Decimal | null
  limitPrice: Decimal | null
  stopPrice: Decimal | null
  submittedAt: string
  /** The broker's time of this snapshot. */
  updatedAt: string
  /** The broker order that this order replaced, and the broker order that replaced it. */
  replaces: string | null
  replacedBy: string | null
  /**
   * The exits of a bracket, oco or oto order, if this source reports them. An empty list proves no
   * absence.
   */
  legs: readonly BrokerOrder[]
  /**
   * Fields that could not be read, by their names here; their values carry no information. Absent:
   * all fields were read.
   */
  unread?: readonly (keyof BrokerOrder)[]
}>

/**
 * One fact about one order, from any source. An update that is applied twice changes the record
 * once.
 */
export type OrderUpdate =
  /** Our own decision to send this intent; the first record of a trade. */
  | Readonly<{
      type: 'claimed'
      intent: OrderIntent
      clientOrderId: string
      parametersHash: string
      closes?: boolean
      /** If the order is a close: the command that requested it. */
      closeCommandId?: string | null
      /** When the order was requested. */
      askedAt?: string
      at: string
    }>
  /**
   * A request to place the order begins. `quantity`: the new size after a refusal; `null`:
   * unchanged.
   */
  | Readonly<{ type: 'attempted'; quantity: Decimal | null; at: string }>
  /**
   * The last request certainly failed, and the order may be sent later: the request was rate
   * limited, or never left.
   */
  | Readonly<{ type: 'not_sent'; at: string }>
  | Refusal
  /** The order was canceled before it was sent. */
  | Readonly<{ type: 'withdrawn'; at: string }>
  /** The order was sent, and its outcome is unknown. */
  | Readonly<{ type: 'outcome_unknown'; at: string }>
  /**
   * The order was refused. An earlier request may have arrived, because the store may have lost its
   * record.
   */
  | Readonly<{ type: 'refusal_doubted'; refusal: Refusal; at: string }>
  /** Work on the order crashed its worker repeatedly: the order is quarantined. */
  | Readonly<{ type: 'set_aside'; at: string }>
  | Readonly<{ type: 'cancel_requested'; request: CancelRequest }>
  /** A command ended without any change of the order. */
  | Readonly<{ type: 'command_ended'; command: EndedCommand }>
  | Readonly<{ type: 'replace_requested'; request: Omit<ReplaceRequest, 'replacement' | 'sentAt'> }>
  | Readonly<{ type: 'replace_sent'; commandId: string; at: string }>
  /** The only request of the replacement certainly failed, and may be sent later. */
  | Readonly<{ type: 'replace_not_sent'; commandId: string }>
  /**
   * The replacement does not take place. A replacement that takes place is reported by a snapshot.
   */
  | Readonly<{
      type: 'replace_ended'
      commandId: string
      outcome: Exclude<ReplaceResult['outcome'], 'replaced'>
      message: string
      at: string
    }>
  /**
   * The newest placement of the entry keeps its size. The order's total quantity is adapted to that
   * size.
   */
  | Readonly<{ type: 'size_stands'; at: string }>
  /**
   * The order's symbol has a position without a stop: the order's stop, if it has one, becomes the
   * position's stop.
   */
  | Readonly<{ type: 'stop_stands'; at: string }>
  /** A snapshot of the order, with the execution that caused it, if any. */
  | Readonly<{
      type: 'broker_order'
      order: BrokerOrder
      execution: Execution | null
      /**
       * The snapshot is the answer to our own request to place the order. The order is therefore
       * ours, even with other terms.
       */
      isAnswer?: true
      at: string
    }>
  /**
   * All snapshots of an order that had ended before it was claimed. The order is recorded; its
   * executions are neither booked nor reported.
   */
  | Readonly<{ type: 'past_order'; views: readonly BrokerOrder[] }>
  /** A single execution, from the activity list. */
  | Readonly<{ type: 'execution'; brokerOrderId: string; execution: Execution }>
  /** An execution that the venue took back or restated. */
  | Readonly<{ type: 'bust'; brokerOrderId: string; bust: Bust }>
  /**
   * The broker's latest total, of the time `at`, is confirmed: two complete readings a settle
   * window apart show it, without any execution in between.
   */
  | Readonly<{ type: 'total_stands'; brokerOrderId: string; at: string }>

/**
 * The part of a user's state that one order can change: the order, the position in its symbol, the
 * account of its connection.
 */
export type Slice = Readonly<{
  order: Order | null
  position: Position | null
  account: Account | null
}>

/**
 * A change that an update caused, in the past tense. Changes are in the order in which they
 * happened. Each change is projected to client events, counted and logged.
 */
export type Change =
  | Readonly<{ type: 'order.submitted'; order: Order }>
  | Readonly<{ type: 'order.executed'; order: Order; execution: Execution; completed: boolean }>
  /** An execution after the order's end, or an execution that was taken back. */
  | Readonly<{ type: 'order.corrected'; order: Order; what: string; at: string }>
  /** A replacement took place; `order` has the new terms. */
  | Readonly<{ type: 'order.replaced'; order: Order; leg: Leg; brokerOrderId: string; at: string }>
  | Readonly<{ type: 'order.ended'; order: Order; at: string }>
  /**
   * An exit of a bracket or oto order executed. It changes the portfolio, and is no event of the
   * trade.
   */
  | Readonly<{ type: 'leg.executed'; order: Order; leg: Leg; execution: Execution }>
  | Readonly<{ type: 'position.opened'; position: Position; at: string }>
  | Readonly<{ type: 'position.changed'; position: Position; at: string }>
  | Readonly<{ type: 'position.closed'; position: Position; at: string }>
  | Readonly<{
      type: 'cash.changed'
      account: Account
      previousCash: Decimal
      cause: CashCause
      at: string
    }>
  | Readonly<{ type: 'anomaly'; orderId: string; what: Anomaly }>

/** Unexpected facts. An anomaly is always reported, and changes no state by itself. */
export const ANOMALIES = [
  'illegal_transition',
  'overfilled',
  'held_overflow',
  'unknown_order',
  /** The order has our client order id, but not the requested terms. */
  'foreign_order',
  /**
   * The broker shows no symbol or no side of the order. The effect of its executions comes from the
   * account's own figures.
   */
  'unreadable_order',
  /** The broker accepted one of our orders with other terms than requested. The record has both. */
  'differs_from_request',
  'unrecognized_status',
  /**
   * The order was closed as never received, and appeared at the broker nevertheless. If it is open,
   * cancel it.
   */
  'appeared_after_close',
  'too_many_placements',
  /** Work on the order crashed its worker repeatedly. An operator has to look at it. */
  'set_aside',
  /**
   * The broker's holding differs from ours, and neither an execution nor a corporate action
   * explains the difference.
   */
  'unexplained_drift',
] as const

export type Anomaly = (typeof ANOMALIES)[number]

/** The record key of an update whose order has no record yet. */
export type OrderKey = Readonly<{
  id: string
  origin: Order['origin']
  userId: string
  connectionId: string
}>

export type Reduced = Readonly<{ slice: Slice; changes: readonly Change[] }>
