import { DelayedError, type Job, UnrecoverableError, Worker } from 'bullmq'
import type { Redis } from 'ioredis'
import type { z } from 'zod'
import { cancelOrderSchema, describeIssues, type QueueName, queues, submitOrderSchema } from '#contract'
import type { Clock, Logger } from '#runtime'
import { ConnectionUnusableError } from '../broker/index.ts'
import { cancelOrder } from './cancel.ts'
import { type SubmitDeps, submitOrder, type SubmitResult, TradeConflictError } from './submit.ts'

/** Jobs that one worker runs at once, per queue: they wait for the broker most of the time. */
const JOBS_AT_ONCE_MAX = 50
/** Longer than any broker call; what is not renewed for this long is given to another worker. */
const LOCK_MS = 15_000
const STALLED_CHECK_MS = 5_000
/** A job whose worker died is run again this often before the queue gives it up; the trade itself is never given up. */
const STALLED_MAX = 10

/** Takes a job's payload and says what becomes of the job. */
export type Handler = (name: string, data: unknown) => Promise<SubmitResult>

/** A BullMQ worker around a handler: delays and retries as the handler asks, and fails for good what can never succeed. */
export function startQueueWorker(queue: QueueName, handle: Handler, redis: Redis, clock: Clock, log: Logger): Worker {
  const { name, prefix } = queues[queue]
  const run = async (job: Job, token?: string): Promise<void> => {
    const result = await handle(job.name, job.data)
    if (result.kind === 'done') return
    if (result.delayMs === null) throw new Error(result.why)
    log.info({ jobId: job.id, delayMs: result.delayMs, why: result.why }, 'job.delayed')
    await job.moveToDelayed(clock.now() + result.delayMs, token)
    throw new DelayedError()
  }
  const worker = new Worker(name, run, {
    connection: redis,
    prefix,
    concurrency: JOBS_AT_ONCE_MAX,
    lockDuration: LOCK_MS,
    stalledInterval: STALLED_CHECK_MS,
    maxStalledCount: STALLED_MAX,
  })
  worker.on('error', (error) => log.warn({ queue, error }, 'queue.error'))
  worker.on('failed', (job, error) =>
    log.warn({ queue, jobId: job?.id, error: { message: error.message } }, 'job.failed'),
  )
  return worker
}

/** Reads a payload, or fails its job for good in the producer's own words. */
export function readPayload<Schema extends z.ZodType>(schema: Schema, data: unknown): z.output<Schema> {
  const parsed = schema.safeParse(data)
  if (parsed.success) return parsed.data
  throw new UnrecoverableError(describeIssues(parsed.error))
}

/** Handler of the `orders` and `commands` queues. */
export const orderHandler =
  (deps: SubmitDeps): Handler =>
  async (name, data) => {
    try {
      if (name === 'submitOrder') return await submitOrder(deps, readPayload(submitOrderSchema, data))
      if (name === 'cancelOrder') return await cancelOrder(deps, readPayload(cancelOrderSchema, data))
    } catch (error) {
      if (error instanceof TradeConflictError || error instanceof ConnectionUnusableError) {
        throw new UnrecoverableError(error.message)
      }
      throw error
    }
    throw new UnrecoverableError(`${name} is not carried out by this version; nothing was changed`)
  }
