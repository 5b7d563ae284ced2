import { hasGap, livePlacements, rightSizeOf, unendedBefore } from './order-status.ts'
import { counts, headOf, type Order, type ReplaceResult } from './order.ts'
import { isTerminal } from './transitions.ts'

/**
 * Reports if an order needs a job of its own. If the work stays due, its job was lost (RDQ-02). The
 * job may have to
 * - find the outcome of the submission,
 * - repeat a cancel,
 * - complete a replacement,
 * - correct the size of the order that the replacement created,
 * - cancel an order that appeared at the broker after Fillcast had closed it.
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
 * The replacement that created the working entry, if the entry's size does not let the whole order
 * execute exactly once (CAN-05). `null`: the size is right, or cannot be judged yet. An order that
 * was replaced elsewhere keeps the size that it was given there. An order without replacement
 * results returns at once.
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
 * Reports if a request that can open or enlarge a position is in progress or about to be sent, and
 * its outcome is unknown: the order's submission, or a replacement. A quarantined order waits for
 * an operator only, so it does not count.
 */
export const hasRequestUnderWay = (order: Order): boolean =>
  !isQuarantined(order) &&
  (order.status === 'submitting' || order.replaces.some(({ sentAt }) => sentAt !== null))

/**
 * Workers do not repeat work on the order by themselves. Its state is kept, monitored and alarmed.
 */
export const isQuarantined = ({ setAsideAt }: Pick<Order, 'setAsideAt'>): boolean =>
  setAsideAt != null

/**
 * The whole requested quantity has executed, and a placement may still execute: a replacement was
 * sized too large while fills arrived. The broker itself handles this for an oco and for a
 * bracket's exits.
 */
export const isExcess = (order: Order): boolean =>
  order.endedAt !== null &&
  order.orderClass === 'simple' &&
  livePlacements(order).some(({ agreed, final }) => agreed && final === null)

/** The order was closed as never received, and appeared at the broker nevertheless. */
export const isRevived = (order: Order): boolean =>
  order.endedAt !== null &&
  order.rejection !== null &&
  livePlacements(order).some(({ leg }) => counts(order, leg))
