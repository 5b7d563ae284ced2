import type { z } from 'zod'
import type { cancelAllSchema } from '#contract'
import { livePlacements } from '#domain'
import { DONE, type JobResult, type Run } from '../queue/index.ts'
import { coversOrder } from './covered.ts'
import type { OrderDeps } from './deps.ts'
import { waitForRecovery } from './recovering.ts'

/**
 * Cancels every order that was open on a connection when the command was given and was placed here,
 * each by a command of its own: one slow order delays no other. Orders placed elsewhere are not
 * touched. Submissions that no worker has claimed yet are not found: halt first to stop them.
 */
export async function cancelAll(
  deps: OrderDeps,
  command: z.output<typeof cancelAllSchema>,
  run: Run,
): Promise<JobResult> {
  const { userId, connectionId, commandId, symbol, by, reason } = command
  const { orders } = await deps.writer.store.loadOpen(userId, connectionId)
  const open = orders.filter(
    (order) =>
      order.origin === 'fillcast' &&
      coversOrder(order, run) &&
      (symbol === null || order.symbol === symbol) &&
      (order.endedAt === null || livePlacements(order).length > 0),
  )
  await Promise.all(
    open.map(({ id }) =>
      deps.jobQueue.cancel({ userId, connectionId, tradeId: id, commandId, by, reason }),
    ),
  )
  deps.log.info({ userId, connectionId, commandId, orders: open.length }, 'cancel_all.asked')
  // The orders in the store are canceled at once; orders that a recovery is about to find, after
  // the recovery.
  return (await waitForRecovery(deps, command, run)) ?? DONE
}
