import { clientOrderIdOf, type OrderUpdate } from '#domain'
import type { Broker } from '../broker/index.ts'
import { again, DONE, type JobResult, type Run } from '../queue/index.ts'
import { applyUpdates } from '../state/index.ts'
import { adoptOrder, lookUp } from './adopt.ts'
import { isGone, loadTrade, type OrderDeps } from './deps.ts'
import { assertSame } from './refusal.ts'

type Claimed = Extract<OrderUpdate, { type: 'claimed' }>

/** Pause after which the store is expected back. */
const REPEAT_MS = 500

/**
 * The claim does not hold any more. Either another delivery of the job has claimed the trade and
 * goes on, or the connection was removed, or the store lost the claim with the whole record. In the
 * last case the job runs again, because no other job would go on.
 */
export async function leaveOrRepeat(
  deps: OrderDeps,
  trade: Parameters<typeof loadTrade>[1],
): Promise<JobResult> {
  const { order } = (await loadTrade(deps, trade)).slice
  if (order !== null || (await isGone(deps, trade))) return DONE
  return again(REPEAT_MS, 'the store lost the claim, and with it the trade')
}

/**
 * Adopts an order whose record the store lost (RDQ-04). The trade is claimed as one of which a
 * request may have arrived, together with the cancel that waits for it, and its order is followed
 * from there. The record may also have been there all along.
 * @returns `null`: the broker has no such order, or the trade ended long ago
 * @throws {TradeConflictError}
 */
export async function findLost(
  deps: OrderDeps,
  claimed: Claimed,
  broker: Broker,
  run: Run,
): Promise<JobResult | null> {
  const { userId, connectionId, tradeId, symbol } = claimed.intent
  const seen = await lookUp(() => broker.findByClientOrderId(clientOrderIdOf(userId, tradeId)))
  if (seen.kind === 'absent') return null
  if (seen.kind === 'failed') return seen.result
  const orderKey = { id: tradeId, origin: 'fillcast', userId, connectionId } as const
  const target = { orderKey, symbol, fence: { kind: 'version' } } as const
  const applied = await applyUpdates(deps.writer, target, ({ slice, cancelMark, tombstone }) => {
    if (slice.order !== null || tombstone !== null) return []
    const cancel: OrderUpdate[] =
      cancelMark === null ? [] : [{ type: 'cancel_requested', request: cancelMark }]
    return [claimed, { type: 'outcome_unknown', at: claimed.at }, ...cancel]
  })
  const { order } = applied.slice
  if (order === null) return null
  assertSame(order, claimed.parametersHash)
  if (order.status !== 'submitting') return DONE
  const result = await adoptOrder(deps, order, seen.order, { broker, run })
  if (order.cancel !== null) await deps.jobQueue.resolve({ userId, connectionId, tradeId })
  return result
}
