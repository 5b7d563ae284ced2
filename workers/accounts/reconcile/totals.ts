import { type BrokerOrder, type BrokerTotal, isZero, type Order } from '#domain'
import type { LoadedConnection } from '#store'
import { type AccountContext, applyReport, applyTo, reportOf } from '../context.ts'
import { shows, type Snapshots } from '../total-mismatches.ts'
import { fillGaps } from './gaps.ts'
import { overlapping, type PortfolioPass, reconcilePortfolio, stillCurrent } from './portfolio.ts'

// The broker's total of an order is adopted if it lastingly differs from the booked executions (see
// total-mismatches.ts).

/**
 * @param orders the recorded orders
 * @param snapshots complete readings, by broker order id
 * @returns the number of orders whose mismatch has not lasted long enough yet
 */
export async function reconcileTotals(
  context: AccountContext,
  orders: readonly Order[],
  snapshots: Snapshots,
): Promise<number> {
  const { standing, waiting } = context.totalMismatches.look(
    orders,
    snapshots,
    context.clock.monotonicMs(),
  )
  for (const { order, brokerOrderId, total } of standing)
    await adoptTotal(context, order, brokerOrderId, total)
  return waiting
}

async function adoptTotal(
  context: AccountContext,
  order: Order,
  brokerOrderId: string,
  { at }: BrokerTotal,
): Promise<void> {
  context.log.warn({ ...context.ref, orderId: order.id, brokerOrderId }, 'update.total_adopted')
  await applyTo(context, order, [{ type: 'total_stands', brokerOrderId, at }])
}

/**
 * Like `reconcilePortfolio`, with a check of the orders first. If cash or a position is in doubt,
 * the cause may be the unreported bust of an execution of an ended order. The orders are then
 * settled first, so that the correction is booked to the trade, not only to the account.
 * @param loaded the state from before the caller's writes, which may have changed it
 */
export async function reconcileAccount(
  context: AccountContext,
  readTo: string,
  loaded: LoadedConnection,
): Promise<PortfolioPass & { isReconciled: boolean }> {
  const known = await stillCurrent(context, loaded)
  const isDoubted = Object.keys(known.account?.doubts ?? {}).length > 0
  const waiting = isDoubted ? await lookAtAll(context) : 0
  if (waiting > 0) return { doubts: waiting, isReconciled: true }
  const pass = await reconcilePortfolio(context, readTo, isDoubted ? null : known)
  if (pass.doubts > 0 && !isDoubted) await lookAtAll(context)
  return pass
}

/**
 * Compares all executed orders of the day with a list, and applies listed orders that the store
 * lost.
 */
async function lookAtAll(context: AccountContext): Promise<number> {
  const { userId, connectionId } = context.ref
  const { account, orders } = await context.writer.store.loadConnection(userId, connectionId)
  if (account === null) return 0
  const executed = new Map(
    orders
      .filter(({ placements }) => placements.some(hasExecuted))
      .map((order) => [order.id, order] as const),
  )
  const starts = [...executed.values()].map(
    ({ submittedAt, claimedAt }) => submittedAt ?? claimedAt ?? '',
  )
  const since = [overlapping(account.executionsReadTo), ...starts].reduce((a, b) => (a < b ? a : b))
  const totals = new Map(
    orders.flatMap(({ placements }) =>
      placements.map((one) => [one.brokerOrderId, one.total] as const),
    ),
  )
  const snapshots = new Map<string, BrokerOrder>()
  for (const seen of await context.asking(() =>
    context.broker.listOrders({ status: 'all', since }),
  )) {
    snapshots.set(seen.brokerOrderId, seen)
    const total = totals.get(seen.brokerOrderId)
    const isKnown =
      total === null ? isZero(seen.filledQuantity) : total !== undefined && shows(seen, total)
    if (isKnown) continue
    const order = (await applyReport(context, reportOf(seen)))?.order
    if (order != null) executed.set(order.id, order)
  }
  await fillGaps(context, snapshots)
  return reconcileTotals(
    context,
    [...executed.keys()].flatMap((id) => context.openOrders.find(id) ?? executed.get(id) ?? []),
    snapshots,
  )
}

const hasExecuted = ({
  cumulativeQuantity,
  reportedQuantity,
}: Order['placements'][number]): boolean => !isZero(cumulativeQuantity) || !isZero(reportedQuantity)
