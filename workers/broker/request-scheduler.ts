import type { RequestKind } from '#store'

/**
 * The requests of one account in this process: so many at once, the rest in line, the most urgent
 * first. An account whose broker is slow fills its own line and nobody else's (MUL-03).
 *
 * Kept true: at most `RUNNING_MAX` run; the last `RESERVED` places are for cancels and look-ups, so
 * that they never wait behind submissions and listings (CON-07); what waits is bounded by kind.
 */
const RUNNING_MAX = 8
const RESERVED = 2

/**
 * How many may wait, most urgent first. Submissions wait in the queue instead, where they hold no
 * worker.
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
   * Runs `call` when it is its turn.
   * @returns `null` when too many of its kind wait already: nothing was run
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

  /** The place is taken already. */
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
