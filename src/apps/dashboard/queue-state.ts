import type { Job, Queue } from 'bullmq'
import { queues as queueNames } from '#contract'
import { scrubText } from './redact.ts'

/**
 * State of one queue. `failed` holds the newest failed jobs only; `counts.failed` is their total
 * number.
 */
export type QueueState = Readonly<{
  name: string
  isPaused: boolean
  counts: Readonly<{ waiting: number; active: number; delayed: number; failed: number }>
  failed: readonly FailedJob[]
}>

/**
 * A failed job without further retries. `reason` is scrubbed: a broker's error may repeat the
 * request.
 */
export type FailedJob = Readonly<{
  id: string
  name: string
  failedAt: string | null
  reason: string
}>

/** Failed jobs of one queue that are shown. */
export const FAILED_SHOWN_MAX = 20
const REASON_LENGTH_MAX = 300

/** Only the queue of new orders may wait: a pause elsewhere would stop cancels or health checks. */
export const mayPause = (name: string): boolean => name === queueNames.orders.name

/** Reads the state of each queue, in the order of `queues`. */
export const readQueues = (queues: readonly Queue[]): Promise<QueueState[]> =>
  Promise.all(queues.map(readQueue))

async function readQueue(queue: Queue): Promise<QueueState> {
  const [isPaused, counts, failed] = await Promise.all([
    queue.isPaused(),
    queue.getJobCounts('waiting', 'prioritized', 'active', 'delayed', 'failed'),
    queue.getFailed(0, FAILED_SHOWN_MAX - 1),
  ])
  const { waiting = 0, prioritized = 0, active = 0, delayed = 0 } = counts
  return {
    name: queue.name,
    isPaused,
    counts: { waiting: waiting + prioritized, active, delayed, failed: counts['failed'] ?? 0 },
    failed: failed.map(failedJob),
  }
}

const failedJob = ({ id, name, finishedOn, failedReason }: Job): FailedJob => ({
  id: id ?? '',
  name,
  failedAt: finishedOn === undefined ? null : new Date(finishedOn).toISOString(),
  reason: scrubText(failedReason ?? '').slice(0, REASON_LENGTH_MAX),
})
