import { type BrokerOrder, cmp, type Order, type OrderKey, type OrderUpdate } from '#domain'
import { FillcastError } from '#runtime'
import { loadAccount } from '../../state/index.ts'
import { type AccountContext, applyReport, applyTo, reportOf, UnreadError } from '../context.ts'
import { recordedIds } from '../open-orders.ts'
import { adoptConnection } from './bootstrap.ts'
import { fillGaps } from './gaps.ts'
import {
  expectedOrders,
  IDS_PER_RECOVERY,
  MissingOrders,
  ordersWithoutExits,
} from './missing-orders.ts'
import { later, noteReadTo, overlapping, type PortfolioPass } from './portfolio.ts'
import { reconcileAccount } from './totals.ts'

/**
 * Brings one connection level with its broker, after its stream was subscribed and before what the
 * stream tells is applied (CON-03): orders by list, by id what the lists lack, executions, cash and
 * positions.
 *
 * A series of idempotent steps: what was applied already changes nothing, so it may stop anywhere
 * and start again from the first (CRA-04). The first reading of a connection is an adoption
 * instead.
 */
export type Recovered = PortfolioPass & Readonly<{ isComplete: boolean }>

/**
 * @param isNew whether an account without a record has never been read before
 * @throws {FencedError} the lease was lost
 * @throws {BrokerError} the broker could not be read: start again later
 */
export async function recover(context: AccountContext, isNew: boolean): Promise<Recovered> {
  const { userId, connectionId } = context.ref
  const known = await context.writer.store.loadConnection(userId, connectionId)
  if (known.account === null) {
    const isAdopted = await adoptConnection(context, isNew)
    return { doubts: 0, isComplete: isAdopted }
  }
  context.firstReading.end()
  const since = overlapping(known.account.executionsReadTo)
  context.openOrders.load(known.orders, context.clock.monotonicMs())
  context.openOrders.startAt(known.account.executionsReadTo)
  const { snapshots, isComplete } = await readOrders(context, known.orders, since)
  await context.boundaries.reached('reconcile.orders_read')
  const ids = recordedIds(known.orders)
  for (const order of snapshots.values())
    if (context.openOrders.isUnapplied(order) || !ids.has(order.brokerOrderId))
      await applyReport(context, reportOf(order))
  const executions = await readExecutions(
    context,
    known.orders,
    known.account.executionsReadTo,
    snapshots,
  )
  await fillGaps(context, snapshots)
  await context.boundaries.reached('reconcile.executions_read')
  if (!executions.isComplete) return UNREAD
  const pass = await reconcileAccount(context, newestOf(snapshots, executions.readTo), known)
  return { ...pass, isComplete: isComplete && pass.isReconciled }
}

/**
 * Cash and positions are not compared before everything that is known to have moved them is booked:
 * it would be counted twice.
 */
const UNREAD: Recovered = { doubts: 0, isComplete: false }

/**
 * Executions, what was taken back of them, cash and positions: not urgent, and not told by how the
 * orders are.
 * @throws {UnreadError}
 */
export async function refresh(context: AccountContext): Promise<Recovered> {
  const known = await context.writer.store.loadConnection(
    context.ref.userId,
    context.ref.connectionId,
  )
  const { account, orders } = known
  if (account === null) throw new UnreadError(context.ref.connectionId)
  const { readTo, isComplete } = await readExecutions(
    context,
    orders,
    account.executionsReadTo,
    new Map(),
  )
  if (!isComplete) return UNREAD
  return { ...(await reconcileAccount(context, readTo, known)), isComplete: true }
}

/**
 * The credentials lead to another broker account than the state belongs to: nothing of it may be
 * mixed in (MUL-01).
 */
export class WrongAccountError extends FillcastError<'WRONG_ACCOUNT'> {
  constructor(connectionId: string) {
    super(
      'WRONG_ACCOUNT',
      `the credentials of ${connectionId} lead to another broker account; connect the first one again`,
    )
  }
}

/** Before anything of a session is applied. @throws {WrongAccountError} */
export async function checkAccount({ writer, broker, ref }: AccountContext): Promise<void> {
  const account = await loadAccount(writer.store, ref)
  if (account === null) return
  const { brokerAccountId } = await broker.readAccount()
  if (brokerAccountId !== account.brokerAccountId) throw new WrongAccountError(ref.connectionId)
}

/**
 * Everything open, everything submitted lately, and by id what is open here and in neither list
 * (CLK-05).
 */
async function readOrders(context: AccountContext, orders: readonly Order[], since: string) {
  const snapshots = new Map<string, BrokerOrder>()
  const expected = [...ordersWithoutExits(orders), ...expectedOrders(orders)]
  for (const order of await context.broker.listOrders({ status: 'open' }))
    snapshots.set(order.brokerOrderId, order)
  for (const order of await context.broker.listOrders({ status: 'all', since }))
    snapshots.set(order.brokerOrderId, order)
  const { found, isComplete } = await new MissingOrders(context).read(
    expected,
    snapshots.values(),
    IDS_PER_RECOVERY,
  )
  for (const order of found) snapshots.set(order.brokerOrderId, order)
  return { snapshots, isComplete }
}

/**
 * Executions that are not booked, and what was taken back of those that are, in the order of their
 * times. An order that nobody here has heard of is read and taken in with them: it came and went
 * between two polls. How far it got is written down where that was far, or not to the end: what
 * comes after may want more requests than the budget has, and must not begin with all of this
 * again.
 * @param from broker time up to which they were read before
 * @returns broker time up to which they are read now
 */
async function readExecutions(
  context: AccountContext,
  orders: readonly Order[],
  from: string,
  snapshots: ReadonlyMap<string, BrokerOrder>,
): Promise<{ readTo: string; isComplete: boolean }> {
  const records = new Map(
    orders.flatMap((order) => order.placements.map((one) => [one.brokerOrderId, order] as const)),
  )
  const rows = await context.asking(() => context.broker.listExecutions(overlapping(from)))
  const seen = new Map<string, BrokerOrder | null>(snapshots)
  let readTo = from
  let unknown = 0
  for (const row of rows) {
    const record = records.get(row.brokerOrderId)
    const isUnheardOf = record === undefined && !seen.has(row.brokerOrderId)
    if (isUnheardOf && (unknown += 1) > IDS_PER_RECOVERY) break
    if (record === undefined) await takeWithOrder(context, row, seen)
    else if (isNewTo(record, row)) await takeRow(context, record, row)
    readTo = later(readTo, timeOf(row))
  }
  const isComplete = unknown <= IDS_PER_RECOVERY
  if (readTo > from && (!isComplete || rows.length > NOTED_FROM)) await noteReadTo(context, readTo)
  return { readTo, isComplete }
}

/** As many executions make the list more than one request. */
const NOTED_FROM = 100

/**
 * An execution of an order that has no record yet.
 * @param seen orders as they were read, by broker order id; it grows
 */
async function takeWithOrder(
  context: AccountContext,
  row: Row,
  seen: Map<string, BrokerOrder | null>,
): Promise<void> {
  const { brokerOrderId } = row
  let order = seen.get(brokerOrderId)
  if (order === undefined) {
    order = await context.asking(() => context.broker.findByBrokerOrderId(brokerOrderId))
    seen.set(brokerOrderId, order)
    if (order !== null) await applyReport(context, reportOf(order))
  }
  if (order === null) return
  const { orderKey } = await context.orderKeys.of(order)
  await takeRow(context, { ...orderKey, symbol: order.symbol }, row)
}

const timeOf = (row: Row): string => ('bust' in row ? row.bust.at : row.execution.at)

type Row = Awaited<ReturnType<AccountContext['broker']['listExecutions']>>[number]

function isNewTo(record: Order, row: Row): boolean {
  if ('bust' in row) return !record.busts.includes(row.bust.id)
  const booked = record.placements.find(
    (one) => one.brokerOrderId === row.brokerOrderId,
  )?.cumulativeQuantity
  return booked === undefined || cmp(row.execution.cumulativeQuantity, booked) > 0
}

async function takeRow(
  context: AccountContext,
  record: OrderKey & Pick<Order, 'symbol'>,
  row: Row,
): Promise<void> {
  const update: OrderUpdate =
    'bust' in row ? { type: 'bust', ...row } : { type: 'execution', ...row }
  await applyTo(context, record, [update])
}

/** Broker time up to which everything was read: its own, since our clock may be wrong (CLK-01). */
const newestOf = (snapshots: ReadonlyMap<string, BrokerOrder>, atLeast: string): string =>
  [...snapshots.values()].reduce((newest, { updatedAt }) => later(newest, updatedAt), atLeast)
