import type { RequestKind } from '#store'

/**
 * Schedules the requests of one account in this process: a bounded number runs at once, and the
 * most urgent waiting request is next. An account with a slow broker blocks only its own requests
 * (MUL-03).
 *
 * Invariant:
 * - At most `RUNNING_MAX` requests run.
 * - The last `RESERVED` places are for cancels and look-ups, so that they never wait behind
 *   submissions and listings (CON-07).
 * - The number of waiting requests is bounded for each kind.
 */
const RUNNING_MAX = 8
const RESERVED = 2

/**
 * The most waiting requests of each kind, most urgent kind first. Further submissions wait in the
 * job queue instead, where they occupy no worker.
 */
const WAITING_MAX: Readonly<Record<RequestKind, number>> = {
  cancel: 1_000,
  resolve: 1_000,
  submit: 16,
  poll: 64,
  reconcile: 64,
  refresh: 64,
}
const KINDS = Object.keys(WAITING_MAX) as RequestKind[]

const isUrgent = (kind: RequestKind): boolean => kind === 'cancel' || kind === 'resolve'

export class RequestScheduler {
  readonly #waiting = new Map<RequestKind, (() => void)[]>(KINDS.map((kind) => [kind, []]))
  #running = 0

  /**
   * Runs `call` when its turn comes.
   * @returns `null` if too many requests of this kind wait already: `call` was not run
   */
  run<T>(kind: RequestKind, call: () => Promise<T>): Promise<T> | null {
    if (this.#hasPlace(kind)) return this.#start(call)
    const line = this.#waiting.get(kind)
    if (line === undefined || line.length >= WAITING_MAX[kind]) return null
    return new Promise<void>((resolve) => void line.push(resolve)).then(() => this.#finish(call))
  }

  #start<T>(call: () => Promise<T>): Promise<T> {
    this.#running += 1
    return this.#finish(call)
  }

  /** Runs `call` in a place that is already counted. */
  async #finish<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call()
    } finally {
      this.#running -= 1
      this.#next()
    }
  }

  #next(): void {
    for (const kind of KINDS) {
      const line = this.#waiting.get(kind)
      if (line === undefined || line.length === 0 || !this.#hasPlace(kind)) continue
      this.#running += 1
      line.shift()?.()
      return
    }
  }

  #hasPlace(kind: RequestKind): boolean {
    return this.#running < (isUrgent(kind) ? RUNNING_MAX : RUNNING_MAX - RESERVED)
  }
}
