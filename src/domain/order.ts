import type { Decimal } from './decimal.ts'
import type { OrderClass, OrderIntent, OrderType, Side, TimeInForce } from './intent.ts'
import type { BrokerStatus, FinalStatus, OrderStatus } from './transitions.ts'

/**
 * One order of a user, with all orders at the broker that carry it out.
 *
 * A **placement** is one order at the broker. The placements of one leg are a **chain**: the first
 * placement, and the placements that replaced it. Simple orders have one leg. Bracket, oco and oto
 * orders have exits as well, which the broker creates and names.
 *
 * Invariant (kept by `reduce`):
 * - Every executed unit of a placement is booked exactly once, in the order of cumulative quantity,
 *   in any order of arrival.
 * - The order's own quantities are sums over the placements that count (`counts`).
 * - The order's status follows from the statuses of these placements (`statusOf`).
 * - The order ends once, and only when no placement that counts can still execute. A later
 *   execution is a correction.
 */
export type Order = Readonly<{
  schema: 2
  /** `tradeId` of our own orders; `ext.<broker order id>` of orders placed elsewhere. */
  id: string
  origin: 'fillcast' | 'external'
  userId: string
  connectionId: string
  symbol: string
  side: Side
  orderType: OrderType
  timeInForce: TimeInForce
  orderClass: OrderClass
  /** The terms that were last agreed. A confirmed replacement changes the terms. */
  quantity: Decimal | null
  notional: Decimal | null
  limitPrice: Decimal | null
  stopPrice: Decimal | null
  trailPrice: Decimal | null
  trailPercent: Decimal | null
  extendedHours: boolean
  takeProfit: OrderIntent['takeProfit']
  stopLoss: OrderIntent['stopLoss']
  notAfter: string | null
  /**
   * The order is to close a position. It is sent as large as the position allows, and of a kind
   * that cannot open a position. Absent: no.
   */
  closes?: boolean
  /** Hash of the requested parameters; `null` for orders found at the broker. */
  parametersHash: string | null
  status: OrderStatus
  placements: readonly Placement[]
  /** Executed and not busted, over the placements that count. */
  cumulativeQuantity: Decimal
  /** Exact sum of price times quantity over the same executions. */
  totalCost: Decimal
  /**
   * When the order was requested. Absent: the order was found at the broker, or its record was
   * written by an earlier version.
   */
  askedAt?: string
  /**
   * When the order was claimed, or claimed again after all earlier requests were known to have
   * failed.
   */
  claimedAt: string | null
  /** When the last request to place the order began; `null`: the order cannot be at the broker. */
  attemptedAt: string | null
  /**
   * When the last request had ended, with any result. If it is before `attemptedAt`, or `null`, the
   * request may still be in progress.
   */
  attemptEndedAt: string | null
  /** The order was sent, and its outcome is unknown since this time. */
  unknownSince: string | null
  /**
   * The refusal of an order that was never sent according to its record. An earlier request may
   * have arrived at the broker, because the store may have lost its record.
   */
  doubtedRefusal?: Refusal
  /**
   * When the order was quarantined: work on it crashed its worker repeatedly. Workers do nothing
   * more for the order until a new command arrives (CRA-08).
   */
  setAsideAt?: string | null
  /**
   * The differences between the request and the order that the broker accepted. Absent: no
   * difference.
   */
  differences?: readonly Difference[]
  submittedAt: string | null
  lastExecutionAt: string | null
  endedAt: string | null
  cancel: CancelRequest | null
  /**
   * Replacements that were requested and have no outcome yet, oldest first. Only the first is in
   * progress.
   */
  replaces: readonly ReplaceRequest[]
  /** The results of the replacements that ended, oldest first. */
  replaceResults: readonly ReplaceResult[]
  /** Commands that ended and left no other trace; see `commandsOf`. */
  endedCommands?: readonly EndedCommand[]
  /** If the order is a close: the command that requested it. */
  closeCommandId?: string | null
  rejection: Rejection | null
  /** Ids of busts and corrections that are booked. */
  busts: readonly string[]
}>

/**
 * Why an order ends without ever working at the broker: our own checks denied it, or the broker
 * refused the request definitively.
 */
export type Refusal =
  | Readonly<{ type: 'denied'; code: string; message: string; at: string }>
  | Readonly<{
      type: 'refused'
      code: string
      brokerCode: string | null
      message: string
      at: string
    }>

/**
 * `entry` is the order itself. The two other legs are exits. The broker places them once the entry
 * is filled (oco: beside the entry).
 */
export const LEGS = ['entry', 'takeProfit', 'stopLoss'] as const

export type Leg = (typeof LEGS)[number]

/** One order at the broker, as far as it is known and booked. */
export type Placement = Readonly<{
  leg: Leg
  /** 0 for the first placement of its leg, one more for each replacement. */
  replacement: number
  /**
   * The placement's terms are the order's terms. Always true for the first placement; true for a
   * replacement once it is known to have taken place.
   */
  agreed: boolean
  clientOrderId: string
  brokerOrderId: string | null
  quantity: Decimal | null
  limitPrice: Decimal | null
  stopPrice: Decimal | null
  status: OrderStatus
  /** The broker's latest status while the placement is open, by the broker's time. */
  working: Readonly<{ status: BrokerStatus; at: string }> | null
  /** The broker's final status. It is applied once `filledQuantity` has been booked. */
  final: Readonly<{ status: FinalStatus; filledQuantity: Decimal; at: string }> | null
  /** The booked quantity, busted executions included. It never falls. */
  cumulativeQuantity: Decimal
  totalCost: Decimal
  /**
   * The highest filled quantity that any source has reported. If it is above `cumulativeQuantity`,
   * there is a gap.
   */
  reportedQuantity: Decimal
  /** Executions that arrived before earlier executions, lowest first. */
  held: readonly Execution[]
  /**
   * The quantity and cost that the venue took back. The broker's own totals exclude it from `at`
   * on. `cost` is signed.
   */
  busted: Readonly<{ quantity: Decimal; cost: Decimal; at: string }> | null
  /**
   * The broker's own latest total, by its time, without busted executions. `null` before the first
   * execution.
   */
  total: BrokerTotal | null
}>

/** The broker's total of an order. `averagePrice` is rounded by the broker. */
export type BrokerTotal = Readonly<{ quantity: Decimal; averagePrice: Decimal | null; at: string }>

/**
 * One match at the venue. `cumulativeQuantity` includes its own quantity. The two quantities are
 * its span and identify it: the same execution has the same span in every source, even if its ids
 * differ.
 */
export type Execution = Readonly<{
  executionId: string | null
  quantity: Decimal
  price: Decimal
  cumulativeQuantity: Decimal
  at: string
}>

/**
 * An execution that the venue took back (`price` and `quantity` are the execution's own) or
 * restated (`corrected`).
 */
export type Bust = Readonly<{
  /**
   * The id of the bust, or of the execution that it takes back. A repeated bust has the same id.
   */
  id: string
  quantity: Decimal
  price: Decimal
  corrected: Readonly<{ quantity: Decimal; price: Decimal }> | null
  at: string
}>

/**
 * A requested cancel, with its author and reason. It is only a request until the broker shows its
 * effect.
 */
export type CancelRequest = Readonly<{
  commandId: string
  by: 'user' | 'system'
  reason: string
  requestedAt: string
}>

/**
 * The changes of a replacement; `null`: unchanged. `quantity` is the order's total and includes the
 * filled quantity.
 */
export type ReplaceTerms = Readonly<{
  quantity: Decimal | null
  limitPrice: Decimal | null
  stopPrice: Decimal | null
  trail: Decimal | null
  timeInForce: TimeInForce | null
}>

/**
 * A requested replacement. Its client order id follows from its leg and `replacement`, so that a
 * second send is harmless.
 */
export type ReplaceRequest = Readonly<{
  commandId: string
  leg: Leg
  replacement: number
  terms: ReplaceTerms
  requestedAt: string
  /** When the request was last sent; `null`: not sent yet. */
  sentAt: string | null
}>

/** The result of a requested replacement. `message`: why it did not take place. */
export type ReplaceResult = Readonly<
  Pick<ReplaceRequest, 'commandId' | 'leg' | 'replacement'> & {
    /** `overtaken`: a cancel, or the end of the order, came before the replacement was sent. */
    outcome: 'replaced' | 'refused' | 'overtaken'
    message: string | null
    /** The requested terms. Absent in records of an earlier version. */
    terms?: ReplaceTerms
    at: string
  }
>

/** Why an order was denied or rejected. `code` is ours (contract), `brokerCode` is the broker's. */
export type Rejection = Readonly<{
  code: string
  brokerCode: string | null
  message: string
  at: string
}>

/**
 * The number of executions of one placement that wait for earlier executions. Further executions
 * are dropped, and reconciliation fetches them again.
 */
export const HELD_EXECUTIONS_MAX = 256

/** Ids of busts kept in one order. A venue takes back a handful at most. */
export const BUSTS_MAX = 256

/**
 * Placements of one order. The broker's chains are short, and a record must stay small. Further
 * replacements are refused.
 */
export const PLACEMENTS_MAX = 64

/** Replacements of one order that wait for an earlier replacement. */
export const REPLACES_WAITING_MAX = 16

/**
 * Replacements of one order that are remembered, refused replacements included. Further
 * replacements are refused. A replacement number is never used twice.
 */
export const REPLACES_MAX = 64

/**
 * Reports if the executions of a leg are the order's own executions. True for the entry, and for
 * both sides of an oco, because an oco is an exit itself.
 */
export const counts = (order: Pick<Order, 'orderClass'>, leg: Leg): boolean =>
  leg === 'entry' || order.orderClass === 'oco'

/** The newest placement of a leg. Commands refer to this placement. */
export function headOf(order: Pick<Order, 'placements'>, leg: Leg): Placement | null {
  let head: Placement | null = null
  for (const placement of order.placements)
    if (placement.leg === leg && (head === null || placement.replacement > head.replacement))
      head = placement
  return head
}

/** The side on which a leg trades. Exits trade on the opposite side of their entry. */
export const sideOf = ({ side, orderClass }: Pick<Order, 'side' | 'orderClass'>, leg: Leg): Side =>
  leg === 'entry' || orderClass === 'oco' ? side : side === 'buy' ? 'sell' : 'buy'

/**
 * The order's intent, to send it again. It equals the request only while no replacement took place.
 */
export function intentOf(order: Order): OrderIntent {
  const {
    userId,
    connectionId,
    id,
    symbol,
    side,
    orderType,
    timeInForce,
    orderClass,
    quantity,
    notional,
  } = order
  const {
    limitPrice,
    stopPrice,
    trailPrice,
    trailPercent,
    extendedHours,
    takeProfit,
    stopLoss,
    notAfter,
  } = order
  return {
    userId,
    connectionId,
    tradeId: id,
    symbol,
    side,
    orderType,
    timeInForce,
    orderClass,
    quantity,
    notional,
    limitPrice,
    stopPrice,
    trailPrice,
    trailPercent,
    extendedHours,
    takeProfit,
    stopLoss,
    notAfter,
  }
}

/**
 * One command of an order, as its caller reads it back.
 *
 * - `pending`: accepted, and the broker has not shown its effect yet.
 * - `done`: the command took place. For a close: its order was sent.
 * - `refused`: by our own checks or by the broker; the order was not changed. `message` says why.
 * - `overtaken`: by another command, or by the end of the order.
 */
export type CommandResult = Readonly<{
  commandId: string
  kind: 'cancel' | 'replace' | 'close'
  outcome: 'pending' | 'done' | 'refused' | 'overtaken'
  message: string | null
  /**
   * When the command was requested. Once the command has ended: when it ended, if that is known.
   */
  at: string
}>

/** A command that ended without any other trace in its order. */
export type EndedCommand = CommandResult & Readonly<{ outcome: 'refused' | 'overtaken' }>

/**
 * One field in which an order at the broker differs from the request.
 *
 * - `conformed`: the broker writes the same value differently, or changed the figure to one that it
 *   can trade.
 * - `unexplained`: the order is another order, unless it is the answer to our own request.
 */
export type Difference = Readonly<{
  field: string
  asked: string | null
  shown: string | null
  kind: 'conformed' | 'unexplained'
}>
