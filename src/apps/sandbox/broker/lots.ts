import { type Decimal, smaller, sum, zero } from './decimals.ts'

/**
 * The cost of a position, in the form from which it is restated overnight. During the day the cost
 * is a weighted average; when the day ends it becomes first in, first out over *lots*, one lot for
 * all buys of a day (compressed). Invariant: after a day's end the lots add up to the position, in
 * quantity and in cost.
 */

/** The quantity opened on one day that is still held, and its cost. Signed like the position. */
export type Lot = Readonly<{ qty: Decimal; cost: Decimal }>

/** The lots of a position, oldest first, and its changes since the last restatement. */
export interface Lots {
  readonly kept: readonly Lot[]
  opened: Lot
  /** Unsigned. */
  closedQty: Decimal
}

/** If a position has been added to on more days, the oldest two lots are merged. */
const LOTS_MAX = 500
/** The cost of a reduced lot is rounded to this many decimals. */
const COST_PLACES = 12

const none: Lot = { qty: zero, cost: zero }
const joined = (a: Lot, b: Lot): Lot => ({ qty: a.qty.plus(b.qty), cost: a.cost.plus(b.cost) })

export const newLots = (kept: readonly Lot[] = []): Lots => ({
  kept,
  opened: none,
  closedQty: zero,
})

/** The rest of a lot after `qty` of it is closed. */
function reduced(lot: Lot, qty: Decimal): Lot {
  const left = lot.qty.abs().minus(qty)
  if (left.eq(0)) return none
  const cost = lot.cost.times(left).div(lot.qty.abs()).round(COST_PLACES)
  return { qty: lot.qty.gt(0) ? left : left.times(-1), cost }
}

/** Ends the day: closes the oldest lots first and the day's own lot last. */
export function restated({ kept, opened, closedQty }: Lots): Lots {
  let closing = closedQty
  const left: Lot[] = []
  for (const lot of [...kept, opened]) {
    const taken = smaller(closing, lot.qty.abs())
    closing = closing.minus(taken)
    const rest = taken.eq(0) ? lot : reduced(lot, taken)
    if (!rest.qty.eq(0)) left.push(rest)
  }
  const [first = none, second = none, ...others] = left
  return newLots(left.length > LOTS_MAX ? [joined(first, second), ...others] : left)
}

/** The total cost of all lots. */
export const costOf = ({ kept }: Lots): Decimal => sum(kept.map(({ cost }) => cost))

/**
 * The lots after a split: the same cost for `ratio` times the quantity. The rounding of the
 * position to `qty` is applied to the oldest lot.
 */
export function splitLots({ kept, opened, closedQty }: Lots, ratio: Decimal, qty: Decimal): Lots {
  const scaled = [...kept, opened].map((lot) => ({ qty: lot.qty.times(ratio), cost: lot.cost }))
  const closed = closedQty.times(ratio)
  const held = sum(scaled.map((lot) => lot.qty)).minus(qty.gt(0) ? closed : closed.times(-1))
  const oldest = scaled.findIndex((lot) => !lot.qty.eq(0))
  const exact = scaled.map((lot, at) =>
    at === oldest ? { ...lot, qty: lot.qty.plus(qty.minus(held)) } : lot,
  )
  return { kept: exact.slice(0, -1), opened: exact.at(-1) ?? none, closedQty: closed }
}
