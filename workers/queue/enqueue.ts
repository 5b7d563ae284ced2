import { Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import {
  type CancelCommand,
  type CloseCommand,
  commandJobId,
  type CommandName,
  queues,
  resolveJobId,
  type ResolveOrder,
} from '#contract'
import type { Logger } from '#runtime'

/** Enqueues further work as a job of its own. The same work enqueued twice is one job. */
export interface JobQueue {
  /** Resolves the submission of a trade, and does the other work that is due on the trade. */
  resolve(trade: ResolveOrder): Promise<void>
  cancel(command: CancelCommand): Promise<void>
  close(command: CloseCommand): Promise<void>
}

const ATTEMPTS_MAX = 12
const BACKOFF = { type: 'exponential', delay: 200, jitter: 0.5 } as const

export function createJobQueue(redis: Redis, log: Logger): JobQueue & AsyncDisposable {
  const [orders, commands] = (['orders', 'commands'] as const).map((which) => {
    const { name, prefix } = queues[which]
    const queue = new Queue(name, { connection: redis, prefix, skipWaitingForReady: true })
    queue.on('error', (error) => log.warn({ queue: name, error }, 'queue.error'))
    return queue
  }) as [Queue, Queue]
  const add = async (name: CommandName, command: CancelCommand | CloseCommand): Promise<void> => {
    const jobId = commandJobId(name, command.userId, command.tradeId, command.commandId)
    await commands.add(name, command, {
      jobId,
      attempts: ATTEMPTS_MAX,
      backoff: BACKOFF,
      removeOnComplete: true,
    })
  }
  return {
    async resolve(trade) {
      // The job is removed as soon as it has run, so that the same trade can be enqueued again.
      // Work that the job leaves undone is enqueued again later.
      const options = {
        jobId: resolveJobId(trade.userId, trade.tradeId),
        removeOnComplete: true,
        removeOnFail: true,
      }
      await orders.add('resolveOrder', trade, options)
    },
    cancel: (command) => add('cancelOrder', command),
    close: (command) => add('closePosition', command),
    async [Symbol.asyncDispose]() {
      await Promise.allSettled([orders.close(), commands.close()])
    },
  }
}
