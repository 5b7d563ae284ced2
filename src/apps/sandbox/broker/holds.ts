import type { Asset } from './assets.ts'
import { type Decimal, larger, zero } from './decimals.ts'
import { isOpen, leavesQty, type Order, type Side } from './order.ts'

/**
 * The holds of open orders on an account: buying power, and units of the traded asset. They are
 * updated with every change of an order, because every new order needs the sums. Invariants:
 * - the sums are those of `byOrder`;
 * - the entry of an order in `byOrder` is its hold after its last change;
 * - a held leg holds nothing itself: its parent or the other exit of its pair holds for it;
 * - a pending replacement holds nothing itself: the replaced order holds the larger of the two.
 */
export interface Holds {
  power: Decimal
  /** By side and symbol. */
  readonly units: Map<string, Decimal>
  readonly byOrder: Map<Order, BuyingPowerHold>
}

type BuyingPowerHold = Readonly<{ power: Decimal; units: Decimal }>

const nothing: BuyingPowerHold = { power: zero, units: zero }
const keyOf = (asset: Asset, side: Side): string => `${side} ${asset.symbol}`

export const newHolds = (): Holds => ({ power: zero, units: new Map(), byOrder: new Map() })

/** The order and its pending replacement; none if the order holds nothing itself. */
function claimants(order: Order): readonly Order[] {
  if (!isOpen(order) || order.status === 'held' || order.predecessor !== null) return []
  return order.successor === null ? [order] : [order, order.successor]
}

function powerOf(order: Order): Decimal {
  const { notional } = order.request
  if (notional !== null && order.qty === null)
    return order.intent.endsWith('_open') ? notional : zero
  return leavesQty(order).times(order.heldPerUnit)
}

function holdOf(order: Order): BuyingPowerHold {
  const largest = (amounts: readonly Decimal[]): Decimal => amounts.reduce(larger, zero)
  const all = claimants(order)
  return { power: largest(all.map(powerOf)), units: largest(all.map(leavesQty)) }
}

function put(holds: Holds, order: Order, hold: BuyingPowerHold): void {
  const before = holds.byOrder.get(order) ?? nothing
  const key = keyOf(order.request.asset, order.request.side)
  holds.power = holds.power.plus(hold.power).minus(before.power)
  holds.units.set(key, (holds.units.get(key) ?? zero).plus(hold.units).minus(before.units))
  if (hold.power.eq(0) && hold.units.eq(0)) holds.byOrder.delete(order)
  else holds.byOrder.set(order, hold)
}

/** Updates the hold of an order, after a change of the order, its predecessor or its successor. */
export const noteHold = (holds: Holds, order: Order): void => put(holds, order, holdOf(order))

export const unitsHeld = ({ units }: Holds, asset: Asset, side: Side): Decimal =>
  units.get(keyOf(asset, side)) ?? zero

/** The holds without one of the orders. */
export function holdsWithout({ power, units, byOrder }: Holds, order: Order): Holds {
  const copy: Holds = {
    power,
    units: new Map(units),
    byOrder: new Map([[order, byOrder.get(order) ?? nothing]]),
  }
  put(copy, order, nothing)
  return copy
}
