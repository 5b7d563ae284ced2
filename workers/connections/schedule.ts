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
/** While it is not sure how a connection stands. */
const CHECK_AGAIN_MS = 10_000

/** The queue of health checks: one scheduler entry a connection, and checks out of turn. */
export interface CheckSchedule extends AsyncDisposable {
  /** Checks regularly from now on; harmless when repeated, from any number of workers. */
  keep(ref: ConnectionRef): Promise<void>
  /** Ends the regular checks; harmless when repeated. */
  drop(ref: ConnectionRef): Promise<void>
  /** Checks now; asked for twice at once, it is done once. */
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
 * @param onUp hears of each connection whose login worked; default: nobody
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
    // Asks nothing of the broker.
    if (leaving?.openOrders === 'leave')
      return leaveConnection(leave, { ...ref, openOrders: 'leave' })
    const { finding, isInDoubt } = await checkConnection(health, ref)
    // The job that removes it may be gone: it found no record while the store was lost, or the
    // queue has given it up. A removal that does not end here goes on at the next check: a job that
    // stayed would be one more with each check.
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
