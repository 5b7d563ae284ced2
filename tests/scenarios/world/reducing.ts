import {
  abs,
  add,
  cmp,
  type Decimal,
  isNegative,
  isZero,
  max,
  min,
  type Order,
  sub,
  sum,
  ZERO,
} from '#domain'
import type { ConnectionRef } from '#store'
import type { FakeStore } from '../../support/fake-store.ts'

// What an order, or the replacement of one, does to a position by the records, worked out here by
// itself: simple orders only, from the worst that each of them may come to. Exact: a close takes
// the last billionth of what is left, and a binary sum may be larger by less.

const OPEN: ReadonlySet<string> = new Set(['submitting', 'submitted', 'partially_filled'])

/** The most that a simple order may still execute; `null`: nobody knows. */
function leftOf({
  status,
  quantity,
  cumulativeQuantity,
  placements,
  replaces,
}: Order): Decimal | null {
  if (!OPEN.has(status)) return ZERO
  const [underWay] = replaces
  const asked = underWay?.sentAt == null ? [] : [underWay.terms.quantity ?? quantity]
  const finals = placements.flatMap(({ final }) =>
    final === null || final.status === 'replaced' ? [] : [final],
  )
  const isOver = placements.length > 0 && finals.length === placements.length
  const whole =
    isOver && asked.length === 0 ? finals.map((one) => one.filledQuantity).reduce(max) : null
  const total = [quantity, ...asked].reduce((a, b) => (a === null || b === null ? null : max(a, b)))
  const most = whole === null || total === null ? (whole ?? total) : min(whole, total)
  return most === null ? null : sub(most, cumulativeQuantity)
}

/**
 * The same of the order that is judged: a replacement under way is judged as what it makes of the
 * order, whose own size was judged before.
 */
function asReplaced(order: Order): Decimal | null {
  const [underWay] = order.replaces
  if (underWay?.sentAt == null) return leftOf(order)
  const quantity = underWay.terms.quantity ?? order.quantity
  return quantity === null ? null : sub(quantity, order.cumulativeQuantity)
}

/** Whether all that is open against the position, this order included, leaves it on its side. */
export function lowers(
  store: FakeStore,
  { userId, connectionId }: ConnectionRef,
  order: Order,
): boolean {
  const held = store.positionOf(userId, connectionId, order.symbol)?.quantity ?? ZERO
  if (isZero(held) || isNegative(held) !== (order.side === 'buy')) return false
  const against = store
    .snapshot(userId)
    .orders.filter(
      (one) =>
        one.connectionId === connectionId && one.symbol === order.symbol && one.side === order.side,
    )
    .map((one) => (one.id === order.id ? asReplaced(one) : leftOf(one)))
  const known = against.filter((one) => one !== null)
  return known.length === against.length && cmp(sum(known), abs(held)) <= 0
}

/**
 * Whether the replacement under way only gives the order the size that was agreed, and that is less
 * than what the broker has.
 */
export function onlyShrinks({ replaces: [first], quantity, placements }: Order): boolean {
  if (first === undefined) return false
  const { terms, leg, replacement } = first
  const { limitPrice, stopPrice, trail, timeInForce } = terms
  const isSizeOnly = [limitPrice, stopPrice, trail, timeInForce].every((one) => one === null)
  const old = placements.filter((one) => one.leg === leg && one.replacement < replacement)
  const before = sum(old.slice(0, -1).map((one) => one.cumulativeQuantity))
  const has = old.at(-1)?.quantity ?? null
  return (
    isSizeOnly &&
    quantity !== null &&
    has !== null &&
    terms.quantity === quantity &&
    cmp(add(has, before), quantity) > 0
  )
}
