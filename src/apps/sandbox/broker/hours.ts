import { isOpen, type Order, type OrderRequest } from './order.ts'
import { forbidden } from './refusal.ts'
import type { Phase, Session } from './session.ts'

/** The exchange's sessions against an order's time in force: the phases in which an order works. */

const isAuction = ({ timeInForce }: OrderRequest): boolean =>
  timeInForce === 'opg' || timeInForce === 'cls'

/**
 * True if an order works by itself in a phase. An auction order never does: it waits for its
 * auction.
 */
export function worksIn(request: OrderRequest, phase: Phase): boolean {
  if (request.asset.assetClass === 'crypto') return true
  if (phase === 'regular') return !isAuction(request)
  return phase !== 'closed' && request.extendedHours
}

/** The auction of a phase change, if there is one: at the opening and at the close. */
export function auctionBetween(before: Phase, phase: Phase): 'opg' | 'cls' | undefined {
  if (before === phase) return undefined
  return phase === 'regular' ? 'opg' : before === 'regular' ? 'cls' : undefined
}

/**
 * Selects orders that end with the phase that has just ended: day orders that have worked in it. A
 * queued order waits for the next session; a held leg ends together with its parent.
 */
export function endsAfter(order: Order, before: Phase, phase: Phase): boolean {
  const { request, status } = order
  const began =
    isOpen(order) && status !== 'pending_new' && status !== 'accepted' && status !== 'held'
  if (!began || request.timeInForce !== 'day' || request.asset.assetClass === 'crypto') return false
  return request.extendedHours ? phase === 'closed' : before === 'regular'
}

/** @throws {Refusal} the order's auction accepts no orders now */
export function checkWindow({ timeInForce }: OrderRequest, session: Session): void {
  if (timeInForce === 'opg' && !session.takesAuctionOrders('opg')) {
    throw forbidden('opg orders must be submitted before 9:28am or after 7:00pm')
  }
  if (timeInForce === 'cls' && !session.takesAuctionOrders('cls')) {
    throw forbidden('cls orders must be submitted before 3:50pm or after 7:00pm')
  }
}
