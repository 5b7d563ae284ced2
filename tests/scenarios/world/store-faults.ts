import type { Process, Fault } from './process.ts'

/** How a call to Redis can go wrong, as the caller sees it. */
export type StoreFaultKind =
  /** Applied; the connection breaks before the answer. */
  | 'reply_lost'
  /**
   * The client resends what was in flight when the connection broke: applied twice, the second
   * answer counts.
   */
  | 'twice'
  /** Refused before anything was written, as when memory is full. */
  | 'refused'
  /** The connection breaks before the command is read. */
  | 'request_lost'

export const STORE_FAULTS = [
  'reply_lost',
  'twice',
  'refused',
  'request_lost',
] as const satisfies readonly StoreFaultKind[]

/** Which call it befalls: the next one of these labels, after `skip` of them. */
export type PlannedStoreFault = {
  kind: StoreFaultKind
  label: string
  skip: number
  process: Process | null
}

const brokenConnection = (): Error => new Error('Connection is closed.')

const faults: Readonly<Record<StoreFaultKind, Fault>> = {
  async reply_lost(call) {
    await call()
    throw brokenConnection()
  },
  async twice(call) {
    await call()
    return call()
  },
  async refused() {
    throw new Error("OOM command not allowed when used memory > 'maxmemory'.")
  },
  async request_lost() {
    throw brokenConnection()
  },
}

/** The faults of the store that are planned, first come first served. */
export class StoreFaults {
  readonly #planned: PlannedStoreFault[] = []
  /**
   * By `<call> <kind>`, how often it befell: a scenario that never met its fault proves nothing.
   */
  readonly met = new Map<string, number>()

  plan(
    kind: StoreFaultKind,
    label = 'store.commit',
    skip = 0,
    process: Process | null = null,
  ): void {
    this.#planned.push({ kind, label, skip, process })
  }

  clear(): void {
    this.#planned.length = 0
  }

  take(process: Process, label: string): Fault | null {
    const planned = this.#planned.find(
      (one) => one.label === label && (one.process ?? process) === process,
    )
    if (planned === undefined) return null
    if (planned.skip > 0) {
      planned.skip -= 1
      return null
    }
    this.#planned.splice(this.#planned.indexOf(planned), 1)
    const name = `${label} ${planned.kind}`
    this.met.set(name, (this.met.get(name) ?? 0) + 1)
    return faults[planned.kind]
  }
}
