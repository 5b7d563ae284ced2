import { hash } from 'node:crypto'
import {
  abs,
  add,
  cmp,
  type Decimal,
  div,
  isNegative,
  isZero,
  mul,
  neg,
  sub,
  ZERO,
} from './decimal.ts'
import type { Side } from './intent.ts'

/**
 * A signed holding of one symbol on one broker connection, from its opening to its close or flip.
 *
 * Average cost:
 * - An execution that adds to the position adds its exact cost.
 * - An execution that reduces the position removes its share of the cost, rounded to `COST_PLACES`.
 * - The last reduction removes the remaining cost, so that rounding loses no cost over a position's
 *   life.
 */
export type Position = Readonly<{
  schema: 2
  id: string
  connectionId: string
  symbol: string
  /** Negative for a short position. Zero only in the record of its close. */
  quantity: Decimal
  /** The cost of the open quantity (long) or its proceeds (short): never negative, exact. */
  cost: Decimal
  /** Sums over all reductions in this position's life so far. */
  closedQuantity: Decimal
  closedCost: Decimal
  closedValue: Decimal
  realizedPnL: Decimal
  /** The last known price. Until the first mark: the price of the execution. */
  mark: Decimal
  /**
   * The price of the live protective stop, and the order that owns it; both `null` if there is no
   * stop.
   */
  stopLossPrice: Decimal | null
  stopLossFrom: string | null
  openedAt: string
  closedAt: string | null
}>

export const POSITION_SIDES = ['long', 'short'] as const
export type PositionSide = (typeof POSITION_SIDES)[number]

/** The side on which a quantity other than zero is held. */
export const positionSideOf = ({ quantity }: Pick<Position, 'quantity'>): PositionSide =>
  isNegative(quantity) ? 'short' : 'long'

/** Decimals of a cost after a division. */
const COST_PLACES = 18

/**
 * An execution as it applies to a position. `key` identifies the execution, so that a position
 * opened by it always has the same id.
 */
export type PositionFill = Readonly<{
  connectionId: string
  symbol: string
  side: Side
  quantity: Decimal
  price: Decimal
  at: string
  key: string
}>

export type PositionChange = Readonly<{ type: 'opened' | 'changed' | 'closed'; position: Position }>

export const averageEntryPrice = (p: Position): Decimal =>
  isZero(p.quantity) ? averageClosedCost(p) : div(p.cost, abs(p.quantity))
export const averageClosedCost = (p: Position): Decimal => div(p.closedCost, p.closedQuantity)
export const averageExitPrice = (p: Position): Decimal => div(p.closedValue, p.closedQuantity)

/** At the position's mark, or at another price. */
export const marketValue = (p: Position, price: Decimal = p.mark): Decimal => mul(p.quantity, price)
export const unrealizedPnL = (p: Position, price: Decimal = p.mark): Decimal =>
  isNegative(p.quantity) ? add(marketValue(p, price), p.cost) : sub(marketValue(p, price), p.cost)

/**
 * Whole seconds from opening to close. Never negative, although the broker's clock and ours may
 * disagree.
 */
export const holdingSeconds = (p: Position): number =>
  p.closedAt === null
    ? 0
    : Math.max(0, Math.floor((Date.parse(p.closedAt) - Date.parse(p.openedAt)) / 1_000))

const positionIdOf = (connectionId: string, symbol: string, key: string): string =>
  `pos_${hash('sha256', `${connectionId}\n${symbol}\n${key}`).slice(0, 20)}`

/** A new position of `quantity` (signed) that cost `cost`. */
export function openPosition(
  at: Readonly<{ connectionId: string; symbol: string; key: string; at: string }>,
  quantity: Decimal,
  cost: Decimal,
  mark: Decimal,
): Position {
  return {
    schema: 2,
    id: positionIdOf(at.connectionId, at.symbol, at.key),
    connectionId: at.connectionId,
    symbol: at.symbol,
    quantity,
    cost,
    closedQuantity: ZERO,
    closedCost: ZERO,
    closedValue: ZERO,
    realizedPnL: ZERO,
    mark,
    stopLossPrice: null,
    stopLossFrom: null,
    openedAt: at.at,
    closedAt: null,
  }
}

function reduceBy(position: Position, quantity: Decimal, price: Decimal, at: string): Position {
  const held = abs(position.quantity)
  const isAll = cmp(quantity, held) === 0
  const cost = isAll ? position.cost : div(mul(position.cost, quantity), held, COST_PLACES)
  const value = mul(quantity, price)
  const profit = isNegative(position.quantity) ? sub(cost, value) : sub(value, cost)
  const signed = isNegative(position.quantity) ? quantity : neg(quantity)
  return {
    ...position,
    quantity: add(position.quantity, signed),
    cost: sub(position.cost, cost),
    closedQuantity: add(position.closedQuantity, quantity),
    closedCost: add(position.closedCost, cost),
    closedValue: add(position.closedValue, value),
    realizedPnL: add(position.realizedPnL, profit),
    mark: price,
    closedAt: isAll ? at : null,
  }
}

/**
 * Books one execution. A fill across zero closes the position and opens a position on the other
 * side (POS-05); both changes come from this execution, in that order.
 */
export function applyFill(
  before: Position | null,
  fill: PositionFill,
): { position: Position | null; changes: readonly PositionChange[] } {
  const signed = fill.side === 'buy' ? fill.quantity : neg(fill.quantity)
  if (before === null) {
    const opened = openPosition(fill, signed, mul(fill.quantity, fill.price), fill.price)
    return { position: opened, changes: [{ type: 'opened', position: opened }] }
  }
  if (isNegative(before.quantity) === isNegative(signed)) {
    const grown = {
      ...before,
      quantity: add(before.quantity, signed),
      cost: add(before.cost, mul(fill.quantity, fill.price)),
      mark: fill.price,
    }
    return { position: grown, changes: [{ type: 'changed', position: grown }] }
  }
  const held = abs(before.quantity)
  const over = sub(fill.quantity, held)
  if (isNegative(over)) {
    const reduced = reduceBy(before, fill.quantity, fill.price, fill.at)
    return { position: reduced, changes: [{ type: 'changed', position: reduced }] }
  }
  const closed: PositionChange = {
    type: 'closed',
    position: reduceBy(before, held, fill.price, fill.at),
  }
  if (isZero(over)) return { position: null, changes: [closed] }
  const flipped = applyFill(null, { ...fill, quantity: over })
  return { position: flipped.position, changes: [closed, ...flipped.changes] }
}

/**
 * Takes one execution back.
 * - If the execution had added to the position, its exact cost is removed.
 * - If the execution had reduced the position, the quantity returns at the average cost that was
 *   removed, and the P&L is undone.
 * - If the bust crosses zero, or the position is gone, the bust is booked as an execution on the
 *   other side.
 */
export function undoFill(
  before: Position | null,
  fill: PositionFill,
): ReturnType<typeof applyFill> {
  const reverse: PositionFill = { ...fill, side: fill.side === 'buy' ? 'sell' : 'buy' }
  if (before === null) return applyFill(before, reverse)
  const signed = fill.side === 'buy' ? fill.quantity : neg(fill.quantity)
  const quantity = sub(before.quantity, signed)
  if (isNegative(before.quantity) === isNegative(signed)) {
    const cost = sub(before.cost, mul(fill.quantity, fill.price))
    if (
      isZero(quantity) ||
      isNegative(quantity) !== isNegative(before.quantity) ||
      isNegative(cost)
    )
      return applyFill(before, reverse)
    const position = { ...before, quantity, cost }
    return { position, changes: [{ type: 'changed', position }] }
  }
  if (cmp(fill.quantity, before.closedQuantity) > 0) return applyFill(before, reverse)
  const isAll = fill.quantity === before.closedQuantity
  const cost = isAll
    ? before.closedCost
    : div(mul(before.closedCost, fill.quantity), before.closedQuantity, COST_PLACES)
  const value = mul(fill.quantity, fill.price)
  const profit = isNegative(before.quantity) ? sub(cost, value) : sub(value, cost)
  const position = {
    ...before,
    quantity,
    cost: add(before.cost, cost),
    closedQuantity: sub(before.closedQuantity, fill.quantity),
    closedCost: sub(before.closedCost, cost),
    closedValue: sub(before.closedValue, value),
    realizedPnL: sub(before.realizedPnL, profit),
  }
  return { position, changes: [{ type: 'changed', position }] }
}
