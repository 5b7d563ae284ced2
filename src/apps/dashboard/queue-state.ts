import type { Job, Queue } from 'bullmq'
import { queues as queueNames } from '#contract'
import { scrubText } from './redact.ts'

/**
 * How one queue stands. `failed` shows the newest failed jobs; `counts.failed` says how many there
 * are.
 */
export type QueueState = Readonly<{
  name: string
  isPaused: boolean
  counts: Readonly<{ waiting: number; active: number; delayed: number; failed: number }>
  failed: readonly FailedJob[]
}>

/**
 * A job that was given up. `reason` is scrubbed: an error of a broker may repeat what it was sent.
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

/**
 * A pause of any other queue would stop cancels, closes or health checks: only new orders may wait.
 */
export const mayPause = (name: string): boolean => name === queueNames.orders.name

/** Reads how each queue stands, in the order of `queues`. */
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
