import type { EventEmitter } from 'node:events'
import type { Clock } from '#runtime'

/**
 * Notices when Redis comes back. Redis may have lost its last acknowledged writes (RDQ-04):
 * together with its machine, or because a replica that was behind took its place. Redis does not
 * report such a loss, so writes that workers remember may be missing.
 */
export class RedisReconnects {
  readonly #clock: Clock
  readonly #listeners = new Set<() => void>()
  #lastMs: number
  #lastReturnMs: number
  #lostAllMs = -Infinity

  /**
   * @param redis emits an event for each return; of a Cluster, for each node's return
   * @param wasAway Redis could not be reached when the worker started
   */
  constructor(redis: Pick<EventEmitter, 'on'>, clock: Clock, wasAway: boolean) {
    this.#clock = clock
    this.#lastReturnMs = wasAway ? clock.monotonicMs() : -Infinity
    // The return of Redis may be the reason why this worker starts.
    this.#lastMs = clock.monotonicMs()
    for (const event of ['ready', '+node', '-node']) redis.on(event, () => this.#returned())
  }

  /**
   * Redis came back, or this worker started, a short while ago: lost writes may not have been read
   * from the brokers again yet.
   */
  mayHaveLostWrites(): boolean {
    return this.#clock.monotonicMs() - this.#lastMs < DOUBT_MS
  }

  /**
   * Redis came back so short a while ago that a request whose record was lost may still be under
   * way, or not be shown by its broker yet. A worker that finds Redis reachable at its start has no
   * such doubt: otherwise each deployment would delay rejections.
   */
  mayHaveJustLost(): boolean {
    return this.#clock.monotonicMs() - this.#lastReturnMs < LOST_REQUEST_MS
  }

  /**
   * The store lost everything a short while ago: a trade without any record may have existed before
   * the loss.
   */
  hasLostAll(): boolean {
    return this.#clock.monotonicMs() - this.#lostAllMs < DOUBT_MS
  }

  /**
   * The store was found to have lost everything, with or without an absence of Redis, or the store
   * is used again from now on.
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

/** Each account has been read by then, also an account whose broker was slow to answer. */
export const DOUBT_MS = 5 * 60_000
/**
 * A request that was sent before a loss has arrived by then, if it ever arrives, and its order is
 * shown. If the sending worker had frozen, its job's lock has expired by then as well.
 */
export const LOST_REQUEST_MS = 30_000
