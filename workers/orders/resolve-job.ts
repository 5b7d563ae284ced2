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

/** Workers that may be lost with the work on one order before it is set aside (CRA-08). */
export const LOSSES_MAX = 5
/**
 * A submission that was put back has a job that comes back by itself, within this; later that job
 * is gone.
 */
const PARKED_BY_JOB_MS = 60_000

const isParkedByItsJob = ({ attemptedAt, attemptEndedAt, cancel }: Order, nowMs: number): boolean =>
  attemptedAt === null &&
  cancel === null &&
  isWithin(nowMs, Date.parse(attemptEndedAt ?? ''), PARKED_BY_JOB_MS)

/**
 * Fills race a replacement in the moments after it left; the owner of the connection would look
 * again only after some 20 seconds.
 */
const FOLLOWED_MS = 10_000

/**
 * Does whatever is due on an order (`hasPendingWork`), from its record alone. One pass, and a few
 * moments more for a replacement, so that its size is corrected as soon as its own job would have
 * done it: what is still due afterwards is asked for again by the connection's owner.
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
 * It is followed from what the broker tells, as before; nothing is sent for it, and nobody forgets
 * it.
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
 * The replacement that is under way, or the one that took place and left the order with a wrong
 * size.
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
