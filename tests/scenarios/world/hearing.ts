import { isDeepStrictEqual } from 'node:util'
import { type EventPosition, isEventId, serverEvents, type ServerEventName } from '#contract'
import type { Logged } from '../../../relay/event-sink.ts'
import type { FakeStore } from '../../support/fake-store.ts'
import type { Entry } from '../../support/fake-user.ts'
import { connectionsOf } from './log-reader.ts'

/** All events ever logged for any user, by id; losses of the store remove none of them. */
export class EverLogged {
  readonly #resyncs = new Set<object>()
  readonly #entries = new Map<string, Readonly<{ userId: string; entry: Entry }>>()

  add(userId: string, entries: readonly Entry[]): void {
    for (const entry of entries) {
      this.#entries.set(entry.id, { userId, entry })
      if (entry.event === 'state.resync') this.#resyncs.add(entry.payload)
    }
  }

  /** True if the payload belongs to a `state.resync` in a log. */
  isResync(payload: object): boolean {
    return this.#resyncs.has(payload)
  }

  find(id: string): Readonly<{ userId: string; entry: Entry }> | undefined {
    return this.#entries.get(id)
  }
}

/**
 * The number of latest readings and answers kept of the figures of a user. A `state.sync` may come
 * from any of them.
 */
const READINGS_KEPT = 4

/**
 * The accounts of the figures of a user at one moment, whether the store was lost then, and whether
 * the figures could be shown.
 */
type Due = Readonly<{ isLost: boolean; connectionIds: readonly string[]; isRead: boolean }>

const latest = <T>(kept: readonly T[] | undefined, next: T): T[] =>
  [...(kept ?? []), next].slice(-READINGS_KEPT)

/** The required content of the figures of users at their latest readings. */
export class FiguresDue {
  readonly #store: FakeStore
  readonly #readings = new Map<string, Due[]>()
  readonly #answers = new Map<string, boolean[]>()

  constructor(store: FakeStore) {
    this.#store = store
  }

  /** The number of losses of the store. */
  get losses(): number {
    return this.#store.losses
  }

  /** A relay reads the figures of this user now. */
  reads(userId: string): void {
    this.#readings.set(userId, latest(this.#readings.get(userId), this.#now(userId)))
  }

  /**
   * A relay gets the answer whether it may show the figures of this user. A slow read answers for
   * an earlier moment.
   */
  hears(userId: string, isRead: boolean): void {
    this.#answers.set(userId, latest(this.#answers.get(userId), isRead))
  }

  /** True if the figures of the user can be shown now. */
  isRead(userId: string): boolean {
    return this.#now(userId).isRead
  }

  /** True if the figures can be shown now, could at all latest readings, and all answers agreed. */
  wasRead(userId: string): boolean {
    const isEachRead = [...(this.#readings.get(userId) ?? []), this.#now(userId)].every(
      ({ isRead }) => isRead,
    )
    return isEachRead && (this.#answers.get(userId) ?? []).every(Boolean)
  }

  /** True if the log has all events after this one, or this event is the last. */
  isServed(userId: string, id: string): boolean {
    return (
      this.#store.lastEventId(userId) === id ||
      this.#store.readableLog(userId).some(({ prev }) => prev === id)
    )
  }

  /** The objections against showing these accounts that hold now and at all latest readings. */
  objections(userId: string, shown: ReadonlySet<string>): string[] {
    const all = [...(this.#readings.get(userId) ?? []), this.#now(userId)]
    const missing = this.#now(userId).connectionIds.filter(
      (id) => !shown.has(id) && all.every(({ connectionIds }) => connectionIds.includes(id)),
    )
    return [
      ...(all.every(({ isLost }) => isLost) ? ['while the store is lost'] : []),
      ...missing.map((id) => `before ${id} was read`),
    ]
  }

  #now(userId: string): Due {
    const { count, linked } = connectionsOf(this.#store, userId)
    const isLost = this.#store.marker === null
    const read = this.#store.controls
      .connectionIds(userId)
      .filter((id) => this.#store.accountOf(userId, id) !== null)
    const isRead =
      !isLost && linked.every((id) => read.includes(id)) && (count === 0 || read.length > 0)
    return { isLost, connectionIds: linked, isRead }
  }
}

/**
 * The position of a connection in the log of its user, by the messages sent to it.
 *
 *   unplaced --placed--> at <--state.sync-- adrift     at --state.resync--> adrift
 *   unplaced --lastEventId is no id--> adrift
 *
 * `at`: `losses` is the number of losses of the store when the connection reached the event.
 * `adrift`: the connection got `state.resync` and waits for the next `state.sync`; `lastId` is the
 * id of the last event since then.
 */
type Where =
  | Readonly<{ kind: 'unplaced' }>
  | Readonly<{ kind: 'at'; id: string; losses: number }>
  | Readonly<{ kind: 'adrift'; lastId: string | null; isTold: boolean }>

/**
 * Rule C5 for one connection: it is sent the log of its user in order, each entry once, and a
 * `state.resync` for every gap.
 */
export class Hearing {
  readonly #userId: string
  readonly #everLogged: EverLogged
  readonly #due: FiguresDue
  readonly #say: (finding: string) => void
  #where: Where = { kind: 'unplaced' }

  constructor(
    userId: string,
    everLogged: EverLogged,
    due: FiguresDue,
    say: (finding: string) => void,
  ) {
    this.#userId = userId
    this.#everLogged = everLogged
    this.#due = due
    this.#say = (finding) => say(`C5 a connection of ${userId} ${finding}`)
  }

  /**
   * @param position `null`: a resync follows
   * @param lastEventId the event after which the client asked to resume
   */
  placed(position: string | null, lastEventId: unknown): void {
    const isAsked = lastEventId !== undefined && lastEventId !== ''
    if (isAsked && position !== (isEventId(lastEventId) ? lastEventId : null))
      this.#say(`asked to resume at ${JSON.stringify(lastEventId)} and is placed at ${position}`)
    this.#where =
      position === null ? { kind: 'adrift', lastId: null, isTold: false } : this.#at(position)
  }

  delivered({ event, payload, meta }: Logged, isPlace: boolean): void {
    const where = this.#where
    const found = this.#everLogged.find(meta.id)
    this.#parse(event, payload)
    if (found === undefined) return this.#say(`is sent ${event} ${meta.id}, which was never logged`)
    const { userId, entry } = found
    if (userId !== this.#userId) return this.#say(`is sent ${event} of ${userId} (S11)`)
    if (
      entry.event !== event ||
      entry.prev !== meta.prev ||
      !isDeepStrictEqual(entry.payload, payload)
    )
      this.#say(`is sent ${event} ${meta.id} otherwise than it was logged`)
    if (where.kind === 'unplaced') return this.#say(`is sent ${event} before connection.authorized`)
    const before = where.kind === 'at' ? where.id : where.lastId
    if (before !== null && entry.id <= before)
      this.#say(`is sent ${event} ${entry.id} again, or late, after ${before}`)
    else if (where.kind === 'at' && entry.prev !== before)
      this.#say(`is sent ${event} ${entry.id} after ${before}, and what lies between is missing`)
    if (isPlace !== (where.kind === 'at'))
      this.#say(`may ${isPlace ? '' : 'not '}resume at ${entry.id}`)
    this.#where = where.kind === 'at' ? this.#at(entry.id) : { ...where, lastId: entry.id }
  }

  resynced(payload: object): void {
    this.#parse('state.resync', payload)
    if (this.#where.kind === 'unplaced')
      this.#say('is told state.resync before connection.authorized')
    if (this.#where.kind === 'adrift' && this.#where.isTold) this.#say('is told state.resync twice')
    if (this.#where.kind === 'at' && this.#isNeedless(this.#where, payload))
      this.#say(`is told state.resync, and the log has what follows ${this.#where.id}`)
    this.#where = { kind: 'adrift', lastId: null, isTold: true }
  }

  synced(payload: object, at: EventPosition | undefined): void {
    const sync = this.#parse('state.sync', payload)
    const where = this.#where
    if (sync === null) return
    if (at === undefined || sync.lastEventId !== at.id)
      return this.#say('is sent a state.sync without its place')
    if (where.kind === 'unplaced') this.#say('is sent state.sync before connection.authorized')
    if (where.kind === 'at' && where.id !== at.id)
      this.#say(`is at ${where.id} and is sent the state of ${at.id}, without a state.resync`)
    const { portfolio, positions, pendingTrades } = sync
    const isWhole =
      portfolio !== undefined && positions !== undefined && pendingTrades !== undefined
    if (where.kind === 'adrift' && (!where.isTold || !isWhole))
      this.#say('is sent part of the state after a hole')
    if (portfolio !== undefined) {
      const shown = new Set(
        (portfolio.accounts ?? []).map(({ brokerConnectionId }) => brokerConnectionId),
      )
      for (const why of this.#due.objections(this.#userId, shown))
        this.#say(`is sent state.sync ${why}`)
    }
    this.#where = this.#at(at.id)
  }

  #at(id: string): Where {
    return { kind: 'at', id, losses: this.#due.losses }
  }

  /**
   * True if a resync was sent without need: it is not in the log, the log has all events, and the
   * figures were known. A relay reads the log in several commands: if the store loses the end of
   * the log in between, the relay correctly sees a gap.
   */
  #isNeedless({ id, losses }: Readonly<{ id: string; losses: number }>, payload: object): boolean {
    if (this.#everLogged.isResync(payload) || this.#due.losses > losses) return false
    return this.#due.isServed(this.#userId, id) && this.#due.wasRead(this.#userId)
  }

  /** True if the connection was sent all events up to this id. */
  isAt(id: string): boolean {
    return this.#where.kind === 'at' && this.#where.id === id
  }

  /**
   * At quiescence: the violations unless the connection has the log up to `top`. `isRead`: the
   * figures of its user can be shown.
   */
  findUnsettled(top: string, isRead: boolean): string[] {
    if (this.#where.kind === 'at' && this.#where.id === top) return []
    if (this.#where.kind === 'adrift' && this.#where.isTold && !isRead) return []
    const where = this.#where.kind === 'at' ? `at ${this.#where.id}` : this.#where.kind
    return [`C5 a connection of ${this.#userId} is ${where}, the log ends at ${top}`]
  }

  #parse<Name extends ServerEventName>(event: Name, payload: unknown): ParsedPayload<Name> | null
  #parse(event: string, payload: unknown): unknown
  #parse(event: string, payload: unknown): unknown {
    const known = isKnown(event) ? serverEvents[event].schema.safeParse(payload) : null
    if (known?.success === true) return known.data
    this.#say(
      `is sent ${event} with a payload that is none: ${known?.error.message ?? 'the contract has no such event'}`,
    )
    return null
  }
}

type ParsedPayload<Name extends ServerEventName> = ReturnType<
  (typeof serverEvents)[Name]['schema']['parse']
>
const isKnown = (event: string): event is ServerEventName => Object.hasOwn(serverEvents, event)
