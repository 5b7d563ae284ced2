import type { LoggedEvent } from '#contract'
import {
  adopt,
  adoptOrder,
  type BrokerOrder,
  canBegin,
  type Order,
  type OrderKey,
  type Position,
  protectedBy,
  stopAmong,
  withPast,
} from '#domain'
import { isoTime } from '#runtime'
import { ORDERS_PER_PAGE } from '../../broker/index.ts'
import { refsOf } from '../../state/index.ts'
import type { AccountContext } from '../context.ts'
import { commitWith, overlapping, portfolioWrites, readSnapshot } from './portfolio.ts'

/**
 * The first reading of a connection: the broker's state becomes our state. The positions already
 * contain the executions of the orders so far, so those executions are noted in the records and
 * never booked.
 *
 * Clients are sent only `state.resync`, because events cannot describe the account's past. A new
 * connection is also sent `broker.connected`, unless the health checks have reported the connection
 * before. If the adoption stops early, no account record exists, so it starts again from the first
 * step. If the reply of the commit was lost, the next try finds the account record and sends no
 * second event.
 *
 * @param isNew `false`: the connection was known, and the store lost its state
 * @returns `false` if the account changed during every try
 */
export async function adoptConnection(context: AccountContext, isNew: boolean): Promise<boolean> {
  const { broker, clock, firstReading, ref } = context
  const since = firstReading.begin(isoTime(clock.now() - ADOPT_MS))
  for (let tries = 0; tries < STILL_TRIES_MAX; tries += 1) {
    const before = await firstReading.read(broker, since)
    const reading = await readSnapshot(context, isoTime(clock.now()))
    const orders = await firstReading.read(broker, since)
    const { executed, readTo } = await listExecuted(context, since, orders)
    // The account changed during the reading: read again.
    if (filledTotals(before) !== filledTotals(orders)) continue
    await writeOrders(context, [...orders, ...executed])
    const { account, positions: held } = adopt(ref.connectionId, reading)
    await commitWith(context, ({ account: committed, positions, orders: recorded, health }) => {
      if (firstReading.hasCommitted(committed)) return null
      firstReading.committing(reading.at)
      return {
        writes: portfolioWrites(positions, {
          account: { ...account, executionsReadTo: readTo },
          positions: new Map(
            [...held].map(([symbol, position]) => [symbol, guarded(position, recorded)]),
          ),
        }),
        events: eventsOf(context, isNew, health !== null && health.since !== '', reading.at),
      }
    })
    context.openOrders.startAt(readTo)
    firstReading.end()
    return true
  }
  return false
}

/**
 * The first reading notes the executions of all orders of this period; an older order only gets a
 * record if it is open.
 */
const ADOPT_MS = 24 * 3_600_000
/** Tries before giving up, if the account changes during each reading. */
const STILL_TRIES_MAX = 5
/** The most order records in one commit. */
const ORDERS_PER_COMMIT = 500

/**
 * Later readings of executions begin a little before the last execution listed here, so they list
 * some executions again. Ended orders that are older than the lists must be noted for that reason,
 * or those executions would be booked. If the day has many orders, only the executions around its
 * last change are listed: the orders themselves show all earlier fills.
 */
async function listExecuted(
  context: AccountContext,
  since: string,
  orders: readonly BrokerOrder[],
) {
  const isLong = orders.length > ORDERS_PER_PAGE
  const latest = orders.reduce(
    (newest, { updatedAt }) => (updatedAt > newest ? updatedAt : newest),
    since,
  )
  const listed = await context.broker.listExecutions(
    isLong ? overlapping(overlapping(latest)) : since,
  )
  const rows = listed.flatMap((row) =>
    'execution' in row ? [{ brokerOrderId: row.brokerOrderId, at: row.execution.at }] : [],
  )
  const readTo = rows.reduce(
    (newest, { at }) => (at > newest ? at : newest),
    isLong ? latest : since,
  )
  const known = new Set(orders.map(({ brokerOrderId }) => brokerOrderId))
  const from = overlapping(overlapping(readTo))
  const ids = new Set(
    rows
      .filter(({ at, brokerOrderId }) => at >= from && !known.has(brokerOrderId))
      .map((row) => row.brokerOrderId),
  )
  const executed: BrokerOrder[] = []
  for (const id of ids) {
    const order = await context.broker.findByBrokerOrderId(id)
    if (order !== null) executed.push(order)
  }
  return { executed, readTo }
}

/** The position, with the stop of an order that protects it. */
function guarded(position: Position, orders: readonly Order[]): Position {
  const order = stopAmong(orders, position)
  return order === null ? position : protectedBy(order, position)
}

const filledTotals = (orders: readonly BrokerOrder[]): string =>
  orders
    .map(({ brokerOrderId, filledQuantity }) => `${brokerOrderId} ${filledQuantity}`)
    .sort()
    .join('\n')

/**
 * All snapshots of one record form the record together. An existing record (a claim, an earlier
 * try) is continued. From an archived record the request and the commands are continued; the
 * executions come from the broker.
 */
async function writeOrders(context: AccountContext, orders: readonly BrokerOrder[]): Promise<void> {
  const groups = new Map<string, { orderKey: OrderKey; snapshots: BrokerOrder[] }>()
  for (const report of orders) {
    const { orderKey, before, order } = await context.orderKeys.of(report)
    const group = groups.get(orderKey.id) ?? { orderKey, snapshots: [] }
    group.snapshots.push(...before, order)
    groups.set(orderKey.id, group)
  }
  for (const group of groups.values()) {
    const { orderKey, snapshots } = group
    const isOurs = orderKey.origin === 'fillcast'
    const begins = snapshots.find((seen) => canBegin(seen, orderKey))
    const first = begins ?? (isOurs ? await context.orderKeys.firstOf(orderKey) : null)
    if (first !== null) group.snapshots = [first, ...snapshots.filter((seen) => seen !== first)]
    // Without its first order, an order placed elsewhere gets no record. The positions read here
    // already contain its executions.
    else if (!isOurs) groups.delete(orderKey.id)
  }
  const all = [...groups.values()]
  for (let from = 0; from < all.length; from += ORDERS_PER_COMMIT) {
    const part = all.slice(from, from + ORDERS_PER_COMMIT)
    await commitWith(context, async (known) => {
      const kept = new Map(known.orders.map((order) => [order.id, order]))
      const past = await pastOf(
        context,
        part.flatMap(({ orderKey }) => (kept.has(orderKey.id) ? [] : [orderKey])),
      )
      const records = part.map(({ orderKey, snapshots }) => {
        const order = adoptOrder(snapshots, orderKey, kept.get(orderKey.id) ?? null)
        const before = past.get(orderKey.id)
        return before === undefined ? order : withPast(order, before, isoTime(context.clock.now()))
      })
      return {
        writes: records.flatMap((order) => [
          { kind: 'order', order } as const,
          ...refsOf(null, order),
        ]),
        events: [],
      }
    })
    for (const { snapshots } of part)
      for (const seen of snapshots) context.openOrders.note(seen, null, context.clock.monotonicMs())
  }
}

/** The archived records of our orders from before the connection was removed, by trade. */
async function pastOf(
  { writer: { store } }: AccountContext,
  orderKeys: readonly OrderKey[],
): Promise<ReadonlyMap<string, Order>> {
  const ours = orderKeys.filter(({ origin }) => origin === 'fillcast')
  const loaded = await Promise.all(
    ours.map(({ id: orderId, userId, connectionId }) =>
      store.loadSlice(userId, { orderId, connectionId, symbol: '' }),
    ),
  )
  return new Map(
    loaded.flatMap(({ slice: { order } }) => (order === null ? [] : [[order.id, order] as const])),
  )
}

/** @param isTold the health checks have reported the connection to the user, and go on reporting */
function eventsOf(
  { ref }: AccountContext,
  isNew: boolean,
  isTold: boolean,
  timestamp: string,
): LoggedEvent[] {
  const reason = isNew
    ? 'The broker account was read for the first time'
    : 'The state was lost and was read anew'
  const resync: LoggedEvent = { event: 'state.resync', payload: { reason, timestamp } }
  const about = { brokerType: 'alpaca', brokerConnectionId: ref.connectionId, timestamp } as const
  return isNew && !isTold ? [resync, { event: 'broker.connected', payload: about }] : [resync]
}
