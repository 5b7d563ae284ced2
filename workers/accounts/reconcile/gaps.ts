import {
  type BrokerOrder,
  hasGap,
  HELD_EXECUTIONS_MAX,
  inferredExecution,
  type Order,
} from '#domain'
import { BrokerError } from '../../broker/index.ts'
import { type AccountContext, applyTo } from '../context.ts'

// Gaps: quantities that a snapshot shows as filled, but whose executions were not reported
// (FIL-05). The missing executions are read from the list of executions. Executions that the list
// lacks, or all of them if the list cannot be read, are inferred from the order's totals in the
// same pass. The real execution, reported later, has the same span and changes nothing.

/**
 * @param snapshots the orders as they were just read, by broker order id
 * @returns the number of orders with a gap
 */
export async function fillGaps(
  context: AccountContext,
  snapshots: ReadonlyMap<string, BrokerOrder>,
): Promise<number> {
  const gaps = context.openOrders.orders.filter(
    (order) => hasGap(order) && order.placements.some(isIn(snapshots)),
  )
  if (gaps.length === 0) return 0
  const since = gaps.map(startOf).reduce((a, b) => (a < b ? a : b))
  const missing = new Map(
    gaps.flatMap((order) => order.placements.map((one) => [one.brokerOrderId, order] as const)),
  )
  for (const row of await listed(context, since)) {
    const order = missing.get(row.brokerOrderId)
    if (order === undefined || !('execution' in row)) continue
    await applyTo(context, order, [{ type: 'execution', ...row }])
  }
  for (const { id } of gaps) await infer(context, id, snapshots)
  return gaps.length
}

/**
 * Returns an empty list if the rate window is spent or the broker cannot be queried: the fills of a
 * snapshot must not wait for their details.
 */
async function listed(
  context: AccountContext,
  since: string,
): ReturnType<AccountContext['broker']['listExecutions']> {
  if (!context.executionLists.take(context.clock.monotonicMs())) return []
  try {
    return await context.asking(() => context.broker.listExecutions(since))
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error
    return []
  }
}

/**
 * After one inferred execution, the held executions behind it are booked; then the next gap can be
 * inferred.
 */
async function infer(
  context: AccountContext,
  orderId: string,
  snapshots: ReadonlyMap<string, BrokerOrder>,
): Promise<void> {
  for (let gaps = 0; gaps < GAPS_MAX; gaps += 1) {
    const order = context.openOrders.find(orderId)
    const update = order === null || !hasGap(order) ? null : inferredUpdate(order, snapshots)
    if (order === null || update === null) return
    context.log.warn(
      { ...context.ref, orderId, brokerOrderId: update.brokerOrderId },
      'update.execution_inferred',
    )
    context.accountMetrics.inferred()
    await applyTo(context, order, [update])
  }
}

function inferredUpdate(order: Order, snapshots: ReadonlyMap<string, BrokerOrder>) {
  for (const { brokerOrderId } of order.placements) {
    const seen = brokerOrderId === null ? undefined : snapshots.get(brokerOrderId)
    const execution = seen === undefined ? null : inferredExecution(order, seen)
    if (brokerOrderId !== null && execution !== null)
      return { type: 'execution', brokerOrderId, execution } as const
  }
  return null
}

const isIn =
  (snapshots: ReadonlyMap<string, BrokerOrder>) =>
  ({ brokerOrderId }: Order['placements'][number]): boolean =>
    brokerOrderId !== null && snapshots.has(brokerOrderId)

/** One more than the executions that can be held. */
const GAPS_MAX = HELD_EXECUTIONS_MAX + 1

/** The earliest time of the order's missing executions. */
const startOf = ({ submittedAt, claimedAt, lastExecutionAt, placements }: Order): string =>
  (placements.length === 1 ? lastExecutionAt : null) ?? submittedAt ?? claimedAt ?? ''
