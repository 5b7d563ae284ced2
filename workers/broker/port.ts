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
 * A broker account as the workers use it: one set of credentials, one environment. All terms are
 * ours; the adapter translates the vendor's terms. Every call has a deadline of its own, shorter
 * than the queue's lock (SUB-08). Every call sends its request once: no layer below this port
 * repeats a request (SUB-07). Reading calls return a complete answer or throw a `BrokerError`.
 */
export interface Broker {
  /**
   * Sends an order once. Never throws: the outcome is accepted, refused with proof, not sent, or
   * unknown (P2).
   */
  submit(order: OrderTicket): Promise<SubmitOutcome>
  /**
   * Asks the broker to replace an order. Never throws. Acceptance does not prove that the
   * replacement takes place: the old order may fill first.
   */
  replace(order: ReplaceTicket): Promise<ReplaceOutcome>
  /**
   * Asks the broker to cancel an order. Never throws. The answer does not prove a cancellation:
   * only the state of the order does.
   */
  cancel(brokerOrderId: string): Promise<CancelOutcome>
  /**
   * Finds an order or an exit by its client order id. `null` means that the broker does not know
   * the id now; `null` alone proves nothing about a request in flight.
   */
  findByClientOrderId(clientOrderId: string): Promise<BrokerOrder | null>
  /** Finds an order or an exit by its broker order id. */
  findByBrokerOrderId(brokerOrderId: string): Promise<BrokerOrder | null>
  /**
   * The order that has `exit` among its exits, searched among all orders of the symbol. `null`
   * means that the search was complete and the exit has no parent.
   */
  findParent(exit: BrokerOrder): Promise<BrokerOrder | null>
  /**
   * All open orders, or all orders submitted at or after `since`. Exits are rows of their own, so
   * `legs` is empty.
   */
  listOrders(filter: OrderFilter): Promise<readonly BrokerOrder[]>
  /**
   * One page of the orders submitted at or after `since`, oldest first: the page behind the order
   * `afterId`, or the first page (`null`). For listings that one call cannot read.
   */
  listOrderPage(since: string, afterId: string | null): Promise<OrderPage>
  /** Executions at or after `since`, oldest first, and their busts if the source reports busts. */
  listExecutions(since: string): Promise<readonly (OrderExecution | OrderBust)[]>
  /** Movements of cash or shares without an order, at or after `since`, oldest first. */
  listActivities(since: string): Promise<readonly BrokerActivity[]>
  /** Cash and positions. */
  readPortfolio(): Promise<BrokerSnapshot>
  /**
   * The quantity held of a symbol, negative when short, and the part that no open order reserves;
   * `null`: no position.
   */
  readPosition(symbol: string): Promise<BrokerPosition | null>
  /**
   * The latest quote and trade of a symbol, of any age; `null`: the broker knows no quote or trade.
   * The answer comes from the market data service, which has its own limits and outages: a failure
   * of this call proves nothing about trading.
   */
  readQuote(symbol: string): Promise<RiskQuote | null>
  /**
   * All assets of the broker that can be traded or could be until recently. The list is the same
   * for all accounts of an environment.
   */
  listAssets(): Promise<readonly Asset[]>
  /** The account's id, and its permission to trade. */
  readAccount(): Promise<AccountStanding>
  readClock(): Promise<MarketClock>
  /**
   * The exchange's sessions on the days from `from` to `to` (inclusive, as `2026-01-02`). Days
   * without a session are absent.
   */
  readSessions(from: string, to: string): Promise<readonly MarketSession[]>
  /**
   * Opens the account's trade stream. The stream reconnects by itself until it is closed.
   * @param urgency asked before every handshake: when many accounts wait for theirs, the most
   *   urgent go first; default `idle`
   */
  openTradeStream(listener: TradeStreamListener, urgency?: () => StreamUrgency): TradeStream
  /**
   * Opens the stream of account activities, which can replay the events after a given event. The
   * stream reconnects by itself.
   * @param sinceId the last event that was handled; `null`: from now on
   * @returns `null` if this broker never has such a stream
   */
  openActivityStream(
    sinceId: string | null,
    listener: ActivityStreamListener,
  ): ActivityStream | null
}

/** An intent to submit, and the client order id that makes a repeated submission harmless. */
export type OrderTicket = Readonly<{
  intent: OrderIntent
  clientOrderId: string
  /**
   * The order may only close a position: the broker refuses the order if it would open one; default
   * false.
   */
  isClose?: boolean
  /** The claim has already counted this request in the account's budget; default false. */
  isBudgeted?: boolean
}>

/**
 * A replacement: the broker order to replace, the client order id of the new order, and the changed
 * terms. `terms.quantity` is sent unchanged.
 */
export type ReplaceTicket = Readonly<{
  brokerOrderId: string
  clientOrderId: string
  terms: ReplaceTerms
  /** As in `OrderTicket`. */
  isBudgeted?: boolean
}>

/**
 * The request did not leave this process: the budget is spent, or the broker is known to be
 * unavailable. Try again after `retryAfterMs`.
 */
export type NotSent = Readonly<{ kind: 'not_sent'; why: string; retryAfterMs: number }>
/**
 * The broker neither accepted nor judged the request: the rate limit is exceeded. `null`: the
 * broker named no time to retry.
 */
export type RateLimited = Readonly<{ kind: 'rate_limited'; retryAfterMs: number | null }>
/** Timeout, cut connection, 5xx or unreadable answer: the outcome is unknown. */
export type Unknown = Readonly<{ kind: 'unknown'; cause: string }>

export type SubmitOutcome =
  | Readonly<{ kind: 'accepted'; order: BrokerOrder }>
  /** The client order id is taken: an earlier attempt was accepted. Look up the order. */
  | Readonly<{ kind: 'duplicate' }>
  /** Definitely not accepted. `code` is a code of the contract. */
  | Readonly<{ kind: 'refused'; code: RefusalCode; brokerCode: string | null; message: string }>
  | RateLimited
  | NotSent
  | Unknown

export type ReplaceOutcome =
  /** `order` is the replacement order. */
  | Readonly<{ kind: 'accepted'; order: BrokerOrder }>
  /** The new client order id is taken: an earlier attempt was accepted. Look up the order. */
  | Readonly<{ kind: 'duplicate' }>
  /** The order cannot be replaced now, or the broker refuses the terms: read the order. */
  | Readonly<{ kind: 'refused'; message: string }>
  | RateLimited
  | NotSent
  | Unknown

export type CancelOutcome =
  /** The broker accepted the cancel request; the order will show the result. */
  | Readonly<{ kind: 'requested' }>
  /** The order cannot be canceled now, or the broker does not know the order: read the order. */
  | Readonly<{ kind: 'refused'; message: string }>
  | RateLimited
  | NotSent
  | Unknown

/** `since`: orders submitted at this time or later. */
export type OrderFilter = Readonly<{ status: 'open' } | { status: 'closed' | 'all'; since: string }>

/**
 * The most orders that one page of a listing has. A page with fewer rows is the last page for now.
 */
export const ORDERS_PER_PAGE = 500

/**
 * `rows`: the number of orders that the broker listed, unreadable ones included. `lastId`: the id
 * of the last row; `null`: the page was empty.
 */
export type OrderPage = Readonly<{
  orders: readonly BrokerOrder[]
  rows: number
  lastId: string | null
}>

/** An execution and the id of its order. */
export type OrderExecution = Readonly<{ brokerOrderId: string; execution: Execution }>
/** The bust or correction of an execution, and the id of its order. */
export type OrderBust = Readonly<{ brokerOrderId: string; bust: Bust }>

export type BrokerPosition = Readonly<{ quantity: Decimal; available: Decimal }>

/** One regular session; times are ISO, UTC. */
export type MarketSession = Readonly<{ date: string; openAt: string; closeAt: string }>

export type AccountStanding = Readonly<{
  brokerAccountId: string
  canTrade: boolean
  why: string | null
}>

/**
 * `at`: the time of this answer, by the broker's clock. A time that the broker does not report is
 * ''.
 */
export type MarketClock = Readonly<{
  at: string
  isOpen: boolean
  nextOpen: string
  nextClose: string
}>

/**
 * One message of the trade stream: the current state of the order, and the execution or the bust
 * that the message reports, if any.
 */
export type StreamUpdate = Readonly<{
  order: BrokerOrder
  execution: Execution | null
  bust: Bust | null
  at: string
}>

/**
 * The order in which accounts get a handshake: first accounts with orders whose outcome is unknown,
 * then accounts with open orders, then the rest.
 */
export const STREAM_URGENCIES = ['in_flight', 'open_orders', 'idle'] as const
export type StreamUrgency = (typeof STREAM_URGENCIES)[number]

export type TradeStreamListener = Readonly<{
  /**
   * Subscribed; updates flow from here on. Called again after every reconnect: the listener then
   * fills the gap.
   */
  onLive(): void
  onUpdate(update: StreamUpdate): void
  /** A message could not be read: an event happened, but its content is unknown. */
  onUnreadable(why: string): void
  /** Not subscribed any more; the stream reconnects unless `final`. */
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

/**
 * One event of the activity stream. `id` grows. A stream that was opened with this `id` may send
 * the event again.
 */
export type ActivityEvent = Readonly<{ id: string }> &
  (OrderExecution | OrderBust | Readonly<{ activity: BrokerActivity }>)

export type ActivityStreamListener = Readonly<{
  /** Open; missed events are sent first. */
  onLive(): void
  onActivity(event: ActivityEvent): void
  /** Events were lost, or an event could not be read: read the lists. */
  onGap(why: string): void
  /** Not open any more; the stream reconnects from the last event it delivered, unless `final`. */
  onDown(why: StreamDown): void
  /** This account has no activity stream. Final. */
  onUnavailable(): void
}>

export interface ActivityStream {
  close(): Promise<void>
}

/** The market data feed of one set of credentials. */
export interface MarketFeed {
  /** Follows exactly these symbols from now on. */
  follow(symbols: readonly string[]): void
  /**
   * Day figures of the symbols, which the stream of quotes does not carry. Unknown symbols are
   * absent.
   */
  readDay(symbols: readonly string[]): Promise<ReadonlyMap<string, DayFigures>>
  close(): Promise<void>
}

/**
 * Prices are JSON numbers here: clients display them, and no price is booked. `null`: no price
 * exists.
 */
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
 * Why a reading call failed. `CREDENTIALS` is final until the user connects again; the other
 * failures pass.
 */
export type BrokerErrorCode = 'CREDENTIALS' | 'RATE_LIMITED' | 'UNAVAILABLE' | 'UNREADABLE'

/** A reading call failed. */
export class BrokerError extends FillcastError<BrokerErrorCode> {
  readonly retryAfterMs: number | null

  constructor(code: BrokerErrorCode, message: string, retryAfterMs: number | null = null) {
    super(code, message)
    this.retryAfterMs = retryAfterMs
  }
}
