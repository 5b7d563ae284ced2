import type { LoggedEvent } from '#contract'
import type { Account, Order, Position, Slice } from '#domain'

/**
 * The store as workers see it: a user's records, read at one version and written back only if nobody was faster.
 *
 * Kept true: what `load*` returns belongs to one version; `commit` writes all of its records and events or nothing; a repeated
 * commit changes nothing (the version has moved).
 */
export interface Store {
  /** What one order can touch, in one round trip. */
  loadSlice(userId: string, at: SliceAddress): Promise<LoadedSlice>
  /** Everything of one connection: for reconciliation. */
  loadConnection(userId: string, connectionId: string): Promise<LoadedConnection>
  loadHealth(userId: string, connectionId: string): Promise<{ version: string; health: Health | null }>
  /** Writes and publishes in one step. */
  commit(userId: string, commit: Commit): Promise<CommitResult>
}

export type SliceAddress = Readonly<{ orderId: string; connectionId: string; symbol: string }>

export type LoadedSlice = Readonly<{
  version: string
  slice: Slice
  /** Who is at work on the trade: `<version> <by>`. */
  claim: string | null
  /** A cancel that came before its trade. */
  cancelMark: CancelMark | null
}>

export type LoadedConnection = Readonly<{
  version: string
  account: Account | null
  positions: ReadonlyMap<string, Position>
  orders: readonly Order[]
}>

export type CancelMark = Readonly<{
  schema: 1
  commandId: string
  by: 'user' | 'system'
  reason: string
  requestedAt: string
}>

/** What the health checks last found; `down` once per episode. */
export type Health = Readonly<{
  schema: 1
  state: 'up' | 'down'
  failures: number
  reason: string | null
  since: string
}>

/** Proof that the caller may write; the script checks it (D4, D7). */
export type Fence =
  /** The trade stream's owner. */
  | Readonly<{ kind: 'lease'; connectionId: string; token: string }>
  /** The trade's owner, as told by the claim that it took. */
  | Readonly<{ kind: 'claim'; tradeId: string; claim: string }>
  /** Takes the trade: from here on the claim is `<version> <by>`, and every earlier claim is void. */
  | Readonly<{ kind: 'take'; tradeId: string; by: string }>
  /** A record without an owner: the version is fence enough. */
  | Readonly<{ kind: 'version' }>

export type Write =
  | Readonly<{ kind: 'order'; order: Order }>
  | Readonly<{ kind: 'position'; connectionId: string; symbol: string; position: Position | null }>
  | Readonly<{ kind: 'account'; account: Account }>
  | Readonly<{ kind: 'health'; connectionId: string; health: Health }>
  | Readonly<{ kind: 'cancelMark'; tradeId: string; mark: CancelMark | null }>

export type Commit = Readonly<{
  expectVersion: string
  fence: Fence
  writes: readonly Write[]
  events: readonly LoggedEvent[]
}>

export type CommitResult =
  | Readonly<{ kind: 'committed'; version: string; lastEventId: string }>
  /** Somebody was faster: load again. */
  | Readonly<{ kind: 'clash' }>
  /** The lease or claim is somebody else's: stop. */
  | Readonly<{ kind: 'fenced' }>

/** Records and events of one commit, at most; a larger one is a defect of the caller. */
export const WRITES_PER_COMMIT_MAX = 2_000
export const EVENTS_PER_COMMIT_MAX = 1_000
