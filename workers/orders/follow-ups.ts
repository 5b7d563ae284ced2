import { Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import { cancelOrderSchema, commandJobId, queues, resolveJobId, resolveOrderSchema } from '#contract'
import type { Logger } from '#runtime'
import type { CancelCause, FollowUps } from '../updates/index.ts'

const REASONS: Readonly<Record<CancelCause, string>> = { leftover: 'The position that it protected is closed' }

/** Follow-ups as jobs. One that is over is forgotten at once, so that the same work can be asked for again. */
export function createFollowUps(redis: Redis, log: Logger): FollowUps & AsyncDisposable {
  const open = ({ name, prefix }: { name: string; prefix: string }): Queue => {
    const queue = new Queue(name, { connection: redis, prefix })
    queue.on('error', (error) => log.warn({ queue: name, error }, 'queue.error'))
    return queue
  }
  const [orders, commands] = [open(queues.orders), open(queues.commands)]
  const opts = {
    removeOnComplete: true,
    removeOnFail: true,
    attempts: 10,
    backoff: { type: 'exponential', delay: 500 },
  }
  return {
    async resolve({ userId, connectionId }, tradeId) {
      const jobId = resolveJobId(userId, tradeId)
      await orders.add('resolveOrder', resolveOrderSchema.parse({ userId, connectionId, tradeId }), { ...opts, jobId })
    },
    async cancel({ userId, connectionId }, tradeId, cause) {
      const commandId = `system-${cause}`
      const command = { userId, connectionId, tradeId, commandId, by: 'system', reason: REASONS[cause] } as const
      const jobId = commandJobId(userId, tradeId, commandId)
      await commands.add('cancelOrder', cancelOrderSchema.parse(command), { ...opts, jobId })
      log.info({ userId, tradeId, cause }, 'cancel.asked_by_system')
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([orders.close(), commands.close()])
    },
  }
}
