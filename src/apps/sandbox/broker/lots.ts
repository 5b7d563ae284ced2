import { type Decimal, smaller, sum, zero } from './decimals.ts'

/**
 * What a position cost, kept the way it is restated overnight. During the day its cost is the
 * weighted average of everything; when the day ends it becomes first in, first out over *lots*, one
 * for each day's buys together (compressed). Invariant after a day's end: the lots add up to the
 * position, in quantity and in cost.
 */

/** What was opened on one day and is still held. Signed like the position. */
export type Lot = Readonly<{ qty: Decimal; cost: Decimal }>

/** A position's days: its lots, oldest first, and what happened since they were last restated. */
export interface Lots {
  readonly kept: readonly Lot[]
  opened: Lot
  /** Without sign. */
  closedQty: Decimal
}

/** The oldest two are merged when a position has been added to on more days than this. */
const LOTS_MAX = 500
/** What is left of a lot keeps its cost to this many decimals. */
const COST_PLACES = 12

const none: Lot = { qty: zero, cost: zero }
const joined = (a: Lot, b: Lot): Lot => ({ qty: a.qty.plus(b.qty), cost: a.cost.plus(b.cost) })

export const newLots = (kept: readonly Lot[] = []): Lots => ({
  kept,
  opened: none,
  closedQty: zero,
})

/** What a lot has left after `qty` of it is closed. */
function reduced(lot: Lot, qty: Decimal): Lot {
  const left = lot.qty.abs().minus(qty)
  if (left.eq(0)) return none
  const cost = lot.cost.times(left).div(lot.qty.abs()).round(COST_PLACES)
  return { qty: lot.qty.gt(0) ? left : left.times(-1), cost }
}

/** Ends the day: closes the oldest lots first, the day's own last. */
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

/** What all lots cost together. */
export const costOf = ({ kept }: Lots): Decimal => sum(kept.map(({ cost }) => cost))

/**
 * After a split: the same cost for `ratio` times as much; what rounding the whole to `qty` took
 * goes to the oldest lot.
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
