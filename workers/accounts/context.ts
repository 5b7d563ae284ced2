import {
  type BrokerOrder,
  type Bust,
  canBegin,
  type Change,
  type Execution,
  isFinalStatus,
  type Order,
  type OrderKey,
  type OrderUpdate,
  type Position,
  stopAmong,
} from '#domain'
import {
  type Boundaries,
  type Clock,
  FillcastError,
  InvariantError,
  isoTime,
  type Logger,
} from '#runtime'
import {
  ARCHIVE_TTL_MS,
  type ConnectionRef,
  type Fence,
  type LoadedSlice,
  type QuarantinedOrders,
  RecordError,
} from '#store'
import type { Broker } from '../broker/index.ts'
import type { FollowUps } from '../queue/index.ts'
import { applyUpdates, readOrder, type StateWriter } from '../state/index.ts'
import { FirstReading } from './first-reading.ts'
import type { AccountMetrics } from './metrics.ts'
import { OpenOrders } from './open-orders.ts'
import { OrderKeys } from './order-keys.ts'
import { RateWindow } from './rate-window.ts'
import { TotalMismatches } from './total-mismatches.ts'

/** The dependencies that all parts of one session share: one connection, under one lease. */
export type AccountContext = Readonly<{
  ref: ConnectionRef
  broker: Broker
  /** The lease: every write of the session carries it. */
  fence: Fence
  /** True if the lease is still ours for a while, measured by our own steady clock (CRA-07). */
  isOurs(): boolean
  writer: StateWriter
  orderKeys: OrderKeys
  openOrders: OpenOrders
  firstReading: FirstReading
  totalMismatches: TotalMismatches
  /**
   * Limits the readings of the executions list for gaps: if the stream drops every execution, these
   * readings must not spend the requests that polling needs.
   */
  executionLists: RateWindow
  followUps: FollowUps
  overExit: OverExitPolicy
  /** The operators' list of quarantined orders. */
  quarantine: Pick<QuarantinedOrders, 'note'>
  boundaries: Boundaries
  accountMetrics: AccountMetrics
  clock: Clock
  log: Logger
  /**
   * Runs a request to the broker that may take long. If the work is not urgent, the session applies
   * updates of the stream meanwhile, so records read before the request may have changed
   * afterwards. During a recovery the updates wait (CON-03).
   */
  asking<T>(ask: () => Promise<T>): Promise<T>
}>

/**
 * The reaction when the exits of an order executed more than its entry: an alarm only, or an alarm
 * and one trade that closes the excess.
 */
export type OverExitPolicy = 'alarm' | 'flatten'

export const openAccountContext = (
  shared: Omit<
    AccountContext,
    'orderKeys' | 'openOrders' | 'firstReading' | 'totalMismatches' | 'executionLists' | 'asking'
  >,
): AccountContext => {
  const { ref, broker, writer } = shared
  const openOrders = new OpenOrders()
  return {
    ...shared,
    openOrders,
    firstReading: new FirstReading(),
    totalMismatches: new TotalMismatches(),
    executionLists: new RateWindow(EXECUTION_LISTS_PER_MINUTE),
    orderKeys: new OrderKeys({
      ref,
      broker,
      store: writer.store,
      orders: () => openOrders.orders,
    }),
    asking: (ask) => ask(),
  }
}

const EXECUTION_LISTS_PER_MINUTE = 4

/** One report or snapshot of one order, from the stream or from a list. */
export type BrokerReport = Readonly<{
  order: BrokerOrder
  execution: Execution | null
  bust: Bust | null
  at: string
}>

export const reportOf = (order: BrokerOrder): BrokerReport => ({
  order,
  execution: null,
  bust: null,
  at: order.updatedAt,
})

/**
 * Applies a report to the record of its order.
 * @returns the order and its changes; `null` if the record cannot be worked on: the error was
 *   logged, and the connection's other orders go on
 * @throws {FencedError} the lease was lost
 * @throws {BrokerError} the record of the order could not be determined
 */
export async function applyReport(
  context: AccountContext,
  report: BrokerReport,
): Promise<Taken | null> {
  const { execution, bust, at } = report
  try {
    const { orderKey, before, order } = await context.orderKeys.of(report.order)
    const updates: OrderUpdate[] = before.map(updateOf)
    updates.push({ type: 'broker_order', order, execution, at })
    if (bust !== null) updates.push({ type: 'bust', brokerOrderId: order.brokerOrderId, bust })
    const taken = canBegin(before[0] ?? order, orderKey)
      ? await applyAll(context, orderKey, await symbolOf(context, orderKey, order), updates)
      : orderKey.origin === 'external'
        ? await applyIfThere(context, orderKey, await symbolOf(context, orderKey, order), updates)
        : await applyLater(context, orderKey, order, updates)
    for (const seen of [...before, order])
      context.openOrders.note(seen, taken.order, context.clock.monotonicMs())
    return taken
  } catch (error) {
    if (!isOfOneRecord(error)) throw error
    context.log.error(
      { ...context.ref, brokerOrderId: report.order.brokerOrderId, error },
      'update.record_unworkable',
    )
    context.accountMetrics.unworkable()
    return null
  }
}

const updateOf = (order: BrokerOrder): OrderUpdate => ({ type: 'broker_order', ...reportOf(order) })

/**
 * Applies the updates of an order that cannot begin a record to the existing record. If the record
 * is missing, the store lost it (RDQ-04): a new record begins with the trade's first order, read
 * from the broker.
 */
async function applyLater(
  context: AccountContext,
  orderKey: OrderKey,
  seen: BrokerOrder,
  updates: OrderUpdate[],
): Promise<Taken> {
  const taken = await applyIfThere(
    context,
    orderKey,
    await symbolOf(context, orderKey, seen),
    updates,
  )
  if (taken.order !== null || taken.isForgotten) return taken
  const first = await context.orderKeys.firstOf(orderKey)
  if (first === null)
    throw new InvariantError(`the broker has orders of trade ${orderKey.id}, and not its first one`)
  return applyAll(context, orderKey, first.symbol, [updateOf(first), ...updates])
}

const applyIfThere = (
  context: AccountContext,
  orderKey: OrderKey,
  symbol: string,
  updates: readonly OrderUpdate[],
): Promise<Outcome> =>
  applyIf(context, orderKey, symbol, updates, ({ slice }) => slice.order !== null)

/** The symbol of the record, for a snapshot without a readable symbol. */
async function symbolOf(
  { writer, openOrders }: AccountContext,
  { id: orderId, userId, connectionId }: OrderKey,
  { symbol }: BrokerOrder,
) {
  if (symbol !== '') return symbol
  const known = openOrders.find(orderId)?.symbol
  if (known !== undefined) return known
  return (
    (await readOrder(writer, { userId, orderId, connectionId, symbol })).slice.order?.symbol ?? ''
  )
}

/**
 * The store has no record of the account: the account was never read, or the store lost its record.
 * Until the account is read, executions cannot be booked.
 */
export class UnreadError extends FillcastError<'UNREAD'> {
  constructor(connectionId: string) {
    super('UNREAD', `the store has no record of the account of ${connectionId}`)
  }
}

export type Taken = Readonly<{ order: Order | null; changes: readonly Change[] }>
/**
 * `isForgotten`: the order ended and was booked so long ago that its record expired; no update was
 * applied.
 */
type Outcome = Taken & Readonly<{ isForgotten: boolean }>

/** Applies updates to one record, then runs the follow-ups of its changes. */
const applyAll = (
  context: AccountContext,
  orderKey: OrderKey,
  symbol: string,
  updates: readonly OrderUpdate[],
): Promise<Taken> => applyIf(context, orderKey, symbol, updates, () => true)

/**
 * Like `applyAll`, but only if `isFit` accepts the loaded record. An order that ended, was booked
 * and whose record expired is never booked again.
 */
async function applyIf(
  context: AccountContext,
  orderKey: OrderKey,
  symbol: string,
  updates: readonly OrderUpdate[],
  isFit: (loaded: LoadedSlice) => boolean,
): Promise<Outcome> {
  const target = { orderKey, symbol, fence: context.fence }
  let isCanceled = false
  let isForgotten = false
  const { slice, changes } = await applyUpdates(context.writer, target, (loaded) => {
    if (loaded.slice.account === null) throw new UnreadError(context.ref.connectionId)
    isForgotten = isRecordForgotten(loaded, updates, context.clock.now())
    if (isForgotten || !isFit(loaded)) return []
    const cancel = waitingCancel(loaded)
    isCanceled = cancel.length > 0
    return [...updates, ...cancel]
  })
  if (isCanceled && context.isOurs()) await context.followUps.resolve(context.ref, orderKey.id)
  await followUp(context, changes, slice.order)
  return { order: slice.order, changes, isForgotten }
}

/**
 * An archive is kept longer than this after its order ended. The margin of a day covers a
 * difference between the broker's clock and ours.
 */
const RECORDED_MS_MIN = ARCHIVE_TTL_MS - 86_400_000

/**
 * Execution lists are read again from before the last execution. In an account without trading,
 * that execution may be older than any archive.
 */
function isRecordForgotten(
  { slice: { order, account }, tombstone }: LoadedSlice,
  updates: readonly OrderUpdate[],
  nowMs: number,
): boolean {
  if (order !== null || account === null) return false
  const isLongPast = (beganAt: string, at: string): boolean =>
    beganAt <= account.executionsReadTo && nowMs - Date.parse(at) > RECORDED_MS_MIN
  const isBooked = (update: OrderUpdate): boolean => {
    if (update.type === 'execution') return isLongPast(update.execution.at, update.execution.at)
    if (update.type !== 'broker_order' || !isFinalStatus(update.order.status)) return false
    return isLongPast(update.order.submittedAt, update.order.updatedAt)
  }
  return tombstone !== null || (updates.length > 0 && updates.every(isBooked))
}

/**
 * A cancel that found no trade waits for the trade's claim. If the claim was lost with the store
 * (RDQ-04), the claim never comes, so the waiting cancel is applied here.
 */
const waitingCancel = ({ slice: { order }, cancelMark }: LoadedSlice): OrderUpdate[] =>
  order === null && cancelMark !== null ? [{ type: 'cancel_requested', request: cancelMark }] : []

/**
 * Like `applyAll`, for an order whose record is known; the memory of open orders keeps the result.
 */
export async function applyTo(
  context: AccountContext,
  { id, origin, userId, connectionId, symbol }: OrderKey & Pick<Order, 'symbol'>,
  updates: readonly OrderUpdate[],
): Promise<Taken> {
  const taken = await applyAll(context, { id, origin, userId, connectionId }, symbol, updates)
  if (taken.order !== null) context.openOrders.keep(taken.order, context.clock.monotonicMs())
  return taken
}

/** Runs the follow-ups that cannot wait for the next pass of the watchdog. */
export async function followUp(
  context: AccountContext,
  changes: readonly Change[],
  executed: Order | null,
): Promise<void> {
  if (!context.isOurs()) return // the next owner checks all records anyway
  for (const change of changes) {
    if (change.type === 'position.opened' || change.type === 'position.changed')
      await showStop(context, change.position, context.openOrders.orders)
    if (
      change.type === 'anomaly' &&
      change.what === 'appeared_after_close' &&
      !change.orderId.startsWith('ext.')
    )
      await context.followUps.resolve(context.ref, change.orderId)
    if (change.type !== 'position.closed' || change.position.stopLossFrom === executed?.id) continue
    // The broker itself cancels an exit that came with its entry (see watchdog.ts). A separate stop
    // order is ours to cancel, so its cancel is queued here.
    const stop = context.openOrders.find(change.position.stopLossFrom)
    if (stop?.orderClass === 'simple' && stop.origin === 'fillcast')
      await context.followUps.cancel(context.ref, stop.id, 'leftover')
  }
}

/**
 * If the position shows no stop, this sets the stop of an open order that protects it. The order
 * may be older than the position, or older than the end of the stop shown before.
 */
export async function showStop(
  context: AccountContext,
  position: Position,
  orders: readonly Order[],
): Promise<void> {
  const order = position.stopLossFrom === null ? stopAmong(orders, position) : null
  if (order !== null)
    await applyTo(context, order, [{ type: 'stop_stands', at: isoTime(context.clock.now()) }])
}

/**
 * The error concerns one record: the record is invalid, or our handling of it is wrong. Such an
 * error must not stop the session from following the connection's other orders.
 */
const isOfOneRecord = (error: unknown): boolean =>
  error instanceof RecordError || error instanceof InvariantError || error instanceof RangeError
