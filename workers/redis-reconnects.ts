import type { EventEmitter } from 'node:events'
import type { Clock } from '#runtime'

/**
 * Notices when Redis comes back. It may have lost what it had acknowledged last (RDQ-04): with its
 * machine, or because a replica took its place that was behind. Nothing says so, and what workers
 * remember of having written may not be there any more.
 */
export class RedisReconnects {
  readonly #clock: Clock
  readonly #listeners = new Set<() => void>()
  #lastMs: number
  #lastReturnMs: number
  #lostAllMs = -Infinity

  /**
   * @param redis tells of each return; of a Cluster, of each node's
   * @param wasAway it could not be reached when the worker started
   */
  constructor(redis: Pick<EventEmitter, 'on'>, clock: Clock, wasAway: boolean) {
    this.#clock = clock
    this.#lastReturnMs = wasAway ? clock.monotonicMs() : -Infinity
    // Whoever starts may start because of it.
    this.#lastMs = clock.monotonicMs()
    for (const event of ['ready', '+node', '-node']) redis.on(event, () => this.#returned())
  }

  /**
   * It came back a short while ago: not everything that was lost has been read from the brokers
   * again.
   */
  mayHaveLostWrites(): boolean {
    return this.#clock.monotonicMs() - this.#lastMs < DOUBT_MS
  }

  /**
   * It came back so short a while ago that a request whose record was lost may still be on its way,
   * or not be shown by its broker yet. A worker that finds Redis there when it starts has no such
   * doubt: else each deployment would have rejections told late.
   */
  mayHaveJustLost(): boolean {
    return this.#clock.monotonicMs() - this.#lastReturnMs < LOST_REQUEST_MS
  }

  /**
   * The store lost everything a short while ago: what it knows no trace of may have been there all
   * the same.
   */
  hasLostAll(): boolean {
    return this.#clock.monotonicMs() - this.#lostAllMs < DOUBT_MS
  }

  /**
   * The store was found to have lost everything, whether it was away or not, or is used again from
   * now on.
   */
  noteLoss(): void {
    this.#away()
    this.#lostAllMs = this.#lastMs
  }

  listen(listener: () => void): void {
    this.#listeners.add(listener)
  }

  #away(): void {
    this.#lastMs = this.#clock.monotonicMs()
    this.#lastReturnMs = this.#lastMs
  }

  #returned(): void {
    this.#away()
    for (const listener of this.#listeners) listener()
  }
}

/** Each account has been read by then, also one whose broker was slow to answer. */
export const DOUBT_MS = 5 * 60_000
/**
 * Whatever was sent before a loss has arrived by then, if it ever does, and is shown; its job's
 * lock was lost as well, if a worker had frozen.
 */
export const LOST_REQUEST_MS = 30_000
