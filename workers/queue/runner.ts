import { DelayedError, type Job, UnrecoverableError, Worker } from 'bullmq'
import type { Redis } from 'ioredis'
import type { z } from 'zod'
import { describeIssues, type QueueName, queues } from '#contract'
import { type Clock, type Logger, putNewest } from '#runtime'
import { type JobResult, LockLostError, type Run } from './job.ts'

/** Jobs that one worker runs at once, per queue: they wait for the broker most of the time. */
export const JOBS_AT_ONCE_MAX = 50
/** Longer than any broker call; what is not renewed for this long is given to another worker. */
export const LOCK_MS = 15_000
/**
 * Within this much of its end a lock counts as lost: a request must be at the broker before
 * somebody else starts.
 */
const LOCK_MARGIN_MS = 1_000
/**
 * A job whose worker died is run again this often before the queue gives it up; the trade itself is
 * never given up.
 */
const STALLED_MAX = 10

/** Delayed jobs whose reason is remembered for the log. */
const WHYS_MAX = 10_000

/** What working on a queue needs. */
export type QueueDeps = Readonly<{
  redis: Redis
  /** The machine's own: BullMQ tells by it when a delayed job is due. */
  clock: Clock
  log: Logger
  /** Default: `LOCK_MS`. */
  lockMs?: number
}>

/** Takes a job's payload and says what becomes of the job. */
export type Handler = (name: string, data: unknown, run: Run) => Promise<JobResult>

/**
 * A BullMQ worker around a handler: delays and retries as the handler asks, and fails for good what
 * can never succeed. The lock is no safety device (RDQ-01): it only tells a run that it may not be
 * the only one any more.
 */
export function startQueueWorker(queue: QueueName, handle: Handler, deps: QueueDeps): Worker {
  const { redis, clock, log, lockMs = LOCK_MS } = deps
  const { name, prefix } = queues[queue]
  let renewedAtMs = Number.NEGATIVE_INFINITY
  /** Why jobs were last delayed, by id. */
  const waiting = new Map<string, string>()
  const process = async (job: Job, token?: string, signal?: AbortSignal): Promise<void> => {
    const startedAtMs = clock.monotonicMs()
    // Renewals are for all jobs in hand at once, and hold from when they were asked for, at most
    // half a lock ago.
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
    // A parked job comes back twice a second: one line for each change of the reason.
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
    // A job that brought its worker down time and again is set aside; what it may have placed is
    // resolved from the record (CRA-08).
    const isPoison = job !== undefined && job.stalledCounter > STALLED_MAX
    const fields = { queue, jobId: job?.id, why: error.message }
    if (isPoison) log.error(fields, 'job.set_aside')
    else log.warn(fields, 'job.failed')
  })
  return worker
}

/** Reads a payload, or fails its job for good in the producer's own words. */
export function readPayload<Schema extends z.ZodType>(
  schema: Schema,
  data: unknown,
): z.output<Schema> {
  const parsed = schema.safeParse(data)
  if (parsed.success) return parsed.data
  throw new UnrecoverableError(describeIssues(parsed.error))
}
