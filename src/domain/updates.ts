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
 * An order as the broker shows it, in our words; what every source (stream, answer, list) is
 * translated into.
 */
export type BrokerOrder = Readonly<{
  brokerOrderId: string
  /** '' where the broker tells none. */
  clientOrderId: string
  /** '' where it cannot be read. */
  symbol: string
  /** `null` here and in the next two: the broker's word is not known here. */
  side: Side | null
  orderType: OrderType | null
  timeInForce: TimeInForce | null
  orderClass: OrderClass
  status: BrokerStatus
  quantity: Decimal | null
  notional: Decimal | null
  filledQuantity: Decimal
  /** Over everything filled so far; `null` before the first execution. */
  filledAveragePrice: Decimal | null
  limitPrice: Decimal | null
  stopPrice: Decimal | null
  submittedAt: string
  /** The broker's time of this view. */
  updatedAt: string
  /** The broker order that this one took the place of, and the one that took its place. */
  replaces: string | null
  replacedBy: string | null
  /**
   * The exits of a bracket, oco or oto order, where this source tells them; empty proves nothing.
   */
  legs: readonly BrokerOrder[]
  /**
   * Fields that could not be read, by their names here: they say nothing. Absent: everything was
   * read.
   */
  unread?: readonly (keyof BrokerOrder)[]
}>

/**
 * One thing learnt about one order. Facts, whatever their source; applying one twice changes
 * nothing.
 */
export type OrderUpdate =
  /** Our own decision to send this intent; the first record of a trade. */
  | Readonly<{
      type: 'claimed'
      intent: OrderIntent
      clientOrderId: string
      parametersHash: string
      closes?: boolean
      /** The command that it comes from, of a close. */
      closeCommandId?: string | null
      /** When it was asked for. */
      askedAt?: string
      at: string
    }>
  /** It is being sent, again; `quantity` where it was sized anew after a refusal. */
  | Readonly<{ type: 'attempted'; quantity: Decimal | null; at: string }>
  /**
   * The last request certainly came to nothing, and the order may be sent later: rate limited, or
   * never left.
   */
  | Readonly<{ type: 'not_sent'; at: string }>
  | Refusal
  /** Canceled before it was ever sent. */
  | Readonly<{ type: 'withdrawn'; at: string }>
  /** Sent, and nobody knows. */
  | Readonly<{ type: 'outcome_unknown'; at: string }>
  /**
   * Refused, and whether an earlier request arrived, of which the store lost the record, is not
   * known yet.
   */
  | Readonly<{ type: 'refusal_doubted'; refusal: Refusal; at: string }>
  /** Work on it brought its worker down time and again. */
  | Readonly<{ type: 'set_aside'; at: string }>
  | Readonly<{ type: 'cancel_requested'; request: CancelRequest }>
  /** A command that changes nothing of the order any more. */
  | Readonly<{ type: 'command_ended'; command: EndedCommand }>
  | Readonly<{ type: 'replace_requested'; request: Omit<ReplaceRequest, 'replacement' | 'sentAt'> }>
  | Readonly<{ type: 'replace_sent'; commandId: string; at: string }>
  /** Its only request certainly came to nothing, and may be made later. */
  | Readonly<{ type: 'replace_not_sent'; commandId: string }>
  /** It does not take place (one that does shows itself). */
  | Readonly<{
      type: 'replace_ended'
      commandId: string
      outcome: Exclude<ReplaceResult['outcome'], 'replaced'>
      message: string
      at: string
    }>
  /**
   * The newest placement of the entry keeps the size that it has: what it may execute is what the
   * order is for from now on.
   */
  | Readonly<{ type: 'size_stands'; at: string }>
  /**
   * The order's symbol is held, and no stop is shown: one that the order has from before is the
   * position's.
   */
  | Readonly<{ type: 'stop_stands'; at: string }>
  /** The broker's view of the order, with the execution that caused it where there is one. */
  | Readonly<{
      type: 'broker_order'
      order: BrokerOrder
      execution: Execution | null
      /** The answer to our own request to place the order: it is ours, however it is told. */
      isAnswer?: true
      at: string
    }>
  /**
   * All views of an order that had ended before it was claimed: recorded as it is, nothing is
   * booked or told.
   */
  | Readonly<{ type: 'past_order'; views: readonly BrokerOrder[] }>
  /** An execution on its own, from the activity list. */
  | Readonly<{ type: 'execution'; brokerOrderId: string; execution: Execution }>
  /** An execution taken back or restated by the venue. */
  | Readonly<{ type: 'bust'; brokerOrderId: string; bust: Bust }>
  /**
   * The broker's latest total, of the time `at`, stands: two complete readings a settle window
   * apart, nothing executed between.
   */
  | Readonly<{ type: 'total_stands'; brokerOrderId: string; at: string }>

/**
 * The part of a user's state that one order can touch: the order, its symbol's position, its
 * connection's account.
 */
export type Slice = Readonly<{
  order: Order | null
  position: Position | null
  account: Account | null
}>

/**
 * What came of an update, in the order in which it happened. Past tense; projected to client
 * events, counted and logged.
 */
export type Change =
  | Readonly<{ type: 'order.submitted'; order: Order }>
  | Readonly<{ type: 'order.executed'; order: Order; execution: Execution; completed: boolean }>
  /** An execution after the end, or one that was taken back. */
  | Readonly<{ type: 'order.corrected'; order: Order; what: string; at: string }>
  /** A replacement took place; the terms in `order` are the new ones. */
  | Readonly<{ type: 'order.replaced'; order: Order; leg: Leg; brokerOrderId: string; at: string }>
  | Readonly<{ type: 'order.ended'; order: Order; at: string }>
  /**
   * An exit of a bracket or oto order executed: it moves the portfolio, and is no event of the
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

/** Things that should not be, are never dropped silently, and change nothing by themselves. */
export const ANOMALIES = [
  'illegal_transition',
  'overfilled',
  'held_overflow',
  'unknown_order',
  /** It has our client order id, and is not what was asked for. */
  'foreign_order',
  /**
   * The broker does not say what is bought or sold by it; of its executions the account's own
   * figures tell.
   */
  'unreadable_order',
  /**
   * The broker took an order of ours on with other terms than were asked for; the record has both.
   */
  'differs_from_request',
  'unrecognized_status',
  /** It was closed as never received, and is there all the same: cancel it if it is open. */
  'appeared_after_close',
  'too_many_placements',
  /** Work on it brought its worker down time and again: somebody has to look at it. */
  'set_aside',
  /** The broker's holding differs and no execution or corporate action tells why. */
  'unexplained_drift',
] as const

export type Anomaly = (typeof ANOMALIES)[number]

/** Where an update lands that names an order we have no record of. */
export type OrderKey = Readonly<{
  id: string
  origin: Order['origin']
  userId: string
  connectionId: string
}>

export type Reduced = Readonly<{ slice: Slice; changes: readonly Change[] }>
