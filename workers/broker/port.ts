import type { BrokerOrder, BrokerSnapshot, Execution, OrderIntent } from '#domain'
import { FillcastError } from '#runtime'

/**
 * A broker account as the workers see it: one set of credentials, one environment. Everything is in our words; what the vendor
 * calls things ends at the adapter. Every call has a deadline of its own, shorter than the queue's lock.
 */
export interface Broker {
  /** Sends an order once. Never throws: the outcome is accepted, refused with proof, or unknown (P2). */
  submit(order: OrderTicket): Promise<SubmitOutcome>
  /** Asks to cancel. Whatever it answers, only the order itself shows what became of it. */
  cancel(brokerOrderId: string): Promise<CancelOutcome>
  /** Absent means that the broker does not know the id now; alone it proves nothing about a request in flight. */
  findByClientOrderId(clientOrderId: string): Promise<BrokerOrder | null>
  /** All open orders, or all orders submitted at or after `since`; complete, or it throws. */
  listOrders(filter: OrderFilter): Promise<readonly BrokerOrder[]>
  /** Executions at or after `since`, oldest first; complete, or it throws. */
  listExecutions(since: string): Promise<readonly OrderExecution[]>
  /** Cash and positions; complete, or it throws. */
  readPortfolio(): Promise<BrokerSnapshot>
  /** Whether the account may trade. */
  readAccount(): Promise<AccountStanding>
  readClock(): Promise<MarketClock>
  /** Opens the account's trade stream; it reconnects by itself until closed. */
  openTradeStream(listener: TradeStreamListener): TradeStream
}

/** What is sent: an intent and the id that makes sending it again harmless. */
export type OrderTicket = Readonly<{ intent: OrderIntent; clientOrderId: string }>

export type SubmitOutcome =
  | Readonly<{ kind: 'accepted'; order: BrokerOrder }>
  /** The id is taken: an earlier attempt was accepted. Look it up. */
  | Readonly<{ kind: 'duplicate' }>
  /** Definitely not accepted. */
  | Readonly<{ kind: 'refused'; code: string; brokerCode: string | null; message: string }>
  /** Not accepted, not judged either: the request budget is spent. */
  | Readonly<{ kind: 'rate_limited'; retryAfterMs: number | null }>
  /** Timeout, cut connection, 5xx, unreadable answer: nobody knows. */
  | Readonly<{ kind: 'unknown'; cause: string }>

export type CancelOutcome =
  /** Taken note of; the order will show it. */
  | Readonly<{ kind: 'requested' }>
  /** Not cancelable now, or not known: read the order. */
  | Readonly<{ kind: 'refused'; message: string }>
  | Readonly<{ kind: 'unknown'; cause: string }>

export type OrderFilter = Readonly<{ status: 'open' } | { status: 'all'; since: string }>

/** An execution and the order it belongs to. */
export type OrderExecution = Readonly<{ brokerOrderId: string; execution: Execution }>

export type AccountStanding = Readonly<{ brokerAccountId: string; canTrade: boolean; why: string | null }>

export type MarketClock = Readonly<{ isOpen: boolean; nextOpen: string; nextClose: string }>

/** One message of the trade stream. */
export type StreamUpdate = Readonly<{ order: BrokerOrder; execution: Execution | null; at: string }>

export type TradeStreamListener = Readonly<{
  /** Subscribed; from here on updates flow. Called again after every reconnect: fill the gap then. */
  onLive(): void
  onUpdate(update: StreamUpdate): void
  /** A message that could not be read: something happened, and we do not know what. */
  onUnreadable(why: string): void
  /** Not subscribed any more; the stream tries again unless `final`. */
  onDown(why: StreamDown): void
}>

export type StreamDown = Readonly<{ kind: 'credentials' | 'connection'; message: string; final: boolean }>

export interface TradeStream {
  close(): Promise<void>
}

/** Market data of one credential. */
export interface MarketFeed {
  /** Follows exactly these symbols from now on. */
  follow(symbols: readonly string[]): void
  /** Day figures of the symbols, for what a stream of quotes does not tell. Unknown symbols are absent. */
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

/** Why a reading call failed. `credentials` is final until somebody connects again; the rest passes. */
export type BrokerErrorCode = 'CREDENTIALS' | 'RATE_LIMITED' | 'UNAVAILABLE' | 'UNREADABLE'

/** A reading call that did not succeed. */
export class BrokerError extends FillcastError<BrokerErrorCode> {
  readonly retryAfterMs: number | null

  constructor(code: BrokerErrorCode, message: string, retryAfterMs: number | null = null) {
    super(code, message)
    this.retryAfterMs = retryAfterMs
  }
}
