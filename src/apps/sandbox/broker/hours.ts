import { isOpen, type Order, type OrderRequest } from './order.ts'
import { forbidden } from './refusal.ts'
import type { Phase, Session } from './session.ts'

/** Which orders work when: the exchange's sessions against an order's time in force. */

const isAuction = ({ timeInForce }: OrderRequest): boolean =>
  timeInForce === 'opg' || timeInForce === 'cls'

/**
 * Whether an order works by itself in a phase; auction orders never do, they wait for their
 * auction.
 */
export function worksIn(ticket: OrderRequest, phase: Phase): boolean {
  if (ticket.asset.assetClass === 'crypto') return true
  if (phase === 'regular') return !isAuction(ticket)
  return phase !== 'closed' && ticket.extendedHours
}

/** The auction that takes place when the phase changes, if any: at the opening and at the close. */
export function auctionBetween(before: Phase, phase: Phase): 'opg' | 'cls' | undefined {
  if (before === phase) return undefined
  return phase === 'regular' ? 'opg' : before === 'regular' ? 'cls' : undefined
}

/**
 * Whether an order ends with the phase that has just ended: a day order that had its day. What is
 * still queued waits for the next; legs that are held end with the order they belong to.
 */
export function endsAfter(order: Order, before: Phase, phase: Phase): boolean {
  const { ticket, status } = order
  const began =
    isOpen(order) && status !== 'pending_new' && status !== 'accepted' && status !== 'held'
  if (!began || ticket.timeInForce !== 'day' || ticket.asset.assetClass === 'crypto') return false
  return ticket.extendedHours ? phase === 'closed' : before === 'regular'
}

/** @throws {Refusal} an order for an auction that takes none now */
export function checkWindow({ timeInForce }: OrderRequest, session: Session): void {
  if (timeInForce === 'opg' && !session.takesAuctionOrders('opg')) {
    throw forbidden('opg orders must be submitted before 9:28am or after 7:00pm')
  }
  if (timeInForce === 'cls' && !session.takesAuctionOrders('cls')) {
    throw forbidden('cls orders must be submitted before 3:50pm or after 7:00pm')
  }
}
