import { FillcastError } from '#runtime'

/**
 * What becomes of a job. `again`: it must run again, `delayMs` null: by the queue's own backoff, as
 * a failed try.
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

/** Why a job waits that found no connection in a store that may have lost it. */
export const STORE_LOST = 'the store may have lost the connection'

/** One run of a job. */
export type Run = Readonly<{
  /** When the job was queued, in ms since 1970. */
  queuedAtMs: number
  /** How often a worker was lost with it; counted by the queue before it is delivered again. */
  losses: number
  /** Whether it has run before, as far as the queue knows; absent: it may have. */
  isRepeat?: boolean
  /**
   * Asked right before everything that changes something at the broker: once the queue may have
   * given the job to somebody else, nothing more leaves this process (RDQ-01).
   * @throws {LockLostError}
   */
  assertHeld(): void
}>

/**
 * The job may be another worker's by now. What is written so far stands; whoever has the job goes
 * on from there.
 */
export class LockLostError extends FillcastError<'LOCK_LOST'> {
  constructor() {
    super('LOCK_LOST', 'the lock of the job was lost; nothing more is sent')
  }
}
