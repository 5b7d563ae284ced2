import type { LoggedEvent } from '#contract'
import type { Account, Decimal, Exposure, Order, Position, Slice } from '#domain'
import type { Halt, Health, Tombstone } from './record-types.ts'

/**
 * The store as workers see it: a user's records, read at one version and written back only if
 * nobody was faster.
 *
 * Kept true: what `load*` returns belongs to one version; `commit` writes all of its records and
 * events or nothing; a repeated commit changes nothing (the version has moved).
 */
export interface Store {
  /**
   * What one order can touch, in one round trip; an order that left the hot state costs a second
   * one.
   * @param options `archived` false: only the hot state is looked at (default true)
   */
  loadSlice(
    userId: string,
    at: SliceAddress,
    options?: Readonly<{ archived?: boolean }>,
  ): Promise<LoadedSlice>
  /** The orders that broker orders belong to, where that was noted: broker order id -> order id. */
  findRefs(userId: string, brokerOrderIds: readonly string[]): Promise<ReadonlyMap<string, string>>
  version(userId: string): Promise<string>
  /** Everything of one connection: for reconciliation. */
  loadConnection(userId: string, connectionId: string): Promise<LoadedConnection>
  /**
   * The same, of the orders only those that are not over: open, not wholly booked, or with exits
   * that executed too much.
   */
  loadOpen(userId: string, connectionId: string): Promise<LoadedConnection>
  /**
   * The list of cancels that wait for their trades, oldest first; it may name trades that have
   * come, or have no mark any more.
   */
  loadWaitingMarks(userId: string): Promise<{ version: string; marks: readonly WaitingMark[] }>
  loadHealth(
    userId: string,
    connectionId: string,
  ): Promise<{ version: string; health: Health | null }>
  /** Writes and publishes in one step. */
  commit(userId: string, commit: Commit): Promise<CommitResult>
}

export type SliceAddress = Readonly<{ orderId: string; connectionId: string; symbol: string }>

export type LoadedSlice = Readonly<{
  /** What it is the slice of: nothing may be decided from it for another order or symbol. */
  at: SliceAddress
  version: string
  slice: Slice
  /** The order of the slice has left the hot state. */
  isArchived: boolean
  /** Who is at work on the trade: `<version> <by>`. */
  claim: string | null
  /** A cancel that came before its trade. */
  cancelMark: CancelMark | null
  /**
   * The trade ended so long ago that nothing else is known of it. Only where the archive was looked
   * at.
   */
  tombstone: Tombstone | null
  /**
   * Cash of the user's other accounts that are stored, added up, as in a client's snapshot; `null`:
   * there is no other account. The account of a connection that is erased counts until it is
   * forgotten.
   */
  cashElsewhere: Decimal | null
}>

export type LoadedConnection = Readonly<{
  version: string
  account: Account | null
  positions: ReadonlyMap<string, Position>
  orders: readonly Order[]
  /** Every cancel mark of the user; none where only open orders were asked for. */
  cancelMarks: readonly WaitingMark[]
  /**
   * What the checks of the connection came to; `null`: nothing yet, or only open orders were asked
   * for.
   */
  health: Health | null
  /** As of `LoadedSlice`. */
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
  /** The trade stream's owner. */
  | Readonly<{ kind: 'lease'; connectionId: string; token: string }>
  /** The trade's owner, as told by the claim that it took. */
  | Readonly<{ kind: 'claim'; tradeId: string; claim: string }>
  /**
   * Takes the trade to send it: from here on the claim is `<version> <by>`, and every earlier claim
   * is void. `first`: nobody has seen the trade; there being a record or a cancel of it is a clash.
   * So a first claim need not have read it.
   */
  | (Readonly<{ kind: 'take'; by: string; first: boolean }> & Leave)
  /**
   * Takes leave to change an order of the trade that is at the broker. No claim is taken: the
   * version is fence enough.
   */
  | (Readonly<{ kind: 'change' }> & Leave)
  /**
   * Takes the trade to find out what became of it: as `take`, whatever is halted. Nothing may be
   * sent under it.
   */
  | Readonly<{ kind: 'resolve'; tradeId: string; by: string }>
  /** A record without an owner: the version is fence enough. */
  | Readonly<{ kind: 'version' }>

/**
 * What has to be so for a request to leave that can open or enlarge a position, looked at in the
 * step that lets it: the user and the connection are not halted, or the halt lets this `exposure`
 * pass (`reducing`: what reduces; every halt: what shrinks); the trade is not in the archive; the
 * connection may be used, and the caller's credentials are of its `revision`. `budget`: takes leave
 * for one submission with it. `pace`: counts it, if there may be one more; `null`: it does not
 * count.
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
 * How many orders may be sent that add to a position; `day`: the trading day that it is,
 * `2026-01-02`.
 */
export type Pace = Readonly<{ day: string; user: PaceMax; connection: PaceMax }>
/** In any 60 s, and in a trading day; `null`: as many as there are. */
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
   * Moves an order out of the hot state, with its claim, mark and refs; it can be loaded for
   * `ARCHIVE_TTL_MS` longer. Its tombstone stands for `TOMBSTONE_TTL_MS`.
   */
  | Readonly<{ kind: 'archive'; order: Order }>
  /**
   * Drops everything of a connection; our own orders go to the archive. Too many for one commit:
   * archive them before.
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
   * `globalHalt`, of a take or a change: what holds for everybody, read after it was written
   * (`null`: nothing, or another fence).
   */
  | Readonly<{ kind: 'committed'; version: string; lastEventId: string; globalHalt: Halt | null }>
  /** Somebody was faster: load again. */
  | Readonly<{ kind: 'conflict' }>
  /** The lease or claim is somebody else's: stop. */
  | Readonly<{ kind: 'fenced' }>
  | TakeRefusal

/** Why a trade may not be sent. Nothing was written. */
export type TakeRefusal =
  | Readonly<{ kind: 'halted'; halt: Halt }>
  /** The trade was there before, and has ended. */
  | Readonly<{ kind: 'archived'; order: Order }>
  /** The same, so long ago that only its tombstone is left. */
  | Readonly<{ kind: 'ended'; tombstone: Tombstone }>
  /**
   * `isLinked` false: there is no such connection. Else its credentials are not verified: not yet,
   * or they were refused (see its health), or they are newer ones.
   */
  | Readonly<{ kind: 'unusable'; isLinked: boolean }>
  | Readonly<{ kind: 'over_budget'; retryAfterMs: number }>
  /**
   * As many orders as are allowed were sent. `retryAfterMs`: when one of a minute is over; `null`:
   * not on this day.
   */
  | Readonly<{
      kind: 'over_pace'
      scope: 'user' | 'connection'
      max: number
      retryAfterMs: number | null
    }>

/** Records and events of one commit, at most; a larger one is a defect of the caller. */
export const WRITES_PER_COMMIT_MAX = 2_000
export const EVENTS_PER_COMMIT_MAX = 1_000
/** An order stays in the archive for this long. */
export const ARCHIVE_TTL_MS = 30 * 86_400_000
/**
 * A trade id stays taken for this long after its order went into the archive: longer than anybody
 * repeats a request.
 */
export const TOMBSTONE_TTL_MS = 180 * 86_400_000
