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

// Merges reports about one placement. Each part of a snapshot is merged by a rule that does not
// depend on the order of arrival:
// - working status: the latest broker time wins
// - final status: the strongest status wins
// - quantities: the largest wins
//
// Executions are booked strictly in the order of cumulative quantity. An execution that arrives
// early is held until the earlier ones are booked.

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

/** The placement after `signal`, or `null` if the transition is illegal. */
export function moved(placement: Placement, signal: Signal): Placement | null {
  const status = transitionOf(placement.status, signal)
  return status === null ? null : status === placement.status ? placement : { ...placement, status }
}

/** Applies a snapshot of the broker. Executions are not booked here. */
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

/** The fields of a snapshot by which a record shows if the snapshot was applied. */
export type Snapshot = Pick<BrokerOrder, 'status' | 'filledQuantity' | 'updatedAt'>

/**
 * Reports if a snapshot was applied. Later updates never remove the effects of a snapshot from the
 * record. If they are missing later, the store lost that commit.
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

/**
 * The newer total. Before the first execution there is no total to keep, and so no reason to write.
 */
function latest(current: Placement['total'], seen: BrokerOrder): Placement['total'] {
  const { filledQuantity: quantity, filledAveragePrice: averagePrice, updatedAt: at } = seen
  if (current == null) return isZero(quantity) ? null : { quantity, averagePrice, at }
  const isLater = at > current.at || (at === current.at && cmp(quantity, current.quantity) > 0)
  return isLater ? { quantity, averagePrice, at } : current
}

/**
 * Holds an execution until the earlier executions are booked; `null`: too many are held. An
 * execution that is booked or held already changes nothing.
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

/**
 * The next execution to book, with the quantity that is not booked yet; `null`: an earlier
 * execution is missing.
 */
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
 * The placement cannot execute any more: its whole quantity has executed, or, if it is sized in
 * money, the broker reports it filled.
 */
export const isDone = ({ quantity, final, cumulativeQuantity, busted }: Placement): boolean =>
  (quantity !== null && cmp(sub(cumulativeQuantity, busted?.quantity ?? ZERO), quantity) >= 0) ||
  (final?.status === 'filled' && cmp(cumulativeQuantity, final.filledQuantity) >= 0)

/** The final status, once every execution before it has been booked. */
export const endingOf = ({ final, cumulativeQuantity }: Placement): FinalStatus | null =>
  final !== null && cmp(cumulativeQuantity, final.filledQuantity) >= 0 ? final.status : null

/** The broker's totals exclude busted executions. Ours include them, so that they never fall. */
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
