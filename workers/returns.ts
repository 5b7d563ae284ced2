import type { EventEmitter } from 'node:events'
import type { Clock } from '#runtime'

/**
 * Notices when Redis comes back. It may have lost what it had acknowledged last (RDQ-04): with its machine, or because a replica took its
 * place that was behind. Nothing says so, and what workers remember of having written may not be there any more.
 */
export class StoreReturns {
  readonly #clock: Clock
  readonly #listeners = new Set<() => void>()
  #lastMs: number

  /** @param redis tells of each return; of a Cluster, of each node's */
  constructor(redis: Pick<EventEmitter, 'on'>, clock: Clock) {
    this.#clock = clock
    // Whoever starts may start because of it.
    this.#lastMs = clock.monotonicMs()
    for (const event of ['ready', '+node', '-node']) redis.on(event, () => this.#returned())
  }

  /** It came back a short while ago: not everything that was lost has been read from the brokers again. */
  mayHaveLost(): boolean {
    return this.#clock.monotonicMs() - this.#lastMs < DOUBT_MS
  }

  /** The store was found to have lost everything, whether it was away or not. */
  lost(): void {
    this.#lastMs = this.#clock.monotonicMs()
  }

  listen(listener: () => void): void {
    this.#listeners.add(listener)
  }

  #returned(): void {
    this.lost()
    for (const listener of this.#listeners) listener()
  }
}

/** Each account has been read by then, also one whose broker was slow to answer. */
export const DOUBT_MS = 5 * 60_000
