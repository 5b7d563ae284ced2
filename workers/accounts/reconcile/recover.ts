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
 * Reconciles one connection with its broker, after the stream was subscribed and before its updates
 * are applied (CON-03). A recovery reads the orders by list, the orders that the lists lack by id,
 * then executions, cash and positions.
 *
 * All steps are idempotent: an applied snapshot changes nothing when applied again, so a recovery
 * may stop at any step and start again from the first (CRA-04). The first reading of a connection
 * is an adoption instead (see bootstrap.ts).
 */
export type Recovered = PortfolioPass & Readonly<{ isComplete: boolean }>

/**
 * @param isNew `true`: a missing account record means that the account was never read
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
 * The result while known executions are not booked: comparing cash and positions before that would
 * count those executions twice.
 */
const UNREAD: Recovered = { doubts: 0, isComplete: false }

/**
 * Reads executions, busts, cash and positions: not urgent, and snapshots of orders do not contain
 * these data.
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
 * The credentials lead to another broker account than the state belongs to. Data of the two
 * accounts must never be mixed (MUL-01).
 */
export class WrongAccountError extends FillcastError<'WRONG_ACCOUNT'> {
  constructor(connectionId: string) {
    super(
      'WRONG_ACCOUNT',
      `the credentials of ${connectionId} lead to another broker account; connect the first one again`,
    )
  }
}

/** Runs before the session applies anything. @throws {WrongAccountError} */
export async function checkAccount({ writer, broker, ref }: AccountContext): Promise<void> {
  const account = await loadAccount(writer.store, ref)
  if (account === null) return
  const { brokerAccountId } = await broker.readAccount()
  if (brokerAccountId !== account.brokerAccountId) throw new WrongAccountError(ref.connectionId)
}

/**
 * Reads all open orders, all orders submitted lately, and by id the orders that are open here but
 * missing in both lists (CLK-05).
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
 * Books the executions that are not booked yet and applies the busts of booked executions, in the
 * order of their times. An execution may belong to an order without a record, because the order was
 * submitted and ended between two polls; the order is then read and applied first. The progress is
 * written down if many executions were read or the reading is incomplete: the rest of the recovery
 * may exceed the request budget, and the next try must not read all these executions again.
 * @param from broker time up to which executions were read before
 * @returns `readTo`: broker time up to which executions are read now
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

/** A list with more executions than this takes more than one request. */
const NOTED_FROM = 100

/**
 * Applies an execution whose order has no record yet.
 * @param seen the orders read so far, by broker order id; the map grows
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

/**
 * Broker time up to which all orders were read. Only the broker's own times count, because our
 * clock may be wrong (CLK-01).
 */
const newestOf = (snapshots: ReadonlyMap<string, BrokerOrder>, atLeast: string): string =>
  [...snapshots.values()].reduce((newest, { updatedAt }) => later(newest, updatedAt), atLeast)
