import { Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import { checkConnectionSchema, checkJobId, disconnectSchema, queues } from '#contract'
import type { Logger } from '#runtime'
import type { ConnectionRef } from '#store'
import { type Handler, readPayload } from '../queue/index.ts'
import { checkConnection, type HealthDeps } from './health.ts'
import { forgetFormer, leaveConnection, type LeaveDeps } from './leave.ts'

/** Every connection is checked this often. */
export const CHECK_EVERY_MS = 60_000
/** The next check of a connection whose health is in doubt. */
const CHECK_AGAIN_MS = 10_000

/** The queue of health checks: one scheduler entry per connection, and extra checks. */
export interface CheckSchedule extends AsyncDisposable {
  /** Starts the regular checks; repeated calls, from any number of workers, have no effect. */
  keep(ref: ConnectionRef): Promise<void>
  /** Ends the regular checks; repeated calls have no effect. */
  drop(ref: ConnectionRef): Promise<void>
  /** Checks now; two requests at once cause one check. */
  now(ref: ConnectionRef): Promise<void>
}

export function createCheckSchedule(redis: Redis, log: Logger): CheckSchedule {
  const { name, prefix } = queues.connections
  const queue = new Queue(name, { connection: redis, prefix })
  queue.on('error', (error) => log.warn({ queue: name, error }, 'queue.error'))
  const opts = { removeOnComplete: true, removeOnFail: { age: 3_600 } } as const
  return {
    async keep({ userId, connectionId }) {
      const id = checkJobId(userId, connectionId)
      const template = { name: 'checkConnection', data: { userId, connectionId }, opts }
      await queue.upsertJobScheduler(id, { every: CHECK_EVERY_MS }, template)
    },
    drop: async ({ userId, connectionId }) =>
      void (await queue.removeJobScheduler(checkJobId(userId, connectionId))),
    async now({ userId, connectionId }) {
      const jobId = `now-${checkJobId(userId, connectionId)}`
      await queue.add('checkConnection', { userId, connectionId }, { ...opts, jobId })
      log.info({ userId, connectionId }, 'connection.check_asked')
    },
    [Symbol.asyncDispose]: () => queue.close(),
  }
}

/**
 * Handler of the `connections` queue.
 * @param onUp called with each connection whose login worked; default: no action
 */
export const connectionHandler =
  (
    health: HealthDeps,
    leave: LeaveDeps,
    onUp: (ref: ConnectionRef) => Promise<void> = async () => {},
  ): Handler =>
  async (name, data) => {
    if (name === 'disconnect') return leaveConnection(leave, readPayload(disconnectSchema, data))
    const ref = readPayload(checkConnectionSchema, data)
    const leaving = (await leave.connections.get(ref))?.leaving
    // A removal that leaves the orders open needs no request to the broker.
    if (leaving?.openOrders === 'leave')
      return leaveConnection(leave, { ...ref, openOrders: 'leave' })
    const { finding, isInDoubt } = await checkConnection(health, ref)
    // Continues a removal whose own job is gone: the job found no record while the store was lost,
    // or the queue gave the job up. A removal that does not end here continues at the next check; a
    // job that waited here would be one more job with each check.
    if (leaving !== undefined)
      await leaveConnection(leave, { ...ref, openOrders: leaving.openOrders })
    else if (finding === 'ok') {
      await forgetFormer(leave, ref)
      await onUp(ref)
    }
    if (!isInDoubt) return { kind: 'done' }
    return {
      kind: 'again',
      delayMs: CHECK_AGAIN_MS,
      why: 'it is not sure how the connection stands',
    }
  }
