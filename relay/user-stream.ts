import { EVENT_ID_ZERO, isEventId, stateSyncOf, type SyncType } from '#contract'
import { type Clock, isoTime, type Logger } from '#runtime'
import type { Figures, LogEntry, Reader, UserSnapshot } from '#store'
import type { Outage } from '#transport'
import type { RelayMetrics } from './context.ts'
import type { EventSink, Logged } from './event-sink.ts'
import { isReady, persist } from './flow-control.ts'

/** The services that a stream uses. */
export type StreamDeps = Readonly<{
  reader: Reader
  clock: Clock
  log: Logger
  outage: Outage
  metrics: RelayMetrics
}>

/**
 * How a replay of the log up to an id ended.
 * - `reached`: that id was sent
 * - `resync`: a resync of the log comes before that id
 * - `lost`: the log has entries behind the position, but no longer has that id: the store lost that
 *   entry after the id was read
 * - `unserved`: the log lacks the entry that follows the position
 */
type Replay = Readonly<
  { ended: 'reached' | 'lost' | 'unserved' } | { ended: 'resync'; entry: LogEntry }
>

/** Entries read from the log at once. */
const REPLAY_BATCH = 200
/**
 * The most live events held back while the log is read. Further events are dropped here and read
 * from the log.
 */
const SET_ASIDE_MAX = 1_000
/**
 * How often the stream checks whether owed figures are known. The event that an account's first
 * reading logs usually comes sooner.
 */
const FIGURES_LOOK_MS = 5_000
/**
 * If the store has no state of a user who has had events, the store has lost that user, and gets
 * the user's connections back within moments. After this long without connections, the user had
 * removed all of them.
 */
const EMPTIED_MS = 60_000
/** The most steps of one connection that may wait for each other. */
const STEPS_WAITING_MAX = 8

/** A stream is checked every `CHECK_MS_MIN`, plus up to `CHECK_MS_SPREAD` more at random. */
export const CHECK_MS_MIN = 20_000
export const CHECK_MS_SPREAD = 10_000

/**
 * The place of one connection in its user's event log.
 *
 *   placeless --start--> gated --caught up--> live
 *   live --event out of chain, sync requested, check--> gated ...
 *
 * Invariants:
 * - The connection gets the log in order, each entry once, from `position` on.
 * - `position` is the id of the last event sent.
 * - An event from Redis is sent at once only if it directly follows `position`.
 * - If an event does not follow, the connection is gated: live events are held back while the log
 *   is read. The gate opens in the same turn in which the last held event was sent.
 * - If the log cannot serve the client (trimmed, expired, older than the client), the client gets
 *   `state.resync` and a full `state.sync`: never a silent hole.
 * - No `state.sync` is sent before every account of the user was read. Until then the client gets
 *   `state.resync` once, events go on, and the `state.sync` is owed: the stream sends it as soon as
 *   an event or a check shows that the accounts were read.
 */
export class UserStream {
  readonly #deps: StreamDeps
  readonly #userId: string
  readonly #sink: EventSink
  #position = ''
  /** Events held back at the gate; `null` while live. */
  #setAside: Logged[] | null = []
  /** Lets the steps begin; cleared once the stream has its place. */
  #begin: (() => void) | undefined
  #work = new Promise<void>((resolve) => (this.#begin = resolve))
  #waiting = 0
  /** Number of checks due: the one that runs, and one that follows it. */
  #looksDue = 0
  /**
   * The client was sent events, or named an event id: if the store has no state of its user, the
   * store has lost that user.
   */
  #hasHistory = false
  /** The reason of a `state.resync` that must come before any other event. */
  #resyncDue: string | null = null
  /**
   * Since when a `state.sync` waits until the accounts were read. `state.resync` was already sent,
   * so the owed `state.sync` holds the whole state, even if only a part was requested.
   */
  #owedSinceMs: number | null = null

  constructor(deps: StreamDeps, userId: string, sink: EventSink) {
    this.#deps = deps
    this.#userId = userId
    this.#sink = sink
  }

  /**
   * Takes the stream's place in the log; to be called once the room's subscription is acknowledged.
   * @param lastEventId the id behind which the client resumes; `undefined`: from now on. Any value
   *   that is not an event id causes a resync.
   * @param onPlaced called with the position where this stream starts, before any event is sent;
   *   `null` if a resync follows that carries the position itself: a client that is cut before that
   *   resync must not resume behind it
   */
  async start(lastEventId: unknown, onPlaced: (position: string | null) => void): Promise<void> {
    const isResume = isEventId(lastEventId)
    const isUnreadable = !isResume && lastEventId !== undefined && lastEventId !== ''
    if (isResume) this.#deps.metrics.replays.inc()
    await persist(this.#deps, this.#sink, async () =>
      this.#moveTo(isResume ? lastEventId : await this.#deps.reader.top(this.#userId)),
    )
    if (this.#sink.isOpen()) onPlaced(isUnreadable ? null : this.#position)
    // A request for a part of the state may wait already: the resync must come before it.
    if (isUnreadable) this.#resyncDue = 'lastEventId is not an event id'
    this.#begin?.()
    this.#begin = undefined
    if (isUnreadable) await this.#enqueue(() => this.#resyncIfDue())
    // A client that starts at the top of the log missed nothing: every event after that read is
    // already held back at the gate.
    await this.#enqueue(async () => void ((!isResume && this.#drain()) || (await this.#catchUp())))
  }

  /** An event of the user's log, from Redis. */
  receive(logged: Logged): void {
    if (this.#setAside !== null) {
      if (this.#setAside.length < SET_ASIDE_MAX) this.#setAside.push(logged)
      return
    }
    const { event, meta } = logged
    if (meta.prev === this.#position && event !== 'state.resync') this.#send(logged)
    else if (meta.id > this.#position) {
      this.#deps.metrics.gaps.inc()
      this.#setAside = []
      void this.#enqueue(() => this.#catchUp())
    }
  }

  /**
   * Sends `state.sync`: after every event that is part of it, before every later event. `owed`: an
   * account was not read yet, and the `state.sync` follows once it is read. `busy`: too many steps
   * are waiting already.
   */
  async sync(types: readonly SyncType[] | undefined): Promise<'sent' | 'owed' | 'busy'> {
    if (this.#waiting >= STEPS_WAITING_MAX) return 'busy'
    await this.#gated(() => this.#tellFigures(types))
    return this.#owedSinceMs === null ? 'sent' : 'owed'
  }

  /** The stream waits for the figures of an account that was not read yet. */
  get awaitsFigures(): boolean {
    return this.#owedSinceMs !== null
  }

  /**
   * Sends the figures. If the log lost their position before they could be sent, the figures are
   * read again: the store lost the writes in them.
   * @param lostId position of the lost figures; figures with the same position show that only the
   *   log lacks it
   */
  async #tellFigures(types?: readonly SyncType[], lostId?: string): Promise<void> {
    if (this.#resyncDue !== null) return void (await this.#resyncIfDue())
    const figures = await this.#deps.reader.figures(this.#userId)
    if (!this.#isKnown(figures)) return this.#owe('the broker account has not been read yet')
    const { snapshot } = figures
    const replay = await this.#replayTo(snapshot.lastEventId)
    if (replay.ended === 'reached') this.#sendSync(snapshot, types)
    else if (replay.ended === 'resync') await this.#resyncAt(replay.entry)
    else if (replay.ended === 'lost' && snapshot.lastEventId !== lostId)
      await this.#tellFigures(types, snapshot.lastEventId)
    else await this.#resync('the event log does not reach back that far')
  }

  #isKnown({ snapshot, unread }: Figures): boolean {
    if (unread !== null) return false
    const isEmptied = this.#hasHistory && snapshot.version === '0'
    return !isEmptied || this.#owesFor(EMPTIED_MS)
  }

  #owesFor(forMs: number): boolean {
    return this.#owedSinceMs !== null && this.#deps.clock.monotonicMs() - this.#owedSinceMs >= forMs
  }

  /** @param reason of the `state.resync`, if none was sent since the last `state.sync` */
  #owe(reason: string | null): void {
    if (this.#owedSinceMs !== null) return
    if (reason !== null) this.#tellResync(reason)
    this.#owedSinceMs = this.#deps.clock.monotonicMs()
    void this.#awaitFigures()
  }

  async #awaitFigures(): Promise<void> {
    for (;;) {
      await this.#deps.clock.sleep(FIGURES_LOOK_MS)
      if (this.#owedSinceMs === null || !this.#sink.isOpen()) return
      if (this.#waiting === 0) await this.#gated(() => this.#settle())
    }
  }

  async #settle(): Promise<void> {
    if (this.#owedSinceMs !== null) await this.#tellFigures()
  }

  /**
   * Checks whether the stream missed an event unnoticed: a last event that was lost, or a log that
   * went backwards.
   */
  async check(): Promise<void> {
    if (this.#position === '' || this.#looksDue > 1) return
    this.#looksDue += 1
    // The running check may already have read the log, so one more check follows it: never more
    // than one, however long Redis does not answer.
    if (this.#looksDue > 1) return
    for (; this.#looksDue > 0; this.#looksDue -= 1)
      if (!(await this.#isAtTop()) && this.#waiting <= 1) await this.#gated(async () => {})
  }

  /** Usually no event is missing, and one small read shows that the live stream is at the top. */
  async #isAtTop(): Promise<boolean> {
    if (this.#setAside !== null) return false
    const top = await this.#deps.reader.top(this.#userId).catch(() => null)
    return this.#setAside === null && top === this.#position
  }

  /** Runs `step`, then catches up. */
  #gated(step: () => Promise<void>): Promise<void> {
    return this.#enqueue(async () => {
      if (!(await isReady(this.#deps.clock, this.#sink))) return
      await step()
      await this.#catchUp()
    })
  }

  /**
   * Runs one step after another, each with the gate closed. The first step waits until the stream
   * has its place.
   */
  #enqueue(step: () => Promise<unknown>): Promise<void> {
    this.#waiting += 1
    this.#work = this.#work.then(async () => {
      this.#setAside ??= []
      await persist(this.#deps, this.#sink, step)
      this.#waiting -= 1
    })
    return this.#work
  }

  /**
   * Sends the log entries behind `position`, then the held events, then opens the gate: the last
   * two in one turn.
   */
  async #catchUp(): Promise<void> {
    while (await isReady(this.#deps.clock, this.#sink)) {
      const { entries, top } = await this.#deps.reader.events(
        this.#userId,
        this.#position,
        REPLAY_BATCH,
      )
      if (top < this.#position) await this.#resync('the event log was lost')
      else if (entries.length === 0 && top > this.#position)
        await this.#resync('the end of the event log was lost')
      else if (!(await this.#sendEntries(entries)) || this.#position < top) continue
      else if (entries.length < REPLAY_BATCH && this.#drain()) return
    }
  }

  /**
   * Sends entries in order. Returns `false` if an entry does not follow, or is a resync: the state
   * that was sent then moved the position on.
   */
  async #sendEntries(entries: readonly LogEntry[]): Promise<boolean> {
    for (const entry of entries) {
      if (entry.prev !== this.#position) return this.#resync('the event log lacks what followed')
      if (entry.event === 'state.resync') return this.#resyncAt(entry)
      this.#sendEntry(entry)
    }
    return true
  }

  /**
   * Sends the held events; `false` if a link of the chain is missing and the log must be read
   * again.
   */
  #drain(): boolean {
    const waiting = this.#setAside ?? []
    const isFull = waiting.length >= SET_ASIDE_MAX
    this.#setAside = []
    for (const logged of waiting) {
      if (logged.meta.id <= this.#position) continue
      if (logged.meta.prev !== this.#position || logged.event === 'state.resync') return false
      this.#send(logged)
    }
    if (isFull) return false // more events may have been dropped behind them
    this.#setAside = null
    return true
  }

  /** Sends the log up to and including `id`, or up to a resync in it. */
  async #replayTo(id: string): Promise<Replay> {
    while (this.#position < id && (await isReady(this.#deps.clock, this.#sink))) {
      const { entries, top } = await this.#deps.reader.events(
        this.#userId,
        this.#position,
        REPLAY_BATCH,
      )
      if (entries.length === 0) return { ended: top < id ? 'lost' : 'unserved' }
      for (const entry of entries) {
        if (this.#position === id) break
        if (entry.prev !== this.#position) return { ended: 'unserved' }
        if (entry.id > id) return { ended: 'lost' }
        if (entry.event === 'state.resync') return { ended: 'resync', entry }
        this.#sendEntry(entry)
      }
    }
    return { ended: this.#position === id ? 'reached' : 'unserved' }
  }

  async #resyncIfDue(): Promise<void> {
    const reason = this.#resyncDue
    if (reason !== null) await this.#resync(reason)
    this.#resyncDue = null
  }

  async #resync(reason: string): Promise<false> {
    const figures = await this.#deps.reader.figures(this.#userId)
    if (this.#isKnown(figures)) {
      if (this.#owedSinceMs === null) this.#tellResync(reason)
      this.#sendSync(figures.snapshot)
    } else {
      this.#owe(reason)
      this.#moveTo(figures.snapshot.lastEventId)
    }
    return false
  }

  /**
   * Handles a `state.resync` of the log. It is passed on, unless the client already got a
   * `state.resync` and still waits for the figures.
   */
  async #resyncAt(entry: LogEntry): Promise<false> {
    const figures = await this.#deps.reader.figures(this.#userId)
    if (this.#owedSinceMs === null) this.#tellLogged(entry)
    if (this.#isKnown(figures)) this.#sendSync(figures.snapshot)
    else {
      this.#owe(null)
      this.#moveTo(entry.id)
    }
    return false
  }

  /** @param types the requested parts; an owed `state.sync` holds the whole state. Default: all */
  #sendSync(snapshot: UserSnapshot, types?: readonly SyncType[]): void {
    const shown = this.#owedSinceMs === null ? types : undefined
    this.#owedSinceMs = null
    this.#moveTo(snapshot.lastEventId)
    const payload = stateSyncOf(snapshot, shown, isoTime(this.#deps.clock.now()))
    this.#sink.tell('state.sync', payload, { id: snapshot.lastEventId })
  }

  #tellResync(reason: string): void {
    this.#deps.metrics.resyncs.inc()
    this.#deps.log.info({ userId: this.#userId, reason }, 'stream.resync')
    this.#sink.tell('state.resync', { reason, timestamp: isoTime(this.#deps.clock.now()) })
  }

  /** Sends a resync that the log holds. */
  #tellLogged({ payload }: LogEntry): void {
    this.#sink.tell('state.resync', payload as object)
  }

  #sendEntry({ event, payload, id, prev }: LogEntry): void {
    this.#send({ event, payload, meta: { id, prev } })
  }

  #send(logged: Logged): void {
    this.#moveTo(logged.meta.id)
    // While a state.sync is owed, a client that resumed behind this event would never get that
    // state.sync: so it resumes before the resync.
    this.#sink.deliver(logged, this.#owedSinceMs === null)
  }

  #moveTo(id: string): void {
    this.#position = id
    if (id > EVENT_ID_ZERO) this.#hasHistory = true
  }
}
