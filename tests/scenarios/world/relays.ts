import { stateSyncOf } from '#contract'
import { isoTime } from '#runtime'
import type { Figures } from '#store'
import type { FakeStore } from '../../support/fake-store.ts'
import type { Entry } from '../../support/fake-user.ts'
import { ModelClient, type Network, RESUMES } from './client.ts'
import { EverLogged, FiguresDue, Hearing } from './hearing.ts'
import type { Owner } from './lanes.ts'
import { type Fault, type Heard, type PortCall, Process, UNWATCHED, type Watch } from './process.ts'
import { type Connection, ModelRelay, type RelayDefect } from './relay.ts'
import type { Schedule } from './schedule.ts'
import { StoreFaults } from './store-faults.ts'
import { View } from './view.ts'

const RELAYS = 2
/** The longest delay of a slow read, and of its answer. */
const SLOW_MS_MAX = 300

/** The situations counted in `met`, besides the events that clients handle. */
export const RELAY_HAPPENINGS = [
  'client cut',
  'client stalled',
  'client behind',
  ...RESUMES.map((resume) => `resume ${resume}`),
  'sync sent',
  'sync owed',
  'sync busy',
  'publication dropped',
  'relay deaf',
  'relay killed',
  'relay frozen',
  'read slow',
  'reader.top failed',
  'reader.events failed',
  'reader.figures failed',
  'sub.subscribe failed',
]

/** Lost publications: `times` of them after `skip` others, of one user or of any. */
type Drop = { times: number; skip: number; readonly userId: string | null }

/**
 * Two relays and the clients of every user. Every commit publishes its logged events. Each
 * publication is a step of each relay with a client in the room of the user. The messages to
 * clients are checked at every step (`hearing.ts`), the views of clients at quiescence (`view.ts`).
 */
export class Relays {
  readonly faults = new StoreFaults()
  /** The count of each situation: faults, resyncs, and every event that a client handled. */
  readonly met = new Map<string, number>()
  readonly #schedule: Schedule
  readonly #store: FakeStore
  readonly #world: Owner
  readonly #defect: RelayDefect
  readonly #relays: ModelRelay[] = []
  readonly #clients: ModelClient[] = []
  readonly #everLogged = new EverLogged()
  readonly #due: FiguresDue
  readonly #drops: Drop[] = []
  #found: string[] = []
  #slowUntilMs = 0
  #started = 0

  /** @param userIds the users that have a client from the start */
  constructor(
    schedule: Schedule,
    store: FakeStore,
    world: Owner,
    userIds: readonly string[],
    defect: RelayDefect = {},
  ) {
    this.#schedule = schedule
    this.#store = store
    this.#world = world
    this.#defect = defect
    this.#due = new FiguresDue(store)
    if (userIds.length === 0) return
    store.onLogged = (userId, entries) => this.#publish(userId, entries)
    for (let count = 0; count < RELAYS; count += 1) this.#start()
    for (const userId of userIds) this.connect(userId)
  }

  /** Adds another client of this user. */
  connect(userId: string): ModelClient {
    const name = `client ${this.#clients.length + 1} of ${userId}`
    const client = new ModelClient(
      userId,
      new Process(name, this.#schedule, UNWATCHED),
      this.#network,
    )
    this.#clients.push(client)
    client.connect()
    return client
  }

  clientsOf(userId: string): readonly ModelClient[] {
    return this.#clients.filter((client) => client.userId === userId)
  }

  // Faults
  // -----------------------------------------------------------------------------------------------

  /** The next publications are lost. Default: one, of any user. */
  drop({ times = 1, skip = 0, userId = null }: Partial<Drop> = {}): void {
    this.#drops.push({ times, skip, userId })
  }

  /**
   * One relay loses its subscriptions for `forMs` and gets no publication. Then it checks all its
   * clients, as on `ready` of the link.
   */
  deafen(forMs: number): void {
    const relay = this.#any()
    relay.isDeaf = true
    this.#note('relay deaf')
    this.#later(forMs, () => {
      relay.isDeaf = false
      void relay.process.enter('link', 'relay.subscribed again', () => relay.checkAll())
    })
  }

  /** Kills a relay and starts another one. Its clients reconnect to any relay. */
  kill(): void {
    const relay = this.#any()
    this.#note('relay killed')
    this.#relays.splice(this.#relays.indexOf(relay), 1)
    relay.process.kill()
    this.#start()
  }

  /** A relay is frozen for `forMs`. */
  freeze(forMs: number): void {
    const { process } = this.#any()
    this.#note('relay frozen')
    process.freeze()
    this.#later(forMs, () => process.thaw())
  }

  /** For `forMs`, reads of the store are sometimes delayed, before or after the read itself. */
  slowReads(forMs: number): void {
    this.#slowUntilMs = Math.max(this.#slowUntilMs, this.#schedule.nowMs + forMs)
  }

  /** The network fails for a moment: every client is cut and reconnects within `withinMs`. */
  cutAll(withinMs: number): void {
    for (const client of this.#clients) client.cut(this.#schedule.chance.below(withinMs))
  }

  /** A client handles no message for `forMs`. */
  stall(client: ModelClient, forMs: number): void {
    client.stall(forMs, (afterMs, run) => this.#later(afterMs, run))
  }

  /** Every fault ends. */
  calm(): void {
    this.#drops.length = 0
    this.#slowUntilMs = 0
    this.faults.clear()
    for (const relay of this.#relays) {
      relay.isDeaf = false
      relay.process.thaw()
    }
    for (const client of this.#clients) client.wake()
  }

  // Results
  // -----------------------------------------------------------------------------------------------

  /** The violations since the last call. */
  takeFindings(): readonly string[] {
    if (this.#found.length === 0) return NOTHING
    const found = this.#found
    this.#found = []
    return found
  }

  /** The violations at quiescence: a client without the whole log, or with another state. */
  findUnsettled(): string[] {
    return this.#clients.flatMap((client) => {
      const { userId } = client
      const snapshot = this.#store.snapshot(userId)
      // A store without records of a user may have lost them, so the figures must not be shown.
      const isRead = this.#due.isRead(userId) && snapshot.version !== '0'
      const view = new View()
      view.sync(stateSyncOf(snapshot, undefined, isoTime(this.#schedule.nowMs)))
      const untold = new Set(
        snapshot.orders.flatMap(({ id, status }) => (status === 'submitting' ? [id] : [])),
      )
      return client.findUnsettled(isRead ? { view, untold } : null, snapshot.lastEventId, isRead)
    })
  }

  readonly #network: Network = {
    connect: (client, lastEventId) => this.#connect(client, lastEventId),
    note: (what) => this.#note(what),
    say: (finding) => void this.#found.push(finding),
  }

  #connect(client: ModelClient, lastEventId: unknown): Connection {
    const hearing = new Hearing(
      client.userId,
      this.#everLogged,
      this.#due,
      (finding) => void this.#found.push(finding),
    )
    return this.#any().connect(client, hearing, lastEventId)
  }

  #start(): void {
    const process = new Process(`relay ${(this.#started += 1)}`, this.#schedule, this.#watch)
    this.#relays.push(new ModelRelay(process, this.#store, this.#defect))
  }

  #any(): ModelRelay {
    return this.#schedule.chance.pick(this.#relays)!
  }

  #publish(userId: string, entries: readonly Entry[]): void {
    this.#everLogged.add(userId, entries)
    for (const { id, prev, event, payload } of entries)
      for (const relay of this.#relays) {
        if (!relay.hears(userId)) continue
        if (this.#isDropped(userId)) this.#note('publication dropped')
        else
          void relay.process.enter(`room ${userId}`, 'relay.receive', () =>
            relay.receive(userId, { event, payload, meta: { id, prev } }),
          )
      }
  }

  #isDropped(userId: string): boolean {
    const drop = this.#drops.find((one) => (one.userId ?? userId) === userId)
    if (drop === undefined) return false
    if (drop.skip > 0) {
      drop.skip -= 1
      return false
    }
    drop.times -= 1
    if (drop.times <= 0) this.#drops.splice(this.#drops.indexOf(drop), 1)
    return true
  }

  readonly #watch: Watch = {
    asked() {},
    heard: (_process: Process, { label, args }: PortCall, outcome: Heard) => {
      if (label === 'reader.figures' && outcome.isDone)
        this.#due.hears(String(args[0]), isRead(outcome.value))
    },
    calling: (process: Process, { label, args }: PortCall): Fault | null => {
      if (label === 'reader.figures') this.#due.reads(String(args[0]))
      const fault = this.faults.take(process, label)
      if (fault !== null) this.#note(`${label} failed`)
      return fault ?? (this.#schedule.nowMs < this.#slowUntilMs ? this.#slow : null)
    },
  }

  readonly #slow: Fault = async (call) => {
    this.#note('read slow')
    await this.#passed()
    const answer = await call()
    await this.#passed()
    return answer
  }

  #passed(): Promise<void> {
    return new Promise((resolve) => this.#later(this.#schedule.chance.below(SLOW_MS_MAX), resolve))
  }

  #note(what: string): void {
    this.met.set(what, (this.met.get(what) ?? 0) + 1)
  }

  #later(afterMs: number, run: () => void): void {
    this.#schedule.after(this.#world, afterMs, run)
  }
}

const isRead = (figures: unknown): boolean => (figures as Figures).unread === null

const NOTHING: readonly string[] = []
