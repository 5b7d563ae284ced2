import type { Account } from './account.ts'
import type { Decimal } from './decimals.ts'
import type { OrderUpdate } from './order-book.ts'
import { isOpen, isStop, leavesQty, type Order, type OrderRequest } from './order.ts'

/**
 * Orders that belong together. A bracket or oto is an *entry* with one or two *exits* as its legs;
 * an oco is two exits, the take-profit carrying the stop-loss as its leg. Invariants: exits of an
 * entry are held until it is filled; of a pair of exits only one works at a time (the stop-loss
 * stays held while the take-profit works, and ends it when its stop is reached), so the pair never
 * sells more than one of them would; when one exit ends, so does the other.
 */

const isEntry = ({ ticket, parent }: Order): boolean =>
  parent === null && (ticket.orderClass === 'bracket' || ticket.orderClass === 'oto')

/** Whether the order only ever closes what its group opened, or an oco closes. */
export const isExit = (order: Order): boolean => order.ticket.orderClass !== '' && !isEntry(order)

/** The other exit of a pair; none for an entry. */
export function siblingsOf(order: Order): readonly Order[] {
  if (!isExit(order)) return []
  const head = order.parent ?? order
  const exits = isEntry(head) ? (head.legs ?? []) : [head, ...(head.legs ?? [])]
  return exits.filter((exit) => exit !== order)
}

/** Whether the entry is still to be filled. */
export const awaitsEntry = ({ parent }: Order): boolean =>
  parent !== null && isEntry(parent) && parent.status !== 'filled'

/**
 * Whether the order is the half of a pair that stays held, watching its stop, while the other half
 * works.
 */
export const awaitsStop = (order: Order): boolean =>
  isStop(order.ticket) && !order.triggered && siblingsOf(order).some(isOpen)

/** The terms of the legs an order brings along; none for a simple one. */
export function legTickets(ticket: OrderRequest, newClientOrderId: () => string): OrderRequest[] {
  const { exits, orderClass, side } = ticket
  if (exits === null) return []
  const isPair = orderClass === 'oco'
  const exit = {
    ...ticket,
    side: isPair ? side : side === 'buy' ? 'sell' : 'buy',
    statedIntent: null,
    exits: null,
    stopPrice: null,
    limitPrice: null,
  } as const
  const { takeProfit, stopLoss } = exits
  const legs: Omit<OrderRequest, 'clientOrderId'>[] = []
  if (takeProfit !== null && !isPair) legs.push({ ...exit, type: 'limit', limitPrice: takeProfit })
  if (stopLoss !== null)
    legs.push({ ...exit, ...stopLoss, type: stopLoss.limitPrice === null ? 'stop' : 'stop_limit' })
  return legs.map((leg) => ({ ...leg, clientOrderId: newClientOrderId() }))
}

/** What a group asks of the matcher. */
export type GroupActions = Readonly<{
  /** Lets a held leg work, or watch its stop. */
  place(account: Account, order: Order): void
  cancel(account: Account, order: Order): void
  resize(account: Account, order: Order, qty: Decimal): void
}>

/** The successor takes the place of an order in its group. */
function takeOver(order: Order, successor: Order): void {
  successor.parent = order.parent
  if (order.parent !== null) {
    order.parent.legs = (order.parent.legs ?? []).map((leg) => (leg === order ? successor : leg))
  }
  successor.legs = order.legs
  order.legs = null
  successor.legs?.forEach((leg) => (leg.parent = successor))
}

/** What follows for the rest of the group from a change of one of its orders. */
export function followGroup({ event, account, order }: OrderUpdate, actions: GroupActions): void {
  if (order.ticket.orderClass === '') return
  const successor = order.replacedBy === null ? undefined : account.orders.get(order.replacedBy)
  if (event === 'replaced' && successor !== undefined) return takeOver(order, successor)
  const dependents = (isEntry(order) ? (order.legs ?? []) : siblingsOf(order)).filter(isOpen)
  if (event === 'canceled' || event === 'expired' || event === 'rejected') {
    // A stop that was reached has itself ended the other half of its pair.
    for (const other of dependents)
      if (!isStop(other.ticket) || !other.triggered) actions.cancel(account, other)
  } else if (event === 'fill' && isEntry(order)) {
    for (const leg of dependents) if (leg.status === 'held') actions.place(account, leg)
  } else if (event === 'fill') {
    for (const other of dependents) actions.cancel(account, other)
  } else if (event === 'partial_fill' && !isEntry(order)) {
    for (const other of dependents)
      actions.resize(account, other, leavesQty(order).plus(other.filledQty))
  }
}
