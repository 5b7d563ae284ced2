import type { ResolveOrder } from '#contract'
import { isRevived, livePlacements } from '#domain'
import { cancelBySystem, pursueCancel } from './cancel.ts'
import { loadTrade, type OrderDeps } from './deps.ts'
import { CommandRefusedError, DONE, type JobResult, type Run } from './job.ts'
import { pursueReplace } from './replace.ts'
import { takeUp } from './resolve.ts'

/**
 * Does whatever is due on an order (`needsAttention`), from its record alone. One pass: what is still due afterwards is asked for
 * again by the connection's owner.
 */
export async function attend(deps: OrderDeps, trade: ResolveOrder, run: Run): Promise<JobResult> {
  const { order } = (await loadTrade(deps, { ...trade, symbol: '' })).slice
  if (order === null || order.origin !== 'fillcast') return DONE
  if (order.status === 'submitting') await takeUp(deps, order, run)
  else if (isRevived(order)) await cancelBySystem(deps, order, 'It had been closed as never received', run)
  else if (order.cancel !== null && livePlacements(order).length > 0) await pursueCancel(deps, order, run)
  else if (order.replaces[0] !== undefined) await pursue(deps, order.replaces[0].commandId)
  return DONE

  async function pursue(of: OrderDeps, commandId: string): Promise<void> {
    try {
      if (order !== null) await pursueReplace(of, order, commandId, run)
    } catch (error) {
      if (!(error instanceof CommandRefusedError)) throw error // the record says why; its own job is gone
    }
  }
}
