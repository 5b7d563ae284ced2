import type { LoggedEvent } from '#contract'
import type { Account, Decimal, Exposure, Order, Position, Slice } from '#domain'
import type { Halt, Health, Tombstone } from './record-types.ts'

/**
 * The store as workers use it: a worker loads a user's records at one version, and writes them back
 * only if no other commit moved that version.
 *
 * Invariants:
 * - All records of one `load*` result belong to one version.
 * - `commit` writes all of its records and events, or none of them.
 * - A repeated commit changes nothing, because the version has moved.
 */
export interface Store {
  /**
   * Loads the records that one order can touch, in one round trip; an order that left the hot state
   * costs a second round trip.
   * @param options `archived` false: only the hot state is read (default true)
   */
  loadSlice(
    userId: string,
    at: SliceAddress,
    options?: Readonly<{ archived?: boolean }>,
  ): Promise<LoadedSlice>
  /** The order ids of broker orders, where a ref was written: broker order id -> order id. */
  findRefs(userId: string, brokerOrderIds: readonly string[]): Promise<ReadonlyMap<string, string>>
  version(userId: string): Promise<string>
  /** All records of one connection: for reconciliation. */
  loadConnection(userId: string, connectionId: string): Promise<LoadedConnection>
  /**
   * All records of one connection, but only the orders that are not over: open, not wholly booked,
   * or with exits that executed too much.
   */
  loadOpen(userId: string, connectionId: string): Promise<LoadedConnection>
  /**
   * The list of the cancels that wait for their trades, oldest first. The list may name trades that
   * have arrived since, or that no longer have a mark.
   */
  loadWaitingMarks(userId: string): Promise<{ version: string; marks: readonly WaitingMark[] }>
  loadHealth(
    userId: string,
    connectionId: string,
  ): Promise<{ version: string; health: Health | null }>
  /** Writes the records and publishes the events in one step. */
  commit(userId: string, commit: Commit): Promise<CommitResult>
}

export type SliceAddress = Readonly<{ orderId: string; connectionId: string; symbol: string }>

export type LoadedSlice = Readonly<{
  /**
   * The order, connection and symbol of this slice. Never decide from this slice for another order
   * or symbol.
   */
  at: SliceAddress
  version: string
  slice: Slice
  /** The order of the slice has left the hot state. */
  isArchived: boolean
  /** The current claim on the trade: `<version> <by>`. */
  claim: string | null
  /** A cancel that came before its trade. */
  cancelMark: CancelMark | null
  /**
   * The trade ended so long ago that only this tombstone is left. Set only where the archive was
   * read.
   */
  tombstone: Tombstone | null
  /**
   * Sum of the stored cash of the user's other accounts, as in a client's snapshot; `null`: the
   * user has no other account. The account of an erased connection counts until it is forgotten.
   */
  cashElsewhere: Decimal | null
}>

export type LoadedConnection = Readonly<{
  version: string
  account: Account | null
  positions: ReadonlyMap<string, Position>
  orders: readonly Order[]
  /** Every cancel mark of the user; empty if only open orders were requested. */
  cancelMarks: readonly WaitingMark[]
  /**
   * The result of the connection's health checks; `null`: no check has finished yet, or only open
   * orders were requested.
   */
  health: Health | null
  /** As in `LoadedSlice`. */
  cashElsewhere: Decimal | null
}>

/** A cancel that waits for its trade, by its trade. */
export type WaitingMark = Readonly<{ tradeId: string; requestedAt: string }>

export type CancelMark = Readonly<{
  schema: 1
  commandId: string
  by: 'user' | 'system'
  reason: string
  requestedAt: string
}>

/** Proof that the caller may write; the script checks it (D4, D7). */
export type Fence =
  /** The owner of the trade stream, by the token of its lease. */
  | Readonly<{ kind: 'lease'; connectionId: string; token: string }>
  /** The owner of the trade, by the claim that the owner took. */
  | Readonly<{ kind: 'claim'; tradeId: string; claim: string }>
  /**
   * Claims the trade in order to send it: from here on the claim is `<version> <by>`, and every
   * earlier claim is void. `first`: no worker has stored the trade before; a record or a cancel of
   * the trade is a conflict. So the caller of a first claim need not have read the trade.
   */
  | (Readonly<{ kind: 'take'; by: string; first: boolean }> & Leave)
  /**
   * Takes leave to change an order of the trade that is at the broker. No claim is taken: the
   * expected version is enough of a fence.
   */
  | (Readonly<{ kind: 'change' }> & Leave)
  /**
   * Claims the trade in order to look up its outcome at the broker: as `take`, also while a halt
   * applies. No order may be sent under this claim.
   */
  | Readonly<{ kind: 'resolve'; tradeId: string; by: string }>
  /** A record without an owner: the expected version is enough of a fence. */
  | Readonly<{ kind: 'version' }>

/**
 * The conditions under which a request that can open or enlarge a position may be sent. The script
 * checks all of them in the step that takes the claim:
 * - The user and the connection are not halted, or the halt lets this `exposure` pass (a `reducing`
 *   halt: orders that reduce; every halt: orders that shrink).
 * - The trade is not in the archive.
 * - The connection may be used, and the caller's credentials are of its `revision`.
 *
 * `budget`: also takes leave for one submission. `pace`: counts the order, if the limits allow one
 * more; `null`: the order does not count.
 */
export type Leave = Readonly<{
  tradeId: string
  connectionId: string
  revision: string
  exposure: Exposure
  budget: boolean
  pace: Pace | null
}>

/**
 * The limits on how many orders may be sent that add to a position; `day`: the current trading day,
 * `2026-01-02`.
 */
export type Pace = Readonly<{ day: string; user: PaceMax; connection: PaceMax }>
/** In any 60 s, and in a trading day; `null`: no limit. */
export type PaceMax = Readonly<{ minute: number | null; day: number | null }>

export type Write =
  | Readonly<{ kind: 'order'; order: Order }>
  | Readonly<{ kind: 'position'; connectionId: string; symbol: string; position: Position | null }>
  | Readonly<{ kind: 'account'; account: Account }>
  | Readonly<{ kind: 'health'; connectionId: string; health: Health }>
  | Readonly<{ kind: 'cancelMark'; tradeId: string; mark: CancelMark | null }>
  /** Replaces the list of `loadWaitingMarks`. */
  | Readonly<{ kind: 'waitingMarks'; marks: readonly WaitingMark[] }>
  /** Notes which order a broker order belongs to. */
  | Readonly<{ kind: 'ref'; brokerOrderId: string; orderId: string | null }>
  /**
   * Moves an order out of the hot state, with its claim, mark and refs. The order can be loaded for
   * `ARCHIVE_TTL_MS` longer. Its tombstone is kept for `TOMBSTONE_TTL_MS`.
   */
  | Readonly<{ kind: 'archive'; order: Order }>
  /**
   * Drops all records of a connection; our own orders go to the archive. If there are too many for
   * one commit, archive orders in earlier commits.
   */
  | Readonly<{ kind: 'forget'; connectionId: string }>

export type Commit = Readonly<{
  expectVersion: string
  fence: Fence
  writes: readonly Write[]
  events: readonly LoggedEvent[]
}>

export type CommitResult =
  /**
   * `globalHalt`, after a take or a change: the halt of all users, read after the commit was
   * written. `null`: no global halt, or another kind of fence.
   */
  | Readonly<{ kind: 'committed'; version: string; lastEventId: string; globalHalt: Halt | null }>
  /** Another commit moved the version first: load again. */
  | Readonly<{ kind: 'conflict' }>
  /** The caller no longer holds the lease or claim: stop. */
  | Readonly<{ kind: 'fenced' }>
  | TakeRefusal

/** The reason why a trade may not be sent. The commit wrote nothing. */
export type TakeRefusal =
  | Readonly<{ kind: 'halted'; halt: Halt }>
  /** The trade was stored before, and has ended. */
  | Readonly<{ kind: 'archived'; order: Order }>
  /** The trade was stored before, and ended so long ago that only its tombstone is left. */
  | Readonly<{ kind: 'ended'; tombstone: Tombstone }>
  /**
   * `isLinked` false: there is no such connection. Otherwise the connection's credentials are not
   * verified: not checked yet, refused (see its health), or newer than the caller's.
   */
  | Readonly<{ kind: 'unusable'; isLinked: boolean }>
  | Readonly<{ kind: 'over_budget'; retryAfterMs: number }>
  /**
   * The limit of orders is used up. `retryAfterMs`: the time until the oldest order leaves the
   * window of a minute; `null`: not before the next trading day.
   */
  | Readonly<{
      kind: 'over_pace'
      scope: 'user' | 'connection'
      max: number
      retryAfterMs: number | null
    }>

/** The most records and events of one commit; a larger commit is a defect of the caller. */
export const WRITES_PER_COMMIT_MAX = 2_000
export const EVENTS_PER_COMMIT_MAX = 1_000
/** An order stays in the archive for this long. */
export const ARCHIVE_TTL_MS = 30 * 86_400_000
/**
 * A trade id stays taken for this long after its order went into the archive: longer than any
 * producer repeats a request.
 */
export const TOMBSTONE_TTL_MS = 180 * 86_400_000
