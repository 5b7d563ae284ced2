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

// The effect of an order or a replacement on a position, by the records, computed independently of
// the code: simple orders only, in the worst case of each of them. The sums are decimal, because a
// close takes the last billionth of a position, and a binary sum may be too large by less.

const OPEN: ReadonlySet<string> = new Set(['submitting', 'submitted', 'partially_filled'])

/** The largest quantity that a simple order may still execute; `null`: unknown. */
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
 * The same for the order to judge: a pending replacement is judged by the resulting order, because
 * the size of the original was judged before.
 */
function asReplaced(order: Order): Decimal | null {
  const [underWay] = order.replaces
  if (underWay?.sentAt == null) return leftOf(order)
  const quantity = underWay.terms.quantity ?? order.quantity
  return quantity === null ? null : sub(quantity, order.cumulativeQuantity)
}

/** True if the position keeps its side if this and all other opposite orders execute. */
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

/** True if the pending replacement only lowers the size at the broker to the agreed size. */
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
