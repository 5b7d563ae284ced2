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

/** What everything that works on one connection under one lease shares. */
export type AccountContext = Readonly<{
  ref: ConnectionRef
  broker: Broker
  /** The lease: every write of the session carries it. */
  fence: Fence
  /** Whether the lease is ours for some time still, by our own steady clock (CRA-07). */
  isOurs(): boolean
  writer: StateWriter
  orderKeys: OrderKeys
  openOrders: OpenOrders
  firstReading: FirstReading
  totalMismatches: TotalMismatches
  /**
   * Readings of the executions list for gaps: a stream that drops everything must not spend on them
   * what polling needs.
   */
  executionLists: RateWindow
  followUps: FollowUps
  overExit: OverExitPolicy
  /** Orders that were set aside, for operators. */
  quarantine: Pick<QuarantinedOrders, 'note'>
  boundaries: Boundaries
  accountMetrics: AccountMetrics
  clock: Clock
  log: Logger
  /**
   * Asks the broker what may take its time. Where the work is not urgent, the stream's updates are
   * applied meanwhile, and what was read before may have changed by then; a recovery keeps them
   * waiting (CON-03).
   */
  asking<T>(ask: () => Promise<T>): Promise<T>
}>

/**
 * What follows when the exits of an order executed more than its entry: an alarm, or one trade that
 * closes the excess as well.
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

/** One thing that a source told of an order. */
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
 * Takes what was told into the record it belongs to.
 * @returns what changed by it; `null` when the record cannot be worked on: it was logged, and the
 *   others go on
 * @throws {FencedError} the lease was lost
 * @throws {BrokerError} where the order belongs could not be found out
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
 * What cannot begin a record is applied to the one that is there. Where there is none any more, the
 * store lost it (RDQ-04): it begins with the trade's first order, read at the broker.
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

/** The symbol of the record, where a view tells none that can be read. */
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
 * The account has no record: it was never read, or the store lost it. What an order did to it
 * cannot be booked; read it first.
 */
export class UnreadError extends FillcastError<'UNREAD'> {
  constructor(connectionId: string) {
    super('UNREAD', `the store has no record of the account of ${connectionId}`)
  }
}

export type Taken = Readonly<{ order: Order | null; changes: readonly Change[] }>
/**
 * `isForgotten`: the order had ended and was booked, so long ago that its record is gone; nothing
 * was applied
 */
type Outcome = Taken & Readonly<{ isForgotten: boolean }>

/** Applies to one record, and does what the outcome makes necessary. */
const applyAll = (
  context: AccountContext,
  orderKey: OrderKey,
  symbol: string,
  updates: readonly OrderUpdate[],
): Promise<Taken> => applyIf(context, orderKey, symbol, updates, () => true)

/**
 * As `applyAll`, if what is there is fit for it. What has ended, was booked and is forgotten is
 * never booked again.
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
 * An archive lasts longer than this after the end of its order, whatever the broker's clock says.
 */
const RECORDED_MS_MIN = ARCHIVE_TTL_MS - 86_400_000

/**
 * Lists are read again from before the last execution; in an account that rests, that may be older
 * than any archive.
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
 * A cancel that found no trade waits for its claim; of a trade whose claim was lost with the store
 * (RDQ-04) there is none any more.
 */
const waitingCancel = ({ slice: { order }, cancelMark }: LoadedSlice): OrderUpdate[] =>
  order === null && cancelMark !== null ? [{ type: 'cancel_requested', request: cancelMark }] : []

/** As `applyAll`, where the record is known already; the book keeps it as it is then. */
export async function applyTo(
  context: AccountContext,
  { id, origin, userId, connectionId, symbol }: OrderKey & Pick<Order, 'symbol'>,
  updates: readonly OrderUpdate[],
): Promise<Taken> {
  const taken = await applyAll(context, { id, origin, userId, connectionId }, symbol, updates)
  if (taken.order !== null) context.openOrders.keep(taken.order, context.clock.monotonicMs())
  return taken
}

/** What must not wait for a later look at the record. */
export async function followUp(
  context: AccountContext,
  changes: readonly Change[],
  executed: Order | null,
): Promise<void> {
  if (!context.isOurs()) return // the next owner looks at all records anyway
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
    // An exit that came with its entry is the broker's to take away first (see order-watchdog.ts);
    // a stop of its own is nobody's.
    const stop = context.openOrders.find(change.position.stopLossFrom)
    if (stop?.orderClass === 'simple' && stop.origin === 'fillcast')
      await context.followUps.cancel(context.ref, stop.id, 'leftover')
  }
}

/**
 * A position without a stop shows the one of an order that is older than it is, or than the end of
 * the stop that it showed.
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
 * The record's fault, or ours about it: it must not keep the connection's other orders from being
 * followed.
 */
const isOfOneRecord = (error: unknown): boolean =>
  error instanceof RecordError || error instanceof InvariantError || error instanceof RangeError
