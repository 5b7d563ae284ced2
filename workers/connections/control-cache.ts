import type { Clock, Logger } from '#runtime'
import {
  type ConnectionRef,
  type Controls,
  type ControlSet,
  type Halt,
  type IndexPosition,
  isVerified,
  type LinkedConnection,
  type StoreEpoch,
} from '#store'
import type { Handler } from '../queue/index.ts'
import type { StandingHalts } from './halts.ts'

/** Users whose control sets one worker keeps in memory. */
const USERS_MAX = 50_000
const READ_EVERY_MS = 1_000
const PAGE = 500
/** Pause of a job while the store is lost. */
const CLOSED_MS = 1_000
const MISSING =
  'store_lost: the store is empty, and STORE_EXPECTED says that it should not be. ' +
  'Connect the accounts again, set limits and halts, then call acceptStore'
/**
 * A set that became empty is kept this long in the store, so that every worker reads the empty set.
 */
const EMPTY_MS = 3_600_000

/** Is notified of changes, one connection at a time. */
export type ConnectionListener = Readonly<{
  /**
   * The connection was added, its record changed, or the verification of its credentials changed.
   */
  changed(ref: ConnectionRef): void
  gone(ref: ConnectionRef): void
  /**
   * The store lost everything, and its control sets were restored; `changed` follows for each
   * connection. All other state has to be read again.
   */
  lost(): void
}>

export type ControlCacheDeps = Readonly<{
  controls: Controls
  epoch: StoreEpoch
  clock: Clock
  log: Logger
  /**
   * True if the store must not be empty at start. An empty store was then lost, and no worker
   * remembers its control sets, so an operator decides when to go on (D20).
   */
  isStoreExpected: boolean
  /** Is sent every halt that is read. */
  halts: Pick<StandingHalts, 'setGlobal' | 'setUser'>
  /** Counts losses of the store. */
  onLost(): void
  /** A lost store was accepted and is used again. */
  onUsedAgain(): void
}>

/**
 * The control sets of all users, as this worker last read them. They are the source of the worker's
 * connections, and are restored from here if the store loses them (D20). A change is read within
 * about a second.
 *
 *   starting --no marker, although one was expected--> missing
 *   missing --marker exists: set by an operator, or minted by another worker--> open
 *   starting --marker read, or minted in a new store--> open --marker gone or changed--> lost
 *   lost --control sets restored, marker minted--> open
 *
 * Invariant:
 * - Data that was read is accepted only if the marker is still the known one afterwards, so a loss
 *   never looks like a removal.
 * - While the store is `lost`, no order job begins.
 * - A job that began before the loss cannot commit: the commit script finds no connection and
 *   refuses.
 */
export class ControlCache implements AsyncDisposable {
  readonly #deps: ControlCacheDeps
  readonly #sets = new Map<string, { set: ControlSet; position: IndexPosition }>()
  readonly #listeners = new Set<ConnectionListener>()
  readonly #stop: () => void
  #globalHalt: Halt | null = null
  /** The known marker of the store; `null` before the first reading. */
  #marker: string | null = null
  #isLost = false
  #isMissing = false
  #from: IndexPosition = 0
  #reading: Promise<void> = Promise.resolve()

  constructor(deps: ControlCacheDeps) {
    this.#deps = deps
    this.#stop = deps.clock.every(READ_EVERY_MS, () => void this.refresh())
    void this.refresh()
  }

  /** Reads the changes since the last call. Never rejects; `false`: the store could not be read. */
  refresh(): Promise<boolean> {
    const turn = this.#reading.then(() => this.#turn())
    this.#reading = turn.catch((error: unknown) =>
      this.#deps.log.warn({ error }, 'directory.read_failed'),
    )
    return turn.then(
      () => true,
      () => false,
    )
  }

  /** Why no order job may begin now; `null`: jobs may begin. */
  get blockedReason(): string | null {
    if (this.#isMissing) return MISSING
    return this.#isLost
      ? 'store_lost: the store lost its control sets, and they are being given back'
      : null
  }

  /**
   * The marker of the store if it is the known one and no loss is being repaired; otherwise `null`.
   * Reads the store itself.
   */
  async knownStore(): Promise<string | null> {
    const marker = this.#marker
    return !this.#isLost && marker !== null && (await this.#isKnown()) && !this.#isLost
      ? marker
      : null
  }

  /** The connection as this worker last read it. */
  connectionOf({ userId, connectionId }: ConnectionRef): LinkedConnection | null {
    const set = this.setOf(userId)
    return set === null ? null : linkedIn(set, connectionId)
  }

  setOf(userId: string): ControlSet | null {
    return this.#sets.get(userId)?.set ?? null
  }

  /** Reports every known connection to the listener, then every change from now on. */
  listen(listener: ConnectionListener): void {
    this.#listeners.add(listener)
    for (const { set } of this.#sets.values())
      for (const connection of set.connections) listener.changed(connection)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop()
    this.#listeners.clear()
    await this.#reading
  }

  async #turn(): Promise<void> {
    const { epoch, log, isStoreExpected } = this.#deps
    if (this.#marker === null) {
      const marker = await epoch.read()
      if (marker === null && isStoreExpected) return this.#miss()
      this.#marker = marker ?? (await epoch.mint())
      if (this.#isMissing) this.#deps.onUsedAgain()
      this.#isMissing = false
      log.info({ marker: this.#marker }, 'store.known')
    } else if (!(await this.#isKnown())) await this.#giveBack()
    await this.#read()
  }

  #miss(): void {
    if (this.#isMissing) return
    this.#isMissing = true
    this.#deps.log.error('store.missing')
    this.#deps.onLost()
  }

  async #isKnown(): Promise<boolean> {
    return (await this.#deps.epoch.read()) === this.#marker
  }

  /**
   * Restores the control sets from memory. Every surviving worker does this, in any order and as
   * often as necessary: of each record the newest version stays.
   */
  async #giveBack(): Promise<void> {
    const { controls, epoch, log, onLost, onUsedAgain } = this.#deps
    if (!this.#isLost) {
      log.error({ users: this.#sets.size }, 'store.lost')
      onLost()
    }
    this.#isLost = true
    const sets = [...this.#sets.values()].map(({ set }) => set)
    await controls.restore(sets, this.#globalHalt)
    this.#marker = await epoch.mint()
    this.#from = 0
    await this.#read()
    onUsedAgain()
    this.#isLost = false
    log.warn({ users: this.#sets.size, marker: this.#marker }, 'store.restored')
    for (const listener of this.#listeners) {
      listener.lost()
      for (const { set } of this.#sets.values())
        for (const connection of set.connections) listener.changed(connection)
    }
  }

  async #read(): Promise<void> {
    const { controls } = this.#deps
    for (;;) {
      const globalHalt = await controls.readGlobalHalt()
      const page = await controls.changedSince(this.#from, PAGE)
      // The range is inclusive: sets at the same position are distinguished by the position kept
      // for each.
      const changed = page.filter(
        ({ userId, position }) => this.#sets.get(userId)?.position !== position,
      )
      const read: { set: ControlSet; position: IndexPosition }[] = []
      for (const { userId, position } of changed)
        read.push({ set: await controls.read(userId), position })
      if (!(await this.#isKnown())) return
      this.#globalHalt = globalHalt
      this.#deps.halts.setGlobal(globalHalt)
      for (const { set, position } of read) await this.#take(set, position)
      const last = page.at(-1)
      if (last !== undefined) this.#from = last.position
      if (page.length < PAGE || changed.length === 0) return
    }
  }

  async #take(set: ControlSet, position: IndexPosition): Promise<void> {
    const { controls, clock, log } = this.#deps
    const known = this.#sets.get(set.userId)
    if (known === undefined && this.#sets.size >= USERS_MAX) {
      log.error({ max: USERS_MAX }, 'directory.full')
      return
    }
    this.#sets.set(set.userId, { set, position })
    this.#deps.halts.setUser(set)
    this.#tell(known?.set ?? null, set)
    if (!isEmpty(set) || clock.now() - position / 1_000 <= EMPTY_MS) return
    this.#sets.delete(set.userId)
    await controls.prune(set.userId, position)
  }

  #tell(before: ControlSet | null, after: ControlSet): void {
    const known = new Map(
      before?.connections.map((connection) => [connection.connectionId, connection]),
    )
    for (const connection of after.connections) {
      const { connectionId } = connection
      const isKnown =
        before !== null && signOf(before, connectionId) === signOf(after, connectionId)
      known.delete(connectionId)
      if (!isKnown) for (const listener of this.#listeners) listener.changed(connection)
    }
    for (const connection of known.values())
      for (const listener of this.#listeners) listener.gone(connection)
  }
}

/** Changes exactly when the connection changed in a way that listeners are notified of. */
function signOf(set: ControlSet, connectionId: string): string | null {
  const linked = linkedIn(set, connectionId)
  return linked === null ? null : `${linked.connection.revision} ${isVerified(linked)}`
}

function linkedIn(
  { connections, links }: ControlSet,
  connectionId: string,
): LinkedConnection | null {
  const connection = connections.find((one) => one.connectionId === connectionId)
  return connection === undefined ? null : { connection, link: links.get(connectionId) ?? null }
}

const isEmpty = ({ connections, links, limits, halts, bars }: ControlSet): boolean =>
  connections.length +
    links.size +
    limits.byConnection.size +
    halts.byConnection.size +
    bars.size ===
    0 &&
  limits.user === null &&
  halts.user === null

/** Wraps a handler: its jobs wait while `blockedReason` returns a reason. */
export const unlessBlocked =
  (handle: Handler, blockedReason: () => string | null): Handler =>
  async (name, data, run) => {
    const why = blockedReason()
    return why === null ? handle(name, data, run) : { kind: 'again', delayMs: CLOSED_MS, why }
  }
