import type { Account } from './account.ts'
import type { Decimal } from './decimals.ts'
import type { OrderUpdate } from './order-book.ts'
import { isOpen, isStop, leavesQty, type Order, type OrderRequest } from './order.ts'

/**
 * Groups of orders. A bracket or oto is an *entry* with one or two *exits* as its legs; an oco is
 * two exits: the take-profit carries the stop-loss as its leg. Invariants:
 * - the exits of an entry are held until the entry is filled;
 * - of a pair of exits only one works at a time, so the pair never sells more than a single exit
 *   would: the stop-loss is held while the take-profit works, and when its stop is reached it ends
 *   the take-profit;
 * - when one exit ends, the other exit ends too.
 */

const isEntry = ({ request, parent }: Order): boolean =>
  parent === null && (request.orderClass === 'bracket' || request.orderClass === 'oto')

/**
 * True for an order that only closes: a position that its group opened, or the position of an oco.
 */
export const isExit = (order: Order): boolean => order.request.orderClass !== '' && !isEntry(order)

/** The other exit of a pair; none for an entry. */
export function siblingsOf(order: Order): readonly Order[] {
  if (!isExit(order)) return []
  const head = order.parent ?? order
  const exits = isEntry(head) ? (head.legs ?? []) : [head, ...(head.legs ?? [])]
  return exits.filter((exit) => exit !== order)
}

/** True for a leg whose entry is not filled yet. */
export const awaitsEntry = ({ parent }: Order): boolean =>
  parent !== null && isEntry(parent) && parent.status !== 'filled'

/**
 * Selects the stop order of a pair that is held and watches its stop while the other exit of the
 * pair is open.
 */
export const awaitsStop = (order: Order): boolean =>
  isStop(order.request) && !order.triggered && siblingsOf(order).some(isOpen)

/** The terms of the legs of an order; none for a simple order. */
export function legRequests(request: OrderRequest, newClientOrderId: () => string): OrderRequest[] {
  const { exits, orderClass, side } = request
  if (exits === null) return []
  const isPair = orderClass === 'oco'
  const exit = {
    ...request,
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

/** The matcher's actions on the orders of a group. */
export type GroupActions = Readonly<{
  /** Lets a held leg work, or watch its stop. */
  place(account: Account, order: Order): void
  cancel(account: Account, order: Order): void
  resize(account: Account, order: Order, qty: Decimal): void
}>

/** Puts the successor in the place of an order in its group. */
function takeOver(order: Order, successor: Order): void {
  successor.parent = order.parent
  if (order.parent !== null) {
    order.parent.legs = (order.parent.legs ?? []).map((leg) => (leg === order ? successor : leg))
  }
  successor.legs = order.legs
  order.legs = null
  successor.legs?.forEach((leg) => (leg.parent = successor))
}

/** Applies the change of one order to the rest of its group. */
export function followGroup({ event, account, order }: OrderUpdate, actions: GroupActions): void {
  if (order.request.orderClass === '') return
  const successor = order.replacedBy === null ? undefined : account.orders.get(order.replacedBy)
  if (event === 'replaced' && successor !== undefined) return takeOver(order, successor)
  const dependents = (isEntry(order) ? (order.legs ?? []) : siblingsOf(order)).filter(isOpen)
  if (event === 'canceled' || event === 'expired' || event === 'rejected') {
    // A triggered stop has already ended the other exit of its pair.
    for (const other of dependents)
      if (!isStop(other.request) || !other.triggered) actions.cancel(account, other)
  } else if (event === 'fill' && isEntry(order)) {
    for (const leg of dependents) if (leg.status === 'held') actions.place(account, leg)
  } else if (event === 'fill') {
    for (const other of dependents) actions.cancel(account, other)
  } else if (event === 'partial_fill' && !isEntry(order)) {
    for (const other of dependents)
      actions.resize(account, other, leavesQty(order).plus(other.filledQty))
  }
}
