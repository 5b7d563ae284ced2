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
 * The first reading of a connection: what the broker has becomes ours as it is. What orders have
 * executed so far is in the positions already, so it is noted in their records and never booked.
 *
 * Clients hear `state.resync` and nothing else, for what the account held before cannot be told as
 * events; a connection that is new says so behind it, unless its checks were the first to tell of
 * it. Stopping anywhere leaves no account record, so that it begins again from the first step. A
 * commit whose reply was lost is found in the account record, and tells nothing a second time.
 *
 * @param isNew `false`: the connection was known, its state was lost
 * @returns `false` when the account moved at every try
 */
export async function adoptConnection(context: AccountContext, isNew: boolean): Promise<boolean> {
  const { broker, clock, firstReading, ref } = context
  const since = firstReading.begin(isoTime(clock.now() - ADOPT_MS))
  for (let tries = 0; tries < STILL_TRIES_MAX; tries += 1) {
    const before = await firstReading.read(broker, since)
    const reading = await readSnapshot(context, isoTime(clock.now()))
    const orders = await firstReading.read(broker, since)
    const { executed, readTo } = await listExecuted(context, since, orders)
    if (filledTotals(before) !== filledTotals(orders)) continue // it moved while we looked: look again
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
 * At the first reading, orders of this long are noted as executed already; older ones are only
 * followed if they are open.
 */
const ADOPT_MS = 24 * 3_600_000
/** Readings of an account that moves while it is read, before giving up until the next try. */
const STILL_TRIES_MAX = 5
/** Order records in one commit. */
const ORDERS_PER_COMMIT = 500

/**
 * Later readings of executions begin a little before the last one listed here. Orders whose
 * executions they meet again must be noted, or they would be booked: those that are older than the
 * lists and have ended. Of a long day only the executions around its last change are listed: the
 * orders themselves show all others.
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

/** The position, with the stop that one of the orders keeps for it. */
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
 * All views of one record make it together; a record that is there already (a claim, an earlier
 * try) is carried on. Of a record in the archive, the request and the commands are carried on: what
 * has executed is told by the broker.
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
    // Its executions are in the positions that were read; nothing more of it can be said.
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

/**
 * The records of our orders from before their connection was removed, by trade: the archive has
 * them.
 */
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

/** @param isTold the checks have told the user already how the connection stands, and go on to */
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
