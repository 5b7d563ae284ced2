import { add, cmp, type Decimal, isPositive, isZero, max, mul, sub, ZERO } from './decimal.ts'
import { type Execution, HELD_EXECUTIONS_MAX, type Leg, type Placement } from './order.ts'
import {
  FINAL_STRENGTH,
  type FinalStatus,
  isFinalStatus,
  type Signal,
  transitionOf,
} from './transitions.ts'
import type { BrokerOrder } from './updates.ts'

// How one placement takes in what is said of it. Everything a view says is merged by a rule with no
// memory of order (the latest broker time for working statuses, the strongest for endings, the
// largest for quantities), and executions are booked strictly from the bottom up; one that arrives
// early is held until the ones under it are there. So the order of arrival cannot matter.

export const newPlacement = (
  at: Readonly<{ leg: Leg; replacement: number; clientOrderId: string }>,
  { quantity, limitPrice, stopPrice }: Pick<Placement, 'quantity' | 'limitPrice' | 'stopPrice'>,
): Placement => ({
  ...at,
  quantity,
  limitPrice,
  stopPrice,
  agreed: at.replacement === 0,
  brokerOrderId: null,
  status: 'submitting',
  working: null,
  final: null,
  cumulativeQuantity: ZERO,
  totalCost: ZERO,
  reportedQuantity: ZERO,
  held: [],
  busted: null,
  total: null,
})

/** The placement after `signal`, or `null` when the transition is illegal. */
export function moved(placement: Placement, signal: Signal): Placement | null {
  const status = transitionOf(placement.status, signal)
  return status === null ? null : status === placement.status ? placement : { ...placement, status }
}

/** A view, taken in: what the broker says it is, nothing booked yet. */
export function viewed(placement: Placement, seen: BrokerOrder): Placement {
  const isEnd = isFinalStatus(seen.status)
  const filled = grossOf(placement, seen.filledQuantity, seen.updatedAt)
  return {
    ...placement,
    brokerOrderId: placement.brokerOrderId ?? seen.brokerOrderId,
    ...(isEnd
      ? { final: stronger(placement.final, seen.status, filled, seen.updatedAt) }
      : { working: later(placement.working, seen) }),
    quantity: placement.quantity ?? (seen.status === 'filled' ? filled : seen.quantity),
    limitPrice: seen.limitPrice ?? placement.limitPrice,
    stopPrice: seen.stopPrice ?? placement.stopPrice,
    reportedQuantity: max(placement.reportedQuantity, filled),
    total: latest(placement.total, seen),
  }
}

/** The part of a view by which a record shows whether the view was taken in. */
export type Snapshot = Pick<BrokerOrder, 'status' | 'filledQuantity' | 'updatedAt'>

/**
 * Whether a view was taken in. Nothing of a view leaves a record again: where it is missing later,
 * the store lost that commit.
 */
export function isTakenIn(
  placement: Placement,
  { status, filledQuantity, updatedAt }: Snapshot,
): boolean {
  const { working, final, reportedQuantity, total } = placement
  const isStatus = isFinalStatus(status)
    ? final !== null && FINAL_STRENGTH[final.status] >= FINAL_STRENGTH[status]
    : final !== null || (working !== null && (working.status === status || working.at >= updatedAt))
  const isTotal = total == null ? isZero(filledQuantity) : total.at >= updatedAt
  return isStatus && isTotal && cmp(reportedQuantity, filledQuantity) >= 0
}

/** While nothing has executed there is nothing to total, and no reason to write. */
function latest(current: Placement['total'], seen: BrokerOrder): Placement['total'] {
  const { filledQuantity: quantity, filledAveragePrice: averagePrice, updatedAt: at } = seen
  if (current == null) return isZero(quantity) ? null : { quantity, averagePrice, at }
  const isLater = at > current.at || (at === current.at && cmp(quantity, current.quantity) > 0)
  return isLater ? { quantity, averagePrice, at } : current
}

/**
 * An execution, set aside until its turn; `null` when too many wait. One that is booked or waits
 * already changes nothing.
 */
export function holding(placement: Placement, execution: Execution): Placement | null {
  const cumulativeQuantity = grossOf(placement, execution.cumulativeQuantity, execution.at)
  if (cmp(cumulativeQuantity, placement.cumulativeQuantity) <= 0) return placement
  const reportedQuantity = max(placement.reportedQuantity, cumulativeQuantity)
  if (placement.held.some((held) => held.cumulativeQuantity === cumulativeQuantity))
    return { ...placement, reportedQuantity }
  if (placement.held.length >= HELD_EXECUTIONS_MAX) return null
  const held = [...placement.held, { ...execution, cumulativeQuantity }]
  held.sort((a, b) => cmp(a.cumulativeQuantity, b.cumulativeQuantity))
  return { ...placement, reportedQuantity, held }
}

/** The execution whose turn it is, with the quantity that is not booked yet, or `null`. */
export function nextExecution(
  placement: Placement,
): { placement: Placement; execution: Execution } | null {
  for (let at = 0; ; at += 1) {
    const next = placement.held[at]
    if (next === undefined) return null
    if (cmp(sub(next.cumulativeQuantity, next.quantity), placement.cumulativeQuantity) > 0)
      return null
    const quantity = sub(next.cumulativeQuantity, placement.cumulativeQuantity)
    if (!isPositive(quantity)) continue
    const { price, cumulativeQuantity } = next
    const totalCost = add(placement.totalCost, mul(price, quantity))
    const after = {
      ...placement,
      held: placement.held.slice(at + 1),
      cumulativeQuantity,
      totalCost,
    }
    return { placement: after, execution: { ...next, quantity } }
  }
}

/**
 * Nothing is left to execute: by quantity, or, for an order sized in money, by the broker's word.
 */
export const isDone = ({ quantity, final, cumulativeQuantity, busted }: Placement): boolean =>
  (quantity !== null && cmp(sub(cumulativeQuantity, busted?.quantity ?? ZERO), quantity) >= 0) ||
  (final?.status === 'filled' && cmp(cumulativeQuantity, final.filledQuantity) >= 0)

/** How it ended, once everything that its ending speaks of has been booked. */
export const endingOf = ({ final, cumulativeQuantity }: Placement): FinalStatus | null =>
  final !== null && cmp(cumulativeQuantity, final.filledQuantity) >= 0 ? final.status : null

/** The broker's totals leave out what was busted; ours do not, so that they never fall. */
const grossOf = ({ busted }: Placement, quantity: Decimal, at: string): Decimal =>
  busted !== null && at >= busted.at ? add(quantity, busted.quantity) : quantity

function stronger(
  current: Placement['final'],
  status: FinalStatus,
  filledQuantity: Decimal,
  at: string,
): NonNullable<Placement['final']> {
  const lead = current === null ? 1 : FINAL_STRENGTH[status] - FINAL_STRENGTH[current.status]
  if (current === null || lead > 0) return { status, filledQuantity, at }
  if (lead < 0) return current
  const first = at < current.at ? at : current.at
  return { status, filledQuantity: max(current.filledQuantity, filledQuantity), at: first }
}

function later(current: Placement['working'], seen: BrokerOrder): Placement['working'] {
  const next = { status: seen.status, at: seen.updatedAt }
  if (current === null || next.at > current.at) return next
  return next.at === current.at && next.status > current.status ? next : current
}
