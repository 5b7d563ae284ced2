import { FillcastError } from '#runtime'

/**
 * The result of one run of a job. `again`: the job must run again after `delayMs`; `delayMs` null:
 * after the queue's own backoff, as a failed try.
 */
export type JobResult = Readonly<
  { kind: 'done' } | { kind: 'again'; delayMs: number | null; why: string }
>

export const DONE: JobResult = { kind: 'done' }
export const again = (delayMs: number | null, why: string): JobResult => ({
  kind: 'again',
  delayMs,
  why,
})

/**
 * The reason of a job that waits because its connection is missing from a store that may have lost
 * it.
 */
export const STORE_LOST = 'the store may have lost the connection'

/** One run of a job. */
export type Run = Readonly<{
  /** When the job was queued, in ms since 1970. */
  queuedAtMs: number
  /**
   * How many workers were lost while they ran the job; the queue counts a loss before it delivers
   * the job again.
   */
  losses: number
  /**
   * True if the job has run before, as far as the queue knows; absent: the job may have run before.
   */
  isRepeat?: boolean
  /**
   * Called right before every request that changes something at the broker: once the queue may have
   * given the job to another worker, no more requests leave this process (RDQ-01).
   * @throws {LockLostError}
   */
  assertHeld(): void
}>

/**
 * The queue may have given the job to another worker. The writes so far stay, and the other worker
 * goes on from them.
 */
export class LockLostError extends FillcastError<'LOCK_LOST'> {
  constructor() {
    super('LOCK_LOST', 'the lock of the job was lost; nothing more is sent')
  }
}
