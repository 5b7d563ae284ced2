import { hasGap, livePlacements, rightSizeOf, unendedBefore } from './order-status.ts'
import { counts, headOf, type Order, type ReplaceResult } from './order.ts'
import { isTerminal } from './transitions.ts'

/**
 * Whether something is due on an order that a job of its own is to do: find out what became of its
 * submission, repeat a cancel, bring a replacement to its end, correct the size of the order that
 * it made, or cancel what came to life after we had closed it. Where it stays due, the job is gone
 * (RDQ-02).
 */
export function hasPendingWork(order: Order): boolean {
  if (order.origin !== 'fillcast' || isQuarantined(order)) return false
  if (order.status === 'submitting') return true
  if (
    livePlacements(order).length > 0 &&
    (order.cancel !== null || isRevived(order) || isExcess(order))
  )
    return true
  return order.endedAt === null && (order.replaces.length > 0 || missizedBy(order) !== null)
}

/**
 * The replacement that made the entry at work, where the entry has another size than lets the whole
 * order execute exactly once (CAN-05). `null`: the size is right, or is not to be judged yet. What
 * was replaced elsewhere has the size that was wanted there. Most orders were never replaced, and
 * are not looked at any further.
 */
export function missizedBy(order: Order): ReplaceResult | null {
  const { replaceResults, replaces, cancel } = order
  if (replaceResults.length === 0 || replaces.length > 0 || cancel !== null) return null
  const head = headOf(order, 'entry')
  if (head?.quantity == null || isTerminal(head.status) || hasGap(order)) return null
  if (unendedBefore(order, head).length > 0) return null
  const right = rightSizeOf(order, head)
  if (right === null || right === head.quantity) return null
  const made = replaceResults.find(
    ({ leg, replacement }) => leg === 'entry' && replacement === head.replacement,
  )
  return made?.outcome === 'replaced' ? made : null
}

/**
 * Whether a request that can open or enlarge a position was made for it, or is about to be, and
 * nobody knows yet what became of it: its submission, or a replacement. One that is set aside waits
 * for a person, and for nobody else.
 */
export const hasRequestUnderWay = (order: Order): boolean =>
  !isQuarantined(order) &&
  (order.status === 'submitting' || order.replaces.some(({ sentAt }) => sentAt !== null))

/** Work on it is not repeated by itself: it stands as it is, watched and alarmed. */
export const isQuarantined = ({ setAsideAt }: Pick<Order, 'setAsideAt'>): boolean =>
  setAsideAt != null

/**
 * All that was asked for has executed, and more may: a replacement raced fills, and was sized too
 * large. Of a bracket's exits and an oco the broker takes care.
 */
export const isExcess = (order: Order): boolean =>
  order.endedAt !== null &&
  order.orderClass === 'simple' &&
  livePlacements(order).some(({ agreed, final }) => agreed && final === null)

/** It was closed as never received, and is there all the same. */
export const isRevived = (order: Order): boolean =>
  order.endedAt !== null &&
  order.rejection !== null &&
  livePlacements(order).some(({ leg }) => counts(order, leg))
