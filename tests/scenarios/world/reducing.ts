import type { Order } from '#domain'
import type { ConnectionRef } from '#store'
import type { FakeStore } from '../../support/fake-store.ts'

// What an order, or the replacement of one, does to a position by the records, worked out here by itself: simple orders only, with
// numbers, from the worst that each of them may come to.

const OPEN: ReadonlySet<string> = new Set(['submitting', 'submitted', 'partially_filled'])

/** The most that a simple order may still execute. */
function leftOf({ status, quantity, cumulativeQuantity, placements, replaces }: Order): number {
  if (!OPEN.has(status)) return 0
  const [underWay] = replaces
  const asked = underWay?.sentAt == null ? [] : [underWay.terms.quantity]
  const isOver = placements.length > 0 && placements.every(({ final }) => final !== null && final.status !== 'replaced')
  const whole =
    isOver && asked.length === 0 ? Math.max(...placements.map(({ final }) => Number(final?.filledQuantity))) : Infinity
  const total = Math.max(Number(quantity ?? Infinity), ...asked.map((one) => Number(one ?? quantity ?? Infinity)))
  return Math.min(whole, total) - Number(cumulativeQuantity)
}

const signOf = ({ side }: Pick<Order, 'side'>): number => (side === 'buy' ? 1 : -1)

/** The same of the order that is judged: a replacement under way is judged as what it makes of the order, whose own size was judged before. */
function asReplaced(order: Order): number {
  const [underWay] = order.replaces
  if (underWay?.sentAt == null) return leftOf(order)
  return Number(underWay.terms.quantity ?? order.quantity ?? Infinity) - Number(order.cumulativeQuantity)
}

/** Whether all that is open against the position, this order included, leaves it on its side. */
export function lowers(store: FakeStore, { userId, connectionId }: ConnectionRef, order: Order): boolean {
  const held = Number(store.positionOf(userId, connectionId, order.symbol)?.quantity ?? 0)
  if (Math.sign(held) !== -signOf(order)) return false
  const against = store
    .snapshot(userId)
    .orders.filter((one) => one.connectionId === connectionId && one.symbol === order.symbol && one.side === order.side)
    .map((one) => (one.id === order.id ? asReplaced(one) : leftOf(one)))
  return against.reduce((sum, one) => sum + one, 0) <= Math.abs(held)
}

/** Whether the replacement under way only gives the order the size that was agreed, and that is less than what the broker has. */
export function onlyShrinks({ replaces: [first], quantity, placements }: Order): boolean {
  if (first === undefined) return false
  const { terms, leg, replacement } = first
  const { limitPrice, stopPrice, trail, timeInForce } = terms
  const isSizeOnly = [limitPrice, stopPrice, trail, timeInForce].every((one) => one === null)
  const old = placements.filter((one) => one.leg === leg && one.replacement < replacement)
  const before = old.slice(0, -1).reduce((sum, one) => sum + Number(one.cumulativeQuantity), 0)
  return isSizeOnly && terms.quantity === quantity && Number(old.at(-1)?.quantity) + before > Number(quantity)
}
