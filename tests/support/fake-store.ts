import { EVENT_ID_ZERO, padEventId } from '#contract'
import { type Account, type Decimal, type Order, type Position, sum } from '#domain'
import type {
  CancelMark,
  Commit,
  CommitResult,
  ConnectionRef,
  StoreEpoch,
  Fence,
  Health,
  Leave,
  LoadedConnection,
  LoadedSlice,
  SliceAddress,
  Store,
  TakeRefusal,
  WaitingMark,
  UserSnapshot,
} from '#store'
import { isIndexed } from '../../src/store/open-index.ts'
import { FakeBudget } from './fake-budget.ts'
import { FakeControls } from './fake-controls.ts'
import { FakeLeases } from './fake-leases.ts'
import { FakePace } from './fake-pace.ts'
import { FakeParked } from './fake-parked.ts'
import { type Entry, FakeUser } from './fake-user.ts'

/**
 * Time of the store itself, which has no clock in common with its callers; a test may tie it to
 * one.
 */
const START_MS = 1_700_000_000_000

/** As many of the latest commits can be lost. */
const COMMITS_LOST_MAX = 100

/**
 * The store port in memory. It passes the suite of the store on Redis, and gives tests access to
 * its content.
 */
export class FakeStore implements Store {
  readonly #users = new Map<string, FakeUser>()
  /** The users before each of the latest commits, oldest first. */
  readonly #undo: { userId: string; before: FakeUser }[] = []
  readonly leases = new FakeLeases()
  /** Connections, limits and halts; `link` is the short way to a working connection. */
  readonly controls: FakeControls
  readonly budget: FakeBudget
  readonly pace: FakePace
  readonly parked: FakeParked
  readonly #nowMs: () => number
  #timeUs = START_MS * 1_000
  #lastEventId = EVENT_ID_ZERO

  constructor(nowMs: () => number = () => START_MS) {
    this.#nowMs = nowMs
    this.budget = new FakeBudget(nowMs)
    this.pace = new FakePace(nowMs)
    this.parked = new FakeParked(nowMs)
    this.controls = new FakeControls(
      () => (this.#timeUs = Math.max(this.#timeUs + 1, this.#nowMs() * 1_000)),
    )
  }

  /** The connection is there, and its credentials are verified. */
  link(ref: ConnectionRef): void {
    this.controls.link(ref)
  }

  /** How often the store lost writes. */
  losses = 0
  /** When the store last lost writes. */
  lostMs = -Infinity
  /** When the store last lost everything. */
  wipedMs = -Infinity

  /**
   * Drops the last `count` commits although they were acknowledged, as a crash of Redis before its
   * sync does.
   */
  loseLast(count: number): void {
    this.losses += 1
    this.lostMs = this.#nowMs()
    for (const { userId, before } of this.#undo.splice(-count).reverse())
      this.#users.set(userId, before)
  }

  /** Drops the state of a user; the log stays. */
  loseState(userId: string): void {
    const lost = this.#user(userId)
    const left = new FakeUser()
    left.log.push(...lost.log)
    left.logTop = lost.logTop
    left.trimmedTo = lost.trimmedTo
    for (const [name, text] of lost.archive) left.archive.set(name, text)
    for (const [name, text] of lost.tombstones) left.tombstones.set(name, text)
    this.#users.set(userId, left)
  }

  /** Appends an entry to the log without a write to the state. */
  appendToLog(userId: string, id: string): void {
    const user = this.#user(userId)
    const { last } = user
    user.append({
      id,
      prev: EVENT_ID_ZERO,
      event: 'state.resync',
      payload: { reason: '', timestamp: '' },
    })
    user.last = last
  }

  /** The lifetime of an order's archive is over. */
  expireArchive(userId: string, orderId: string): void {
    this.#user(userId).archive.delete(orderId)
  }

  /**
   * The beginning of a user's log is trimmed to its last `keep` entries. `log` still shows all of
   * it.
   */
  trimLog(userId: string, keep: number): void {
    const user = this.#user(userId)
    const last = keep === 0 ? user.log.at(-1) : user.log.at(-keep - 1)
    if (last !== undefined && last.id > user.trimmedTo) user.trimmedTo = last.id
  }

  /** Drops the end of a user's log; the state, which names these events, stays. */
  loseLogEnd(userId: string, count: number): void {
    this.#user(userId).log.splice(-count)
  }

  /** Receives the log entries of each commit, as relays receive them from the store on Redis. */
  onLogged: (userId: string, entries: readonly Entry[]) => void = () => {}

  /** The epoch marker; `null` after the store was lost, until a worker mints a new marker. */
  marker: string | null = 'first'

  /** The marker as a port; each mark is another one. */
  readonly epoch: StoreEpoch = {
    read: async () => this.marker,
    mint: async () => {
      this.marker ??= `after loss ${this.losses}`
      this.controls.tell(null)
      return this.marker
    },
  }

  /**
   * Drops everything, as FLUSHALL does. Ids and versions do not start again, because the time goes
   * on.
   */
  wipe(): void {
    this.losses += 1
    this.lostMs = this.#nowMs()
    this.wipedMs = this.lostMs
    this.marker = null
    this.#undo.length = 0
    this.#users.clear()
    this.leases.clear()
    this.budget.wipe()
    this.pace.wipe()
    this.parked.notes.clear()
    this.controls.wipe()
  }

  async loadSlice(
    userId: string,
    { orderId, connectionId, symbol }: SliceAddress,
    { archived = true } = {},
  ): Promise<LoadedSlice> {
    const user = this.#user(userId)
    const hot = user.read<Order>(`order:${orderId}`)
    return {
      at: { orderId, connectionId, symbol },
      version: user.version,
      slice: {
        order: hot ?? (archived ? user.archived(orderId) : null),
        position: user.read<Position>(`position:${connectionId}:${symbol}`),
        account: user.read<Account>(`account:${connectionId}`),
      },
      isArchived: hot === null && archived && user.archived(orderId) !== null,
      claim: user.claims.get(orderId) ?? null,
      cancelMark: user.read<CancelMark>(`cancel:${orderId}`),
      tombstone:
        hot === null && archived && user.archived(orderId) === null
          ? user.tombstone(orderId)
          : null,
      cashElsewhere: cashOf(
        user.all<Account>('account:').filter((a) => a.connectionId !== connectionId),
      ),
    }
  }

  async findRefs(
    userId: string,
    brokerOrderIds: readonly string[],
  ): Promise<ReadonlyMap<string, string>> {
    const { refs } = this.#user(userId)
    return new Map(brokerOrderIds.flatMap((id) => (refs.has(id) ? [[id, refs.get(id) ?? '']] : [])))
  }

  async version(userId: string): Promise<string> {
    return this.#user(userId).version
  }

  async loadConnection(userId: string, connectionId: string): Promise<LoadedConnection> {
    const user = this.#user(userId)
    const positions = user.all<Position>('position:').filter((p) => p.connectionId === connectionId)
    return {
      version: user.version,
      account: user.read<Account>(`account:${connectionId}`),
      positions: new Map(positions.map((p) => [p.symbol, p])),
      orders: user.all<Order>('order:').filter((o) => o.connectionId === connectionId),
      cancelMarks: user.marks(),
      health: user.read<Health>(`health:${connectionId}`),
      cashElsewhere: cashOf(
        user.all<Account>('account:').filter((a) => a.connectionId !== connectionId),
      ),
    }
  }

  async loadOpen(userId: string, connectionId: string): Promise<LoadedConnection> {
    const { orders, ...rest } = await this.loadConnection(userId, connectionId)
    return { ...rest, orders: orders.filter(isIndexed), cancelMarks: [], health: null }
  }

  async loadWaitingMarks(
    userId: string,
  ): Promise<{ version: string; marks: readonly WaitingMark[] }> {
    const user = this.#user(userId)
    return { version: user.version, marks: user.read<readonly WaitingMark[]>('cancels') ?? [] }
  }

  /** The snapshot of a user that the reader of the store on Redis returns. */
  snapshot(userId: string): UserSnapshot {
    const user = this.#user(userId)
    return {
      version: user.version,
      lastEventId: user.last,
      orders: user.all<Order>('order:').filter(isIndexed),
      positions: user.all<Position>('position:'),
      accounts: user.all<Account>('account:'),
    }
  }

  async loadHealth(
    userId: string,
    connectionId: string,
  ): Promise<{ version: string; health: Health | null }> {
    const user = this.#user(userId)
    return { version: user.version, health: user.read<Health>(`health:${connectionId}`) }
  }

  async commit(
    userId: string,
    { expectVersion, fence, writes, events }: Commit,
  ): Promise<CommitResult> {
    const user = this.#user(userId)
    if (!this.#holds(userId, user, fence)) return { kind: 'fenced' }
    const leave = fence.kind === 'take' || fence.kind === 'change' ? fence : null
    const refusal = leave === null ? null : this.#refusal(userId, user, leave)
    if (refusal !== null) return refusal
    if (user.version !== expectVersion) return { kind: 'conflict' }
    if (fence.kind === 'take' && fence.first && user.hasHeardOf(fence.tradeId))
      return { kind: 'conflict' }
    const held = leave === null ? null : this.#heldBack(userId, leave)
    if (held !== null) return held
    this.#undo.push({ userId, before: user.copy() })
    if (this.#undo.length > COMMITS_LOST_MAX) this.#undo.shift()
    this.#timeUs = Math.max(this.#timeUs + 1, this.#nowMs() * 1_000)
    user.version = String(Math.max(Number(user.version) + 1, this.#timeUs))
    if (fence.kind === 'take' || fence.kind === 'resolve')
      user.claims.set(fence.tradeId, `${user.version} ${fence.by}`)
    for (const write of writes) user.apply(write)
    if (events.length > 0 && user.logTop > user.last) user.last = user.logTop
    for (const event of events)
      user.append({ id: this.#nextEventId(user.last), prev: user.last, ...event })
    if (events.length > 0) this.onLogged(userId, user.log.slice(-events.length))
    const globalHalt = leave === null ? null : await this.controls.readGlobalHalt()
    return { kind: 'committed', version: user.version, lastEventId: user.last, globalHalt }
  }

  versionOf(userId: string): string {
    return this.#user(userId).version
  }

  /** An order of the hot state. */
  orderOf(userId: string, orderId: string): Order | null {
    return this.#user(userId).read<Order>(`order:${orderId}`)
  }

  /** An order of the hot state, or of the archive. */
  orderEverOf(userId: string, orderId: string): Order | null {
    return this.orderOf(userId, orderId) ?? this.#user(userId).archived(orderId)
  }

  accountOf(userId: string, connectionId: string): Account | null {
    return this.#user(userId).read<Account>(`account:${connectionId}`)
  }

  positionOf(userId: string, connectionId: string, symbol: string): Position | null {
    return this.#user(userId).read<Position>(`position:${connectionId}:${symbol}`)
  }

  /** The claim of a trade. */
  claimOf(userId: string, tradeId: string): string | null {
    return this.#user(userId).claims.get(tradeId) ?? null
  }

  /** The stored records of a user, by name. */
  recordsOf(userId: string): ReadonlyMap<string, string> {
    return this.#user(userId).records
  }

  /** Id of the last event that the state names. */
  lastEventId(userId: string): string {
    return this.#user(userId).last
  }

  log(userId: string): readonly Entry[] {
    return this.#user(userId).log
  }

  /** The entries of a user's log that can still be read. */
  readableLog(userId: string): readonly Entry[] {
    const { log, trimmedTo } = this.#user(userId)
    return trimmedTo === EVENT_ID_ZERO ? log : log.filter(({ id }) => id > trimmedTo)
  }

  /** Event ids always grow, also after losses. */
  #nextEventId(last: string): string {
    const [ms = 0, index = 0] = (last > this.#lastEventId ? last : this.#lastEventId)
      .split('-')
      .map(Number)
    const nowMs = Math.floor(this.#timeUs / 1_000)
    this.#lastEventId = nowMs > ms ? padEventId(`${nowMs}-0`) : padEventId(`${ms}-${index + 1}`)
    return this.#lastEventId
  }

  #holds(userId: string, user: FakeUser, fence: Fence): boolean {
    if (fence.kind === 'lease')
      return this.leases.get(`${userId} ${fence.connectionId}`) === fence.token
    return fence.kind === 'claim' ? user.claims.get(fence.tradeId) === fence.claim : true
  }

  /** Counts the request against each budget, and returns the refusal if one is exceeded. */
  #heldBack(userId: string, { connectionId, budget, pace }: Leave): TakeRefusal | null {
    const ref = { userId, connectionId }
    const over = pace === null ? null : this.pace.overOf(ref, pace)
    const retryAfterMs = budget ? this.budget.takeNow(ref, 'submit', over === null) : 0
    if (retryAfterMs > 0) return { kind: 'over_budget', retryAfterMs }
    if (over === null && pace !== null) this.pace.count(ref, pace)
    return over
  }

  #refusal(userId: string, user: FakeUser, leave: Leave): TakeRefusal | null {
    const { tradeId, connectionId, revision, exposure } = leave
    const archived = user.read(`order:${tradeId}`) === null ? user.archived(tradeId) : null
    if (archived !== null) return { kind: 'archived', order: archived }
    const tombstone = user.read(`order:${tradeId}`) === null ? user.tombstone(tradeId) : null
    if (tombstone !== null) return { kind: 'ended', tombstone }
    const halt = this.controls.haltOf({ userId, connectionId }, exposure)
    if (halt !== null) return { kind: 'halted', halt }
    const standing = this.controls.standingOf({ userId, connectionId }, revision)
    return standing === 'verified'
      ? null
      : { kind: 'unusable', isLinked: standing === 'unverified' }
  }

  #user(userId: string): FakeUser {
    const user = this.#users.get(userId) ?? new FakeUser()
    this.#users.set(userId, user)
    return user
  }
}

const cashOf = (accounts: readonly Account[]): Decimal | null =>
  accounts.length === 0 ? null : sum(accounts.map(({ cash }) => cash))
