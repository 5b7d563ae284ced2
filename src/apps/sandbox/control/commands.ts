import type { AccountFlags } from '../broker/account.ts'
import type { MoneyMoveType } from '../broker/activity.ts'
import type { AmendOptions } from '../broker/order-book.ts'
import type { PriceSetting } from '../broker/prices.ts'
import type { Phase } from '../broker/session.ts'
import type { ArmedFault, Fault } from '../faults/fault.ts'
import type { RateLimit } from '../http/rate-limits.ts'
import type { Json } from '../http/shapes.ts'
import type { DataErrorCode } from '../streams/data-protocol.ts'
import type { MarketMessage } from '../streams/market-message.ts'
import type { TradeEvent } from '../streams/trade-update.ts'
import type { StreamKind } from '../streams/upgrades.ts'
import type { AccountSetup } from './accounts.ts'
import type { Ledger } from './ledger.ts'

/**
 * Commands on the sandbox, available over HTTP under `/_sandbox/` and as methods. Each throws a
 * Refusal that names the mistake.
 */
export interface SandboxControl {
  addAccount(account: AccountSetup): void
  /** From then on REST answers 401 for the key; its open streams are cut. */
  revokeKey(keyId: string): void
  restoreKey(keyId: string): void
  /** Sets the account's own fields, for example `{ tradingBlocked: true }`. */
  setFlags(keyId: string, flags: Partial<AccountFlags>): void
  /** Moves money or shares besides fills; returns the activity row. */
  moveMoney(keyId: string, move: MoneyMoveRequest): Json
  /** A split or a new symbol of a stock, in every account; returns how many accounts held it. */
  actOnStock(action: CorporateActionRequest): number
  /**
   * Sets the account's own limit of requests a minute; without `limit` the account is unlimited.
   */
  setRateLimit(keyId: string, limit?: RateLimit): void
  /**
   * Holds the next `count` (default 1) answers to `POST /v2/orders`; with `drop` their connections
   * are cut at once instead.
   */
  holdAnswers(options?: Readonly<{ count?: number; keyId?: string; drop?: boolean }>): void
  /** Sends the oldest `count` held answers, by default all; returns how many were sent. */
  releaseAnswers(count?: number): number
  dropAnswers(count?: number): number
  heldAnswers(): number
  /**
   * Fills an order by its broker order id: by default in full, and at the market (or at the order's
   * limit). Also fills held and canceled orders; with `overfill` also beyond the order's quantity.
   */
  fillOrder(
    orderId: string,
    terms?: Readonly<{ qty?: string; price?: string; overfill?: boolean }>,
  ): Json
  /** The venue cancels an order by itself, also an order whose cancel is stuck. */
  cancelOrder(orderId: string): Json
  /**
   * Undoes an execution as if it had never existed: publishes `trade_bust` and adjusts the order,
   * position, cash, profit and activities.
   * @param executionId the id in the trade stream and in the ledger
   * @returns the order
   */
  bustExecution(executionId: string, options?: AmendOptions): Json
  /**
   * Changes an execution as if it had always been so, and publishes `trade_correct`. A term that is
   * not given stays unchanged.
   * @returns the order
   */
  correctExecution(
    executionId: string,
    to: Readonly<{ price?: string; qty?: string }>,
    options?: AmendOptions,
  ): Json
  /** Stops automatic matching for an account, a symbol, or all orders. */
  holdMatching(what?: MatchingScope): void
  releaseMatching(what?: MatchingScope): void
  setPartialFills(enabled: boolean, share?: number): void
  /** Pins a symbol to a price; orders that become marketable fill at once. */
  setPrice(symbol: string, price: PriceSetting): void
  /** Unpins the symbol: its walk goes on. */
  releasePrice(symbol: string): void
  setMarketOpen(open: boolean): void
  /**
   * Sets any phase, including the sessions before and after the regular session, in which orders
   * for extended hours work; `calendar` follows the exchange's own hours.
   */
  setMarketSession(phase: Phase | 'calendar'): void
  /**
   * Ends the day: average entry prices are restated, and the last price becomes the previous close.
   */
  endDay(): void
  /** Cuts open streams; returns how many. */
  cutStreams(options?: Readonly<{ keyId?: string; stream?: StreamKind }>): number
  streams(): Readonly<Record<StreamKind, number>>
  /**
   * A fault: sends any documented order event on the trade stream without a change of the order. An
   * event with an execution (`fill`, `trade_bust` ...) repeats the order's last execution; it is
   * refused if the order has none.
   */
  sendTradeEvent(orderId: string, event: TradeEvent): void
  /** Sends an error to open market data sockets, of one key or all; returns how many. */
  sendDataError(code: DataErrorCode, keyId?: string): number
  /**
   * Sends market data subscribers a halt, price bands, a corrected trade, an article ...; the
   * market does not change. Returns the number of sockets.
   */
  sendMarketMessage(message: MarketMessage): number
  /**
   * Advances virtual time and runs the timers that fall due; returns the new time in milliseconds
   * since 1970.
   */
  advanceTime(byMs: number): Promise<number>
  /** Arms a fault: `count` matching requests, events or order changes fail, from the `nth` on. */
  armFault(fault: Fault): ArmedFault
  /** The armed faults that may still fire. */
  faults(): readonly ArmedFault[]
  /** Disarms one fault by its id, or all faults; returns how many. */
  disarmFaults(id?: string): number
  /** Sets the share of requests and stream events that fail by chance, 0 to 1. */
  setFaultShare(share: number): void
  ledger(keyId?: string): Ledger
}

/**
 * `amount`: dollars (signed for a journal), dollars a share for a dividend, new shares per old
 * share for a split.
 */
export type MoneyMoveRequest = Readonly<{
  type: MoneyMoveType
  amount: string
  symbol?: string
  description?: string
}>

/** `ratio`: new shares per old share. `to`: the new symbol of the positions. */
export type CorporateActionRequest =
  | Readonly<{ type: 'split'; symbol: string; ratio: string }>
  | Readonly<{ type: 'symbol_change'; symbol: string; to: string }>

/** One account (by key) or one symbol; without both fields everything. */
export type MatchingScope = Readonly<{ keyId?: string; symbol?: string }>
