import type { RefusalCode } from '#contract'
import type {
  Asset,
  BrokerActivity,
  BrokerOrder,
  BrokerSnapshot,
  Bust,
  Decimal,
  Execution,
  OrderIntent,
  ReplaceTerms,
  RiskQuote,
} from '#domain'
import { FillcastError } from '#runtime'

export type { BrokerActivity }

/**
 * A broker account as the workers see it: one set of credentials, one environment. Everything is in
 * our words; what the vendor calls things ends at the adapter. Every call has a deadline of its
 * own, shorter than the queue's lock (SUB-08), and is sent once: nothing under this port repeats a
 * request by itself (SUB-07). Reading calls answer completely or throw a `BrokerError`.
 */
export interface Broker {
  /**
   * Sends an order once. Never throws: the outcome is accepted, refused with proof, not sent, or
   * unknown (P2).
   */
  submit(order: OrderTicket): Promise<SubmitOutcome>
  /**
   * Asks to replace an order. Never throws. Acceptance is no proof that it takes place: the old
   * order may be filled first.
   */
  replace(order: ReplaceTicket): Promise<ReplaceOutcome>
  /**
   * Asks to cancel. Never throws. Whatever it answers, only the order itself shows what became of
   * it.
   */
  cancel(brokerOrderId: string): Promise<CancelOutcome>
  /**
   * Exits included. Absent means that the broker does not know the id now; alone it proves nothing
   * about a request in flight.
   */
  findByClientOrderId(clientOrderId: string): Promise<BrokerOrder | null>
  /** Exits included. */
  findByBrokerOrderId(brokerOrderId: string): Promise<BrokerOrder | null>
  /**
   * The order that has `exit` among its exits, from all orders of its symbol; `null`: it has none,
   * which only success says.
   */
  findParent(exit: BrokerOrder): Promise<BrokerOrder | null>
  /**
   * All open orders, or all orders submitted at or after `since`. Exits are rows of their own,
   * `legs` is empty.
   */
  listOrders(filter: OrderFilter): Promise<readonly BrokerOrder[]>
  /**
   * One page of the orders submitted at or after `since`, oldest first: the page behind the order
   * `afterId`, or the first (`null`). For listings that are too long to be read within one call.
   */
  listOrderPage(since: string, afterId: string | null): Promise<OrderPage>
  /**
   * Executions at or after `since`, oldest first, and what was taken back of them where the source
   * tells it.
   */
  listExecutions(since: string): Promise<readonly (OrderExecution | OrderBust)[]>
  /** What moved cash or shares without an order, at or after `since`, oldest first. */
  listActivities(since: string): Promise<readonly BrokerActivity[]>
  /** Cash and positions. */
  readPortfolio(): Promise<BrokerSnapshot>
  /**
   * What is held of a symbol, negative when short, and how much of it no open order reserves;
   * `null`: no position.
   */
  readPosition(symbol: string): Promise<BrokerPosition | null>
  /**
   * The latest quote and trade of a symbol, however long ago they were made; `null`: the broker
   * knows none. Asked of the market data, which has limits and outages of its own: what becomes of
   * this call says nothing about trading.
   */
  readQuote(symbol: string): Promise<RiskQuote | null>
  /**
   * Everything of the broker's that can be traded or was a short while ago: the same list for all
   * accounts of an environment.
   */
  listAssets(): Promise<readonly Asset[]>
  /** Whether the account may trade. */
  readAccount(): Promise<AccountStanding>
  readClock(): Promise<MarketClock>
  /**
   * The exchange's sessions on the days from `from` to `to`, both `2026-01-02` and included; days
   * without one are absent.
   */
  readSessions(from: string, to: string): Promise<readonly MarketSession[]>
  /**
   * Opens the account's trade stream; it reconnects by itself until closed.
   * @param urgency asked before every handshake: when many accounts wait for theirs, the most
   *   urgent go first; default `idle`
   */
  openTradeStream(listener: TradeStreamListener, urgency?: () => StreamUrgency): TradeStream
  /**
   * Opens the replayable stream of account activities, which tells again what came after an event;
   * it reconnects by itself.
   * @param sinceId the last event that was handled; `null`: from now on
   * @returns `null` where this broker never has one
   */
  openActivityStream(
    sinceId: string | null,
    listener: ActivityStreamListener,
  ): ActivityStream | null
}

/** What is sent: an intent and the id that makes sending it again harmless. */
export type OrderTicket = Readonly<{
  intent: OrderIntent
  clientOrderId: string
  /**
   * It may only close what is held: the broker refuses it where it would open a position; default
   * false.
   */
  isClose?: boolean
  /** The claim has taken this request out of the account's budget already; default false. */
  isBudgeted?: boolean
}>

/**
 * A replacement: which broker order, the id of the new one, and what changes. `terms.quantity` is
 * sent as it is.
 */
export type ReplaceTicket = Readonly<{
  brokerOrderId: string
  clientOrderId: string
  terms: ReplaceTerms
  /** As of an `OrderTicket`. */
  isBudgeted?: boolean
}>

/**
 * Nothing left this process: the budget is spent, or the broker is known to be away. Try again
 * after `retryAfterMs`.
 */
export type NotSent = Readonly<{ kind: 'not_sent'; why: string; retryAfterMs: number }>
/**
 * Not accepted, not judged either: the broker counts more requests than it allows. `null`: it did
 * not say until when.
 */
export type RateLimited = Readonly<{ kind: 'rate_limited'; retryAfterMs: number | null }>
/** Timeout, cut connection, 5xx, unreadable answer: nobody knows. */
export type Unknown = Readonly<{ kind: 'unknown'; cause: string }>

export type SubmitOutcome =
  | Readonly<{ kind: 'accepted'; order: BrokerOrder }>
  /** The id is taken: an earlier attempt was accepted. Look it up. */
  | Readonly<{ kind: 'duplicate' }>
  /** Definitely not accepted. `code` is one of the contract's. */
  | Readonly<{ kind: 'refused'; code: RefusalCode; brokerCode: string | null; message: string }>
  | RateLimited
  | NotSent
  | Unknown

export type ReplaceOutcome =
  /** The order that is to take the place. */
  | Readonly<{ kind: 'accepted'; order: BrokerOrder }>
  /** The new id is taken: an earlier attempt was accepted. Look it up. */
  | Readonly<{ kind: 'duplicate' }>
  /** Not replaceable now, or terms that the broker does not take: read the order. */
  | Readonly<{ kind: 'refused'; message: string }>
  | RateLimited
  | NotSent
  | Unknown

export type CancelOutcome =
  /** Taken note of; the order will show it. */
  | Readonly<{ kind: 'requested' }>
  /** Not cancelable now, or not known: read the order. */
  | Readonly<{ kind: 'refused'; message: string }>
  | RateLimited
  | NotSent
  | Unknown

/** `since`: submitted then or later. */
export type OrderFilter = Readonly<{ status: 'open' } | { status: 'closed' | 'all'; since: string }>

/** Orders of one page of a listing, at most. A page with fewer rows is the last page for now. */
export const ORDERS_PER_PAGE = 500

/**
 * `rows`: how many the broker listed, unreadable ones included. `lastId`: the last of them; `null`:
 * there was none.
 */
export type OrderPage = Readonly<{
  orders: readonly BrokerOrder[]
  rows: number
  lastId: string | null
}>

/** An execution and the order it belongs to. */
export type OrderExecution = Readonly<{ brokerOrderId: string; execution: Execution }>
/** An execution that was taken back or restated, and the order it belongs to. */
export type OrderBust = Readonly<{ brokerOrderId: string; bust: Bust }>

export type BrokerPosition = Readonly<{ quantity: Decimal; available: Decimal }>

/** One regular session; times are ISO, UTC. */
export type MarketSession = Readonly<{ date: string; openAt: string; closeAt: string }>

export type AccountStanding = Readonly<{
  brokerAccountId: string
  canTrade: boolean
  why: string | null
}>

/** `at`: when it was so, on the same clock as the others; '' for what the broker does not tell. */
export type MarketClock = Readonly<{
  at: string
  isOpen: boolean
  nextOpen: string
  nextClose: string
}>

/**
 * One message of the trade stream: how the order is now, and what happened to it if an execution
 * did or was taken back.
 */
export type StreamUpdate = Readonly<{
  order: BrokerOrder
  execution: Execution | null
  bust: Bust | null
  at: string
}>

/**
 * Who gets a handshake first: accounts with orders whose outcome is not known, then those with open
 * orders, then the rest.
 */
export const STREAM_URGENCIES = ['in_flight', 'open_orders', 'idle'] as const
export type StreamUrgency = (typeof STREAM_URGENCIES)[number]

export type TradeStreamListener = Readonly<{
  /**
   * Subscribed; from here on updates flow. Called again after every reconnect: fill the gap then.
   */
  onLive(): void
  onUpdate(update: StreamUpdate): void
  /** A message that could not be read: something happened, and we do not know what. */
  onUnreadable(why: string): void
  /** Not subscribed any more; the stream tries again unless `final`. */
  onDown(why: StreamDown): void
}>

export type StreamDown = Readonly<{
  kind: 'credentials' | 'connection'
  message: string
  final: boolean
}>

export interface TradeStream {
  close(): Promise<void>
}

/** One event of the activity stream. `id` grows; a stream opened since it may tell it once more. */
export type ActivityEvent = Readonly<{ id: string }> &
  (OrderExecution | OrderBust | Readonly<{ activity: BrokerActivity }>)

export type ActivityStreamListener = Readonly<{
  /** Open; what was missed is told first. */
  onLive(): void
  onActivity(event: ActivityEvent): void
  /** Events were lost, or one could not be read: read the lists. */
  onGap(why: string): void
  /** Not open any more; the stream tries again, from the last event it told, unless `final`. */
  onDown(why: StreamDown): void
  /** This account has no such stream. Final. */
  onUnavailable(): void
}>

export interface ActivityStream {
  close(): Promise<void>
}

/** Market data of one credential. */
export interface MarketFeed {
  /** Follows exactly these symbols from now on. */
  follow(symbols: readonly string[]): void
  /**
   * Day figures of the symbols, for what a stream of quotes does not tell. Unknown symbols are
   * absent.
   */
  readDay(symbols: readonly string[]): Promise<ReadonlyMap<string, DayFigures>>
  close(): Promise<void>
}

/** Prices are JSON numbers here: they are shown, never booked. `null` where there is none. */
export type DayFigures = Readonly<{
  bid: number | null
  ask: number | null
  last: number | null
  volume: number
  previousClose: number | null
}>

export type Tick =
  | Readonly<{ type: 'quote'; symbol: string; bid: number | null; ask: number | null }>
  | Readonly<{ type: 'trade'; symbol: string; price: number; size: number }>

/**
 * Why a reading call failed. `credentials` is final until somebody connects again; the rest passes.
 */
export type BrokerErrorCode = 'CREDENTIALS' | 'RATE_LIMITED' | 'UNAVAILABLE' | 'UNREADABLE'

/** A reading call that did not succeed. */
export class BrokerError extends FillcastError<BrokerErrorCode> {
  readonly retryAfterMs: number | null

  constructor(code: BrokerErrorCode, message: string, retryAfterMs: number | null = null) {
    super(code, message)
    this.retryAfterMs = retryAfterMs
  }
}
