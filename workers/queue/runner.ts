import { DelayedError, type Job, UnrecoverableError, Worker } from 'bullmq'
import type { Redis } from 'ioredis'
import type { z } from 'zod'
import { describeIssues, type QueueName, queues } from '#contract'
import { type Clock, type Logger, putNewest } from '#runtime'
import { type JobResult, LockLostError, type Run } from './job.ts'

/** Jobs that one worker runs at once, per queue: they wait for the broker most of the time. */
export const JOBS_AT_ONCE_MAX = 50
/**
 * Longer than any broker call. If the lock of a job is not renewed for this long, the job is given
 * to another worker.
 */
export const LOCK_MS = 15_000
/**
 * A lock counts as lost this long before its end: a request must be at the broker before another
 * worker starts the job.
 */
const LOCK_MARGIN_MS = 1_000
/**
 * A job whose worker died is run again this often before the queue gives the job up; the trade
 * itself is never given up.
 */
const STALLED_MAX = 10

/** Delayed jobs whose last reason is kept for the log. */
const WHYS_MAX = 10_000

/** The dependencies of a queue worker. */
export type QueueDeps = Readonly<{
  redis: Redis
  /** The machine's own clock: BullMQ decides by it when a delayed job is due. */
  clock: Clock
  log: Logger
  /** Default: `LOCK_MS`. */
  lockMs?: number
}>

/** Runs a job on its payload, and returns the result of the run. */
export type Handler = (name: string, data: unknown, run: Run) => Promise<JobResult>

/**
 * A BullMQ worker around a handler. A job is delayed and retried as the handler asks; a job that
 * can never succeed fails for good. The lock is no safety device (RDQ-01): its loss only shows a
 * run that another run may be under way.
 */
export function startQueueWorker(queue: QueueName, handle: Handler, deps: QueueDeps): Worker {
  const { redis, clock, log, lockMs = LOCK_MS } = deps
  const { name, prefix } = queues[queue]
  let renewedAtMs = Number.NEGATIVE_INFINITY
  /** The last reason of each delayed job, by job id. */
  const waiting = new Map<string, string>()
  const process = async (job: Job, token?: string, signal?: AbortSignal): Promise<void> => {
    const startedAtMs = clock.monotonicMs()
    // A renewal counts for all jobs in hand: BullMQ leaves out only jobs whose lock was renewed
    // less than half a lock before.
    const run: Run = {
      queuedAtMs: job.timestamp,
      losses: job.stalledCounter,
      isRepeat: job.attemptsStarted > 1 || job.stalledCounter > 0,
      assertHeld() {
        const ageMs = clock.monotonicMs() - Math.max(startedAtMs, renewedAtMs)
        if (signal?.aborted === true || ageMs > lockMs - LOCK_MARGIN_MS) throw new LockLostError()
      },
    }
    const result = await handle(job.name, job.data, run)
    if (result.kind === 'done') {
      waiting.delete(job.id ?? '')
      return
    }
    if (result.delayMs === null) throw new Error(result.why)
    // A parked job comes back twice a second: its reason is logged only when the reason changes.
    if (waiting.get(job.id ?? '') !== result.why)
      log.info({ jobId: job.id, delayMs: result.delayMs, why: result.why }, 'job.delayed')
    putNewest(waiting, job.id ?? '', result.why, WHYS_MAX)
    await job.moveToDelayed(clock.now() + result.delayMs, token)
    throw new DelayedError()
  }
  const worker = new Worker(name, process, {
    connection: redis,
    prefix,
    concurrency: JOBS_AT_ONCE_MAX,
    lockDuration: lockMs,
    stalledInterval: lockMs / 3,
    maxStalledCount: STALLED_MAX,
  })
  worker.on('error', (error) => log.warn({ queue, error }, 'queue.error'))
  worker.on('locksRenewed', () => (renewedAtMs = clock.monotonicMs()))
  worker.on('lockRenewalFailed', (jobIds) => {
    log.warn({ queue, jobIds }, 'job.lock_lost')
    for (const jobId of jobIds) worker.cancelJob(jobId, 'lock lost')
  })
  worker.on('failed', (job, error) => {
    // The queue gives up a job that lost its worker more than `STALLED_MAX` times. An order that
    // the job may have placed is resolved from the record (CRA-08).
    const isPoison = job !== undefined && job.stalledCounter > STALLED_MAX
    const fields = { queue, jobId: job?.id, why: error.message }
    if (isPoison) log.error(fields, 'job.set_aside')
    else log.warn(fields, 'job.failed')
  })
  return worker
}

/**
 * Reads a payload, or fails its job for good with the messages that a producer gets for such a
 * payload.
 */
export function readPayload<Schema extends z.ZodType>(
  schema: Schema,
  data: unknown,
): z.output<Schema> {
  const parsed = schema.safeParse(data)
  if (parsed.success) return parsed.data
  throw new UnrecoverableError(describeIssues(parsed.error))
}
