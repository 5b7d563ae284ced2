import type { Decimal } from './decimal.ts'
import type { OrderClass, OrderIntent, OrderType, Side, TimeInForce } from './intent.ts'
import type { BrokerStatus, FinalStatus, OrderStatus } from './transitions.ts'

/**
 * One order of a user, and everything at the broker that carries it out.
 *
 * A **placement** is one order at the broker. The placements of one leg are a **chain**: the first,
 * and those that replaced it. Simple orders have one leg; bracket, oco and oto orders have exits as
 * well, which the broker makes and names.
 *
 * Kept true by `reduce`:
 * - every executed unit of a placement is booked exactly once, from the bottom up, whatever the
 *   order of arrival;
 * - the order's own quantities are sums over the placements that count (`counts`), and its status
 *   follows from theirs (`statusOf`);
 * - it ends once, and only when no placement that counts can still execute; what executes later is
 *   a correction.
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
  /** The terms as they were last agreed: a confirmed replacement changes them. */
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
   * It was asked to close a position: it is sent as large as that allows, and as an order that
   * cannot open one. Absent: no.
   */
  closes?: boolean
  /** Hash of what was asked for; `null` for orders found at the broker. */
  parametersHash: string | null
  status: OrderStatus
  placements: readonly Placement[]
  /** Executed and not busted, over the placements that count. */
  cumulativeQuantity: Decimal
  /** Exact sum of price times quantity over the same. */
  totalCost: Decimal
  /** When it was asked for. Absent: found at the broker, or written by an earlier version. */
  askedAt?: string
  /**
   * When it was claimed, or taken up again after everything that had been sent was known to have
   * come to nothing.
   */
  claimedAt: string | null
  /** When the last request to place it began; `null`: nothing of it can be at the broker. */
  attemptedAt: string | null
  /**
   * When that request was known to be over, whatever became of it; before `attemptedAt`, or `null`:
   * it may be under way.
   */
  attemptEndedAt: string | null
  /** Sent, and the outcome is not known since this time. */
  unknownSince: string | null
  /**
   * Of one that was never sent, as far as its record goes: it was refused, and whether an earlier
   * request arrived is not known yet.
   */
  doubtedRefusal?: Refusal
  /**
   * Work on it brought its worker down time and again: nothing is done by itself any more until
   * somebody asks anew (CRA-08).
   */
  setAsideAt?: string | null
  /**
   * How the broker took the order on otherwise than it was asked for; absent: as it was asked for.
   */
  differences?: readonly Difference[]
  submittedAt: string | null
  lastExecutionAt: string | null
  endedAt: string | null
  cancel: CancelRequest | null
  /**
   * Replacements that were asked for and have no outcome yet, oldest first; only the first is under
   * way.
   */
  replaces: readonly ReplaceRequest[]
  /** What became of the others, oldest first. */
  replaceResults: readonly ReplaceResult[]
  /** Commands that ended and left no other trace; see `commandsOf`. */
  endedCommands?: readonly EndedCommand[]
  /** The order is a close: the command that asked for it. */
  closeCommandId?: string | null
  rejection: Rejection | null
  /** Ids of busts and corrections that are booked. */
  busts: readonly string[]
}>

/**
 * Why an order ends without any life at the broker: our own checks, or the broker's definitive
 * answer to the request itself.
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
 * `entry` is the order itself; the others are exits that the broker places once it is filled (oco:
 * beside it).
 */
export const LEGS = ['entry', 'takeProfit', 'stopLoss'] as const

export type Leg = (typeof LEGS)[number]

/** One order at the broker, as far as it is known and booked. */
export type Placement = Readonly<{
  leg: Leg
  /** 0 for the first of its leg, one more for each that replaced it. */
  replacement: number
  /**
   * Whether its terms are the order's: always for the first, for a replacement once it is known to
   * have taken place.
   */
  agreed: boolean
  clientOrderId: string
  brokerOrderId: string | null
  quantity: Decimal | null
  limitPrice: Decimal | null
  stopPrice: Decimal | null
  status: OrderStatus
  /** The broker's latest word on it while open, by the broker's time. */
  working: Readonly<{ status: BrokerStatus; at: string }> | null
  /** How the broker ended it; applied once `filledQuantity` has been booked. */
  final: Readonly<{ status: FinalStatus; filledQuantity: Decimal; at: string }> | null
  /** Booked so far, busted ones included: it never falls. */
  cumulativeQuantity: Decimal
  totalCost: Decimal
  /**
   * The highest filled quantity that any source has shown; above `cumulativeQuantity` there is a
   * gap.
   */
  reportedQuantity: Decimal
  /** Executions that arrived before the ones under them, lowest first. */
  held: readonly Execution[]
  /**
   * Taken back by the venue since; the broker's own totals leave it out from `at` on. `cost` has
   * its sign.
   */
  busted: Readonly<{ quantity: Decimal; cost: Decimal; at: string }> | null
  /**
   * The broker's own latest total, by its time; what was busted is left out of it. `null` until
   * something has executed.
   */
  total: BrokerTotal | null
}>

/** What the broker says of an order as a whole. `averagePrice` is rounded by the broker. */
export type BrokerTotal = Readonly<{ quantity: Decimal; averagePrice: Decimal | null; at: string }>

/**
 * One match at the venue. `cumulativeQuantity` includes it, and with `quantity` names it: the same
 * execution has the same span in every source, even where ids differ.
 */
export type Execution = Readonly<{
  executionId: string | null
  quantity: Decimal
  price: Decimal
  cumulativeQuantity: Decimal
  at: string
}>

/**
 * An execution that the venue took back (`price`, `quantity` are the execution's own) or restated
 * (`corrected`).
 */
export type Bust = Readonly<{
  /**
   * Of the bust itself, or of the execution that it takes back: what makes a repeat recognizable.
   */
  id: string
  quantity: Decimal
  price: Decimal
  corrected: Readonly<{ quantity: Decimal; price: Decimal }> | null
  at: string
}>

/** Who asked for a cancel, and why; a request only, until the broker shows its effect. */
export type CancelRequest = Readonly<{
  commandId: string
  by: 'user' | 'system'
  reason: string
  requestedAt: string
}>

/**
 * What a replacement changes; `null` stays as it is. `quantity` is the order's total, what is
 * filled included.
 */
export type ReplaceTerms = Readonly<{
  quantity: Decimal | null
  limitPrice: Decimal | null
  stopPrice: Decimal | null
  trail: Decimal | null
  timeInForce: TimeInForce | null
}>

/**
 * A replacement asked for. Its client order id follows from leg and `replacement`, so that sending
 * it twice is harmless.
 */
export type ReplaceRequest = Readonly<{
  commandId: string
  leg: Leg
  replacement: number
  terms: ReplaceTerms
  requestedAt: string
  /** When it was last sent; `null`: not yet. */
  sentAt: string | null
}>

/** What became of a replacement that was asked for. `message` says why it did not take place. */
export type ReplaceResult = Readonly<
  Pick<ReplaceRequest, 'commandId' | 'leg' | 'replacement'> & {
    /** `overtaken`: by a cancel, or by the end of the order, before it was sent. */
    outcome: 'replaced' | 'refused' | 'overtaken'
    message: string | null
    /** What was asked for; absent in records of an earlier version. */
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
 * Executions that wait for earlier ones, at most this many per placement; beyond it they are
 * fetched again by reconciliation.
 */
export const HELD_EXECUTIONS_MAX = 256

/** Ids of busts kept in one order; a venue takes back a handful at most. */
export const BUSTS_MAX = 256

/**
 * Placements of one order: the broker's chains are short, and a record must stay small. More
 * replacements are refused.
 */
export const PLACEMENTS_MAX = 64

/** Replacements of one order that wait for their turn. */
export const REPLACES_WAITING_MAX = 16

/**
 * Replacements of one order that are remembered, refused ones too; further ones are refused. A
 * number is never used twice.
 */
export const REPLACES_MAX = 64

/**
 * Whether what a leg executes is the order's own execution: its entry always, and both sides of an
 * oco, which is an exit itself.
 */
export const counts = (order: Pick<Order, 'orderClass'>, leg: Leg): boolean =>
  leg === 'entry' || order.orderClass === 'oco'

/** The newest placement of a leg: the one that commands are aimed at. */
export function headOf(order: Pick<Order, 'placements'>, leg: Leg): Placement | null {
  let head: Placement | null = null
  for (const placement of order.placements)
    if (placement.leg === leg && (head === null || placement.replacement > head.replacement))
      head = placement
  return head
}

/** The side on which a leg trades: exits are on the other side of their entry. */
export const sideOf = ({ side, orderClass }: Pick<Order, 'side' | 'orderClass'>, leg: Leg): Side =>
  leg === 'entry' || orderClass === 'oco' ? side : side === 'buy' ? 'sell' : 'buy'

/**
 * What was asked for, as it can be sent again; only true to the request while nothing was replaced.
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
 * One command as its caller reads it back.
 *
 * - `pending`: taken, and the broker has not shown its effect yet.
 * - `done`: it took place; of a close: its order was sent.
 * - `refused`: by our own checks or by the broker; nothing was changed. `message` says why.
 * - `overtaken`: by another command, or by the end of the order.
 */
export type CommandResult = Readonly<{
  commandId: string
  kind: 'cancel' | 'replace' | 'close'
  outcome: 'pending' | 'done' | 'refused' | 'overtaken'
  message: string | null
  /** When it was asked for; once it is over: when it ended, where that is known. */
  at: string
}>

/** A command that ended without leaving any other trace in its order. */
export type EndedCommand = CommandResult & Readonly<{ outcome: 'refused' | 'overtaken' }>

/**
 * One field in which an order at the broker is otherwise than it was asked for.
 *
 * - `conformed`: the broker says the same in other words, or made the figure one that it can trade.
 * - `unexplained`: another order, unless the order is the answer to our own request.
 */
export type Difference = Readonly<{
  field: string
  asked: string | null
  shown: string | null
  kind: 'conformed' | 'unexplained'
}>
