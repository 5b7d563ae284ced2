import type { Clock, Logger } from '#runtime'
import { type ConnectionRef, type Controls, type ControlSet, type IndexPosition, isVerified } from '#store'

/** Users whose control sets one worker keeps in memory. */
export const USERS_MAX = 50_000
const READ_EVERY_MS = 1_000
const PAGE = 500
/** An empty set is told of for this long, so that every worker hears that it is empty. */
const EMPTY_MS = 3_600_000

/** Hears of connections, one at a time. */
export type ConnectionListener = Readonly<{
  /** There is such a connection, or its record changed, or whether its credentials are verified. */
  changed(ref: ConnectionRef): void
  gone(ref: ConnectionRef): void
}>

/**
 * The control sets of all users, as this worker last read them: how it hears of its work, and what it gives back when the store loses
 * them (D20). A change is here within about a second. A store that lost everything says nothing, so what was known stays known.
 */
export class Directory implements AsyncDisposable {
  readonly #controls: Controls
  readonly #clock: Clock
  readonly #log: Logger
  readonly #sets = new Map<string, { set: ControlSet; position: IndexPosition }>()
  readonly #listeners = new Set<ConnectionListener>()
  readonly #stop: () => void
  #from: IndexPosition = 0
  #reading: Promise<void> = Promise.resolve()

  constructor(controls: Controls, clock: Clock, log: Logger) {
    this.#controls = controls
    this.#clock = clock
    this.#log = log
    this.#stop = clock.every(READ_EVERY_MS, () => void this.refresh())
    void this.refresh()
  }

  /** Reads what changed since the last time. Never rejects; `false`: the store could not be read. */
  refresh(): Promise<boolean> {
    const read = this.#reading.then(() => this.#read())
    this.#reading = read.catch((error: unknown) => this.#log.warn({ error }, 'directory.read_failed'))
    return read.then(
      () => true,
      () => false,
    )
  }

  setOf(userId: string): ControlSet | null {
    return this.#sets.get(userId)?.set ?? null
  }

  all(): ControlSet[] {
    return [...this.#sets.values()].map(({ set }) => set)
  }

  /** Hears of every connection that is known, and of every change from now on. */
  listen(listener: ConnectionListener): void {
    this.#listeners.add(listener)
    for (const { set } of this.#sets.values()) for (const connection of set.connections) listener.changed(connection)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop()
    this.#listeners.clear()
    await this.#reading
  }

  async #read(): Promise<void> {
    for (;;) {
      const page = await this.#controls.changedSince(this.#from, PAGE)
      for (const { userId, position } of page) {
        // Inclusive: entries with the same position are told apart by what is kept of each.
        if (this.#sets.get(userId)?.position !== position) await this.#readUser(userId, position)
        this.#from = Math.max(this.#from, position)
      }
      if (page.length < PAGE) return
    }
  }

  async #readUser(userId: string, position: IndexPosition): Promise<void> {
    const known = this.#sets.get(userId)
    if (known === undefined && this.#sets.size >= USERS_MAX) {
      this.#log.error({ max: USERS_MAX }, 'directory.full')
      return
    }
    const set = await this.#controls.read(userId)
    this.#sets.set(userId, { set, position })
    this.#tell(known?.set ?? null, set)
    if (isEmpty(set) && this.#clock.now() - position / 1_000 > EMPTY_MS) {
      this.#sets.delete(userId)
      await this.#controls.prune(userId, position)
    }
  }

  #tell(before: ControlSet | null, after: ControlSet): void {
    const known = new Map(before?.connections.map((connection) => [connection.connectionId, connection]))
    for (const connection of after.connections) {
      const isKnown =
        before !== null && signOf(before, connection.connectionId) === signOf(after, connection.connectionId)
      known.delete(connection.connectionId)
      if (!isKnown) for (const listener of this.#listeners) listener.changed(connection)
    }
    for (const connection of known.values()) for (const listener of this.#listeners) listener.gone(connection)
  }
}

/** Changes with what a listener has to hear of. */
function signOf({ connections, links }: ControlSet, connectionId: string): string | null {
  const connection = connections.find((one) => one.connectionId === connectionId)
  if (connection === undefined) return null
  return `${connection.revision} ${isVerified({ connection, link: links.get(connectionId) ?? null })}`
}

const isEmpty = ({ connections, links, limits, halts, bars }: ControlSet): boolean =>
  connections.length + links.size + limits.byConnection.size + halts.byConnection.size + bars.size === 0 &&
  limits.user === null &&
  halts.user === null
