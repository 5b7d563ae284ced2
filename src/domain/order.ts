import type { Decimal } from './decimal.ts'
import type { OrderClass, OrderType, Side, TimeInForce } from './intent.ts'

/**
 * The life of an order.
 *
 *   submitting --> submitted --> partially_filled --> filled
 *       |  (claimed, perhaps sent, no evidence yet)     canceled | expired | replaced
 *       +--> denied (refused by our own checks, never sent)   rejected (refused by the broker, with proof)
 *
 * Kept true by `transitionOf` and `reduce`:
 * - the cumulative quantity never falls, and every unit of it was booked exactly once;
 * - a terminal status is reached only once every execution that it speaks of has been booked;
 * - the same broker updates give the same order, whatever their order of arrival and however often they are repeated.
 */
export type OrderStatus =
  | 'submitting'
  | 'submitted'
  | 'partially_filled'
  | 'filled'
  | 'expired'
  | 'replaced'
  | 'canceled'
  | 'rejected'
  | 'denied'

/** What an update says about the order's life, whichever source it came from. */
export type Signal =
  'acknowledged' | 'fill' | 'fillLast' | 'expired' | 'replaced' | 'canceled' | 'rejected' | 'refused' | 'denied'

type Row = Readonly<Partial<Record<Signal, OrderStatus>>>

const stays = (status: OrderStatus, ...signals: Signal[]): Row => Object.fromEntries(signals.map((s) => [s, status]))

/**
 * The one table of legal transitions; what is absent is illegal and changes nothing. Where two endings meet, the stronger wins
 * (filled > expired > replaced > canceled > rejected), so that the order of arrival does not matter.
 */
const TRANSITIONS: Readonly<Record<OrderStatus, Row>> = {
  submitting: {
    acknowledged: 'submitted',
    fill: 'partially_filled', // a fill may beat the answer to our own request
    fillLast: 'filled',
    expired: 'expired',
    replaced: 'replaced',
    canceled: 'canceled', // canceled in the broker's own app before our answer came
    rejected: 'rejected',
    refused: 'rejected', // the definitive answer to the request itself
    denied: 'denied',
  },
  submitted: {
    ...stays('submitted', 'acknowledged'),
    fill: 'partially_filled',
    fillLast: 'filled',
    expired: 'expired',
    replaced: 'replaced',
    canceled: 'canceled',
    rejected: 'rejected', // answered 200, refused by the venue later
  },
  partially_filled: {
    ...stays('partially_filled', 'acknowledged', 'fill'),
    fillLast: 'filled',
    expired: 'expired',
    replaced: 'replaced',
    canceled: 'canceled',
    rejected: 'canceled', // something was executed, so it was not rejected: the rest is gone
  },
  rejected: {
    ...stays('rejected', 'acknowledged', 'rejected', 'refused'),
    fill: 'canceled', // as above, seen the other way round
    fillLast: 'filled',
    canceled: 'canceled',
    replaced: 'replaced',
    expired: 'expired',
  },
  canceled: {
    ...stays('canceled', 'acknowledged', 'rejected', 'canceled'),
    fill: 'canceled', // the venue matched before our cancel reached it: real money, booked
    fillLast: 'filled',
    replaced: 'replaced', // what looked like a cancel was one half of a replace
    expired: 'expired',
  },
  replaced: {
    ...stays('replaced', 'acknowledged', 'rejected', 'canceled', 'replaced', 'fill'),
    fillLast: 'filled',
    expired: 'expired',
  },
  expired: {
    ...stays('expired', 'acknowledged', 'rejected', 'canceled', 'replaced', 'expired', 'fill'),
    fillLast: 'filled',
  },
  filled: stays(
    'filled',
    'acknowledged',
    'fill', // more executed than ordered: booked, and reported as an anomaly
    'fillLast',
    'expired',
    'replaced',
    'canceled',
    'rejected',
  ),
  denied: stays('denied', 'denied'), // never sent: any broker evidence for it is an anomaly
}

/** The status after `signal`, or `null` when the transition is illegal. */
export const transitionOf = (from: OrderStatus, signal: Signal): OrderStatus | null => TRANSITIONS[from][signal] ?? null

const TERMINAL: ReadonlySet<OrderStatus> = new Set(['filled', 'expired', 'replaced', 'canceled', 'rejected', 'denied'])

/** No further work is expected; late executions are booked all the same. */
export const isTerminal = (status: OrderStatus): boolean => TERMINAL.has(status)

/** How a broker ends an order. */
export type FinalStatus = Extract<OrderStatus, 'filled' | 'expired' | 'replaced' | 'canceled' | 'rejected'>

/** Strongest last; see the table. */
export const FINAL_STRENGTH: Readonly<Record<FinalStatus, number>> = {
  rejected: 1,
  canceled: 2,
  replaced: 3,
  expired: 4,
  filled: 5,
}

export const isFinalStatus = (status: BrokerStatus): status is FinalStatus => Object.hasOwn(FINAL_STRENGTH, status)

/** The broker's own status words (Alpaca's set); `unrecognized` stands for any word that is newer than this list. */
export type BrokerStatus =
  | 'accepted'
  | 'pending_new'
  | 'accepted_for_bidding'
  | 'new'
  | 'held'
  | 'partially_filled'
  | 'done_for_day'
  | 'stopped'
  | 'suspended'
  | 'calculated'
  | 'pending_cancel'
  | 'pending_replace'
  | 'unrecognized'
  | FinalStatus

/** One match at the venue. `cumulativeQuantity` includes it, and with `quantity` names it: the same execution has the same span
 *  in every source, even where ids differ. */
export type Execution = Readonly<{
  executionId: string | null
  quantity: Decimal
  price: Decimal
  cumulativeQuantity: Decimal
  at: string
}>

/** Who asked for a cancel, and why; a request only, until the broker shows its effect. */
export type CancelRequest = Readonly<{ commandId: string; by: 'user' | 'system'; reason: string; requestedAt: string }>

/** Why an order was denied or rejected. `code` is ours (contract), `brokerCode` is the broker's. */
export type Rejection = Readonly<{ code: string; brokerCode: string | null; message: string; at: string }>

/** A broker order and what we know of it; the stored record. `schema` is the record's version. */
export type Order = Readonly<{
  schema: 1
  /** `tradeId` of our own orders; `ext.<broker order id>` of orders placed elsewhere. */
  id: string
  origin: 'fillcast' | 'external'
  userId: string
  connectionId: string
  clientOrderId: string
  brokerOrderId: string | null
  symbol: string
  side: Side
  orderType: OrderType
  timeInForce: TimeInForce
  orderClass: OrderClass
  quantity: Decimal | null
  notional: Decimal | null
  limitPrice: Decimal | null
  stopPrice: Decimal | null
  notAfter: string | null
  /** Hash of the intent's parameters; `null` for orders found at the broker. */
  parametersHash: string | null
  status: OrderStatus
  /** Sent, and the outcome is not known since this time. */
  unknownSince: string | null
  /** The broker's latest word on an open order, by the broker's time. */
  working: Readonly<{ status: BrokerStatus; at: string }> | null
  /** How the broker ended it; applied once `filledQuantity` has been booked. */
  final: Readonly<{ status: FinalStatus; filledQuantity: Decimal; at: string; reason: string | null }> | null
  /** Booked so far. */
  cumulativeQuantity: Decimal
  /** Exact sum of price times quantity over what is booked. */
  totalCost: Decimal
  /** The highest filled quantity that any source has shown; above `cumulativeQuantity` there is a gap. */
  reportedQuantity: Decimal
  /** Executions that arrived before the ones under them, lowest first. */
  held: readonly Execution[]
  claimedAt: string | null
  submittedAt: string | null
  lastExecutionAt: string | null
  cancel: CancelRequest | null
  rejection: Rejection | null
}>

/** Executions that wait for earlier ones, at most this many per order; beyond it they are fetched again by reconciliation. */
export const HELD_EXECUTIONS_MAX = 256
