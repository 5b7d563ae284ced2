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
 * Commands over the sandbox, the same over HTTP under `/_sandbox/` and as methods. Each throws a
 * Refusal that says what is wrong.
 */
export interface SandboxControl {
  addAccount(account: AccountSetup): void
  /** REST answers 401 for the key, and its open streams are cut. */
  revokeKey(keyId: string): void
  restoreKey(keyId: string): void
  /** What the account's own fields say of it, for example `{ tradingBlocked: true }`. */
  setFlags(keyId: string, flags: Partial<AccountFlags>): void
  /** Moves money or shares besides fills; answers the activity row. */
  moveMoney(keyId: string, move: MoneyMoveRequest): Json
  /** A split or a new symbol of a stock, in every account; answers how many held it. */
  actOnStock(action: CorporateActionRequest): number
  /** Requests a minute, instead of what all accounts have; without a limit as many as it likes. */
  setRateLimit(keyId: string, limit?: RateLimit): void
  /**
   * The next `count` (default 1) answers to `POST /v2/orders` wait; with `drop` they are cut off at
   * once instead.
   */
  holdAnswers(options?: Readonly<{ count?: number; keyId?: string; drop?: boolean }>): void
  /** Answers how many went; without a count all. */
  releaseAnswers(count?: number): number
  dropAnswers(count?: number): number
  heldAnswers(): number
  /**
   * Fills by broker order id, in full and at the market (or the order's limit) unless told. Works
   * on held and canceled orders too; with `overfill` also beyond what was ordered.
   */
  fillOrder(
    orderId: string,
    terms?: Readonly<{ qty?: string; price?: string; overfill?: boolean }>,
  ): Json
  /** The venue cancels an order by itself, also one whose cancel is stuck. */
  cancelOrder(orderId: string): Json
  /**
   * Undoes an execution as if it had never been: `trade_bust` is told, and order, position, cash,
   * profit and activities follow.
   * @param executionId as the trade stream and the ledger have it
   */
  bustExecution(executionId: string, options?: AmendOptions): Json
  /**
   * Changes an execution as if it had always been so: `trade_correct` is told. What is not given
   * stays. Both answer the order.
   */
  correctExecution(
    executionId: string,
    to: Readonly<{ price?: string; qty?: string }>,
    options?: AmendOptions,
  ): Json
  /** Orders of an account, of a symbol, or all no longer match by themselves. */
  holdMatching(what?: MatchingScope): void
  releaseMatching(what?: MatchingScope): void
  setPartialFills(enabled: boolean, share?: number): void
  /** Puts and keeps a symbol at a price; orders it makes marketable fill at once. */
  setPrice(symbol: string, price: PriceSetting): void
  /** Lets the symbol walk on. */
  releasePrice(symbol: string): void
  setMarketOpen(open: boolean): void
  /**
   * Also the sessions before and after the regular one, in which orders for extended hours work; or
   * the exchange's own hours.
   */
  setMarketSession(phase: Phase | 'calendar'): void
  /**
   * The night: average entry prices are restated, and the last price becomes the previous close.
   */
  endDay(): void
  /** Cuts open streams; answers how many. */
  cutStreams(options?: Readonly<{ keyId?: string; stream?: StreamKind }>): number
  streams(): Readonly<Record<StreamKind, number>>
  /**
   * A fault: tells any documented event of an order on the trade stream though nothing has
   * happened; the books do not change. What speaks of an execution (`fill`, `trade_bust` ...)
   * repeats the order's last one, and is refused when there is none.
   */
  sendTradeEvent(orderId: string, event: TradeEvent): void
  /** Sends an error frame to open market data sockets, of one key or all; answers how many. */
  sendDataError(code: DataErrorCode, keyId?: string): number
  /**
   * Tells market data subscribers of a halt, price bands, a corrected trade, an article ...; the
   * market does not change. Answers how many sockets.
   */
  sendMarketMessage(message: MarketMessage): number
  /**
   * Moves virtual time on, running what falls due; answers the time it is then, milliseconds since
   * 1970.
   */
  advanceTime(byMs: number): Promise<number>
  /** Makes the `nth` matching thing fail, `count` times. */
  armFault(fault: Fault): ArmedFault
  /** Those that have not fired for the last time. */
  faults(): readonly ArmedFault[]
  /** Disarms one by its id, or all; answers how many. */
  disarmFaults(id?: string): number
  /** Requests and stream events fail by chance: a share of all, 0 to 1. */
  setFaultShare(share: number): void
  ledger(keyId?: string): Ledger
}

/**
 * `amount`: dollars (of a journal signed), dollars a share of a dividend, new shares for one old of
 * a split.
 */
export type MoneyMoveRequest = Readonly<{
  type: MoneyMoveType
  amount: string
  symbol?: string
  description?: string
}>

/** `ratio`: new shares for one old. `to`: the symbol that positions go on under. */
export type CorporateActionRequest =
  | Readonly<{ type: 'split'; symbol: string; ratio: string }>
  | Readonly<{ type: 'symbol_change'; symbol: string; to: string }>

/** One account (by key) or one symbol; neither means everything. */
export type MatchingScope = Readonly<{ keyId?: string; symbol?: string }>
