import type { ResolveOrder } from '#contract'
import { isExcess, isQuarantined, isRevived, livePlacements, missizedBy, type Order } from '#domain'
import { isoTime, isWithin } from '#runtime'
import { DONE, type JobResult, type Run } from '../queue/index.ts'
import { applyUpdate } from '../state/index.ts'
import { cancelBySystem, pursueCancel } from './cancel.ts'
import { factsOf, loadTrade, type OrderDeps } from './deps.ts'
import { CommandRefusedError } from './refusal.ts'
import { pursueReplace } from './replace.ts'
import { resumeSubmission } from './resolve.ts'

/**
 * Workers that may be lost while they work on one order before the order is quarantined (CRA-08).
 */
export const LOSSES_MAX = 5
/**
 * If a submission was put back, its own job runs again within this time; after that time the job is
 * gone.
 */
const PARKED_BY_JOB_MS = 60_000

const isParkedByItsJob = ({ attemptedAt, attemptEndedAt, cancel }: Order, nowMs: number): boolean =>
  attemptedAt === null &&
  cancel === null &&
  isWithin(nowMs, Date.parse(attemptEndedAt ?? ''), PARKED_BY_JOB_MS)

/**
 * A replacement is followed for this long: fills race it in the moments after it was sent, and the
 * owner of the connection would look again only after some 20 seconds.
 */
const FOLLOWED_MS = 10_000

/**
 * Does the work that is due on an order (`hasPendingWork`), from its record alone. The job makes
 * one pass, and a few moments more for a replacement, so that its size is corrected as soon as the
 * replacement's own job would have corrected it. If work is still due afterwards, the owner of the
 * connection enqueues the job again.
 */
export async function resolveOrder(
  deps: OrderDeps,
  trade: ResolveOrder,
  run: Run,
): Promise<JobResult> {
  const { order } = (await loadTrade(deps, { ...trade, symbol: '' })).slice
  if (order === null || order.origin !== 'fillcast' || isQuarantined(order)) return DONE
  if (run.losses > LOSSES_MAX) return quarantine(deps, order)
  if (order.status === 'submitting') {
    if (!isParkedByItsJob(order, deps.clock.now())) await resumeSubmission(deps, order, run)
  } else if (isRevived(order))
    await cancelBySystem(deps, order, 'It had been closed as never received', run)
  else if (order.cancel === null && isExcess(order))
    await cancelBySystem(deps, order, 'All that was asked for has executed', run)
  else if (order.cancel !== null && livePlacements(order).length > 0)
    await pursueCancel(deps, order, run)
  else return pursueFirst(deps, order, run)
  return DONE
}

/**
 * The order is followed by the reports of the broker, as before; no request is sent for it, and its
 * record is kept.
 */
async function quarantine(deps: OrderDeps, order: Order): Promise<JobResult> {
  const { userId, connectionId, id: orderId } = order
  await applyUpdate(deps.writer, factsOf(order), {
    type: 'set_aside',
    at: isoTime(deps.clock.now()),
  })
  deps.log.error({ userId, connectionId, orderId, losses: LOSSES_MAX }, 'order.set_aside')
  return DONE
}

/**
 * Continues the replacement that is under way, or the replacement that took place and left the
 * order with a wrong size.
 */
async function pursueFirst(deps: OrderDeps, order: Order, run: Run): Promise<JobResult> {
  const due = order.replaces[0] ?? missizedBy(order)
  if (due === null) return DONE
  try {
    const result = await pursueReplace(deps, order, due.commandId, run)
    return isWithin(deps.clock.now(), run.queuedAtMs, FOLLOWED_MS) ? result : DONE
  } catch (error) {
    if (!(error instanceof CommandRefusedError)) throw error // the record says why; the command's own job is gone
    return DONE
  }
}
