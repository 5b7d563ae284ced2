import { counts, type Order } from './order.ts'
import { livePlacements } from './standing.ts'

/** A job of its own carries out what was asked; only what is still undone after this long is taken up from the record. */
const ATTENTION_AFTER_MS = 5_000

/**
 * Whether something is due on an order that its own job should have done by now: find out what became of its submission, repeat a
 * cancel, bring a replacement to its end, or cancel what came to life after we had closed it. Whatever became of that job (RDQ-02).
 */
export function needsAttention(order: Order, nowMs: number): boolean {
  if (order.origin !== 'fillcast') return false
  const isOld = (since: string | null | undefined): boolean =>
    since != null && nowMs - Date.parse(since) >= ATTENTION_AFTER_MS
  if (order.status === 'submitting') return isOld(order.claimedAt)
  const live = livePlacements(order)
  if (live.length > 0 && (isOld(order.cancel?.requestedAt) || isRevived(order))) return true
  return order.endedAt === null && isOld(order.replaces[0]?.requestedAt)
}

/** It was closed as never received, and is there all the same. */
export const isRevived = (order: Order): boolean =>
  order.endedAt !== null && order.rejection !== null && livePlacements(order).some(({ leg }) => counts(order, leg))
