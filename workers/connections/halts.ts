import type { Logger } from '#runtime'
import type { ControlSet, Halt } from '#store'

/** The most halts that `/readyz` names; further halts are only counted. */
const NAMED_MAX = 5
const REASON_LENGTH_MAX = 200

type Scope = Halt['scope']
type Standing = Readonly<{ halt: Halt; userId?: string; connectionId?: string }>

/**
 * The halts in force, as this worker last read them. The log gets an entry when a halt begins,
 * changes and ends; a metric counts the halts of each scope; and `/readyz` names them, because a
 * system that is halted on purpose would look healthy otherwise.
 */
export class StandingHalts {
  readonly #log: Logger
  readonly #onCount: (scope: Scope, count: number) => void
  #global: Standing | null = null
  /** By user, then by connection; `''` is the halt of the whole user. */
  readonly #byUser = new Map<string, ReadonlyMap<string, Standing>>()

  /** @param onCount is sent the number of halts of a scope, whenever the number changes */
  constructor(log: Logger, onCount: (scope: Scope, count: number) => void = () => {}) {
    this.#log = log
    this.#onCount = onCount
    for (const scope of ['global', 'user', 'connection'] as const) onCount(scope, 0)
  }

  setGlobal(halt: Halt | null): void {
    const standing = halt === null ? null : { halt }
    this.#tell(this.#global, standing)
    if ((this.#global === null) !== (standing === null))
      this.#onCount('global', standing === null ? 0 : 1)
    this.#global = standing
  }

  setUser({ userId, halts }: Pick<ControlSet, 'userId' | 'halts'>): void {
    const now = new Map<string, Standing>()
    if (halts.user !== null) now.set('', { halt: halts.user, userId })
    for (const [connectionId, halt] of halts.byConnection)
      now.set(connectionId, { halt, userId, connectionId })
    const before = this.#byUser.get(userId)
    if (before === undefined && now.size === 0) return
    for (const [key, standing] of now) this.#tell(before?.get(key) ?? null, standing)
    for (const [key, standing] of before ?? []) if (!now.has(key)) this.#tell(standing, null)
    if (now.size === 0) this.#byUser.delete(userId)
    else this.#byUser.set(userId, now)
    for (const scope of ['user', 'connection'] as const)
      this.#onCount(scope, this.#all().filter(({ halt }) => halt.scope === scope).length)
  }

  /** A remark for each halt in force, the widest first; bounded. */
  get remarks(): readonly string[] {
    const all = this.#all().toSorted((a, b) => WIDTH[b.halt.scope] - WIDTH[a.halt.scope])
    const named = all.slice(0, NAMED_MAX).map(remarkOf)
    return all.length <= NAMED_MAX ? named : [...named, `halted: ${all.length - NAMED_MAX} more`]
  }

  #all(): Standing[] {
    const ofUsers = [...this.#byUser.values()].flatMap((halts) => [...halts.values()])
    return this.#global === null ? ofUsers : [this.#global, ...ofUsers]
  }

  #tell(before: Standing | null, now: Standing | null): void {
    if (before?.halt.revision === now?.halt.revision) return
    const told = now ?? before
    if (told === null) return
    const { halt, userId, connectionId } = told
    const { scope, allows, by, reason, at } = halt
    const fields = { scope, userId, connectionId, allows, by, reason, at }
    if (now === null) this.#log.warn(fields, 'halt.ended')
    else this.#log.warn(fields, 'halt.stands')
  }
}

const WIDTH: Readonly<Record<Scope, number>> = { global: 2, user: 1, connection: 0 }

/** One line of text, even if the reason has line breaks. */
function remarkOf({ halt: { allows, by, reason }, userId, connectionId }: Standing): string {
  const whom =
    userId === undefined
      ? 'everybody'
      : connectionId === undefined
        ? `user ${userId}`
        : `connection ${connectionId} of ${userId}`
  const why = `${by}: ${reason}`.replace(/\s+/g, ' ').slice(0, REASON_LENGTH_MAX)
  return `halted: ${whom}, ${allows === 'reducing' ? 'but for orders that reduce a position' : 'nothing is sent'}, by ${why}`
}
