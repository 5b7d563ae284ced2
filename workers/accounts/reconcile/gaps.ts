import {
  type BrokerOrder,
  hasGap,
  HELD_EXECUTIONS_MAX,
  inferredExecution,
  type Order,
} from '#domain'
import { BrokerError } from '../../broker/index.ts'
import { type AccountContext, applyTo } from '../context.ts'

// Filled quantities that a view has shown and whose executions were not told (FIL-05). They are
// read from the list of executions; what that does not have yet, and everything while the list
// cannot be had, is inferred from the order's totals, in the same pass. The real execution, told
// later, has the same span and changes nothing.

/**
 * @param views the orders as they were just read, by broker order id
 * @returns how many orders had such a gap
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
 * Nothing when it is not the time to ask, or the broker cannot be asked: the fills of a view must
 * not wait for their details.
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

/** One inferred execution lets those be booked that waited for it; then the next gap shows. */
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

/** At most one more than can wait. */
const GAPS_MAX = HELD_EXECUTIONS_MAX + 1

/** Its missing executions are not older than this. */
const startOf = ({ submittedAt, claimedAt, lastExecutionAt, placements }: Order): string =>
  (placements.length === 1 ? lastExecutionAt : null) ?? submittedAt ?? claimedAt ?? ''
