import type { Alpaca } from '@alpacahq/alpaca-trade-api'
import type { BrokerOrder } from '#domain'
import {
  type CancelOutcome,
  type OrderFilter,
  type OrderPage,
  ORDERS_PER_PAGE,
  type OrderTicket,
  type ReplaceOutcome,
  type ReplaceTicket,
  type SubmitOutcome,
} from '../port.ts'
import { cancelOutcomeOf, failureOf, replaceOutcomeOf, submitOutcomeOf } from './failures.ts'
import { readOrderRow } from './order-rows.ts'
import {
  allPages,
  justBefore,
  known,
  type OnUnread,
  read,
  readIfThere,
  wire,
  wireRows,
} from './read.ts'
import { orderRequestOf, replaceRequestOf } from './request.ts'

type Orders = Alpaca['trading']['orders']

/** The order was probably accepted; the look-up will find it. */
const UNREADABLE = { kind: 'unknown', cause: 'the answer is not an order' } as const

/**
 * Reads an order, and reports the unreadable fields.
 * @throws {ZodError} the row is not an order
 */
function readNoting(wire: unknown, onUnread: OnUnread): BrokerOrder {
  const order = readOrderRow(wire)
  noteUnread(order, onUnread)
  return order
}

export function noteUnread(
  { brokerOrderId, unread = [], legs }: BrokerOrder,
  onUnread: OnUnread,
): void {
  for (const field of unread) onUnread('orders', brokerOrderId, field)
  for (const leg of legs) noteUnread(leg, onUnread)
}

export async function submit(
  orders: Orders,
  { intent, clientOrderId, isClose }: OrderTicket,
  onUnread: OnUnread,
): Promise<SubmitOutcome> {
  let answer: unknown
  try {
    answer = await wire(
      orders.postOrderRaw({ postOrderRequest: orderRequestOf(intent, clientOrderId, isClose) }),
    )
  } catch (error) {
    return submitOutcomeOf(failureOf(error))
  }
  return accepted(answer, clientOrderId, onUnread)
}

export async function replace(
  orders: Orders,
  ticket: ReplaceTicket,
  onUnread: OnUnread,
): Promise<ReplaceOutcome> {
  let answer: unknown
  try {
    const patchOrderRequest = replaceRequestOf(ticket)
    answer = await wire(
      orders.patchOrderByOrderIdRaw({ orderId: ticket.brokerOrderId, patchOrderRequest }),
    )
  } catch (error) {
    return replaceOutcomeOf(failureOf(error))
  }
  return accepted(answer, ticket.clientOrderId, onUnread)
}

/**
 * An answer without a client order id counts as the answer to this request; an answer with another
 * id does not.
 */
function accepted(
  answer: unknown,
  clientOrderId: string,
  onUnread: OnUnread,
): Readonly<{ kind: 'accepted'; order: BrokerOrder }> | typeof UNREADABLE {
  try {
    const order = readNoting(answer, onUnread)
    const isOurs = order.clientOrderId === clientOrderId || order.clientOrderId === ''
    return isOurs ? { kind: 'accepted', order: { ...order, clientOrderId } } : UNREADABLE
  } catch {
    return UNREADABLE
  }
}

export async function cancel(orders: Orders, orderId: string): Promise<CancelOutcome> {
  try {
    await orders.deleteOrderByOrderID({ orderId })
    return { kind: 'requested' }
  } catch (error) {
    return cancelOutcomeOf(failureOf(error))
  }
}

/**
 * The look-up by client order id cannot request exits. If exits are expected but missing, the order
 * is read by its id.
 */
export async function findByClientOrderId(
  orders: Orders,
  clientOrderId: string,
  permit: () => Promise<void>,
  onUnread: OnUnread,
): Promise<BrokerOrder | null> {
  const found = await readIfThere(async () => {
    const order = readNoting(
      await wire(orders.getOrderByClientOrderIdRaw({ clientOrderId })),
      onUnread,
    )
    return order.clientOrderId === '' ? { ...order, clientOrderId } : order
  })
  if (found === null || found.orderClass === 'simple' || found.legs.length > 0) return found
  await permit()
  return await findByBrokerOrderId(orders, found.brokerOrderId, onUnread)
}

export const findByBrokerOrderId = (
  orders: Orders,
  orderId: string,
  onUnread: OnUnread,
): Promise<BrokerOrder | null> =>
  readIfThere(async () =>
    readNoting(await wire(orders.getOrderByOrderIDRaw({ orderId, nested: true })), onUnread),
  )

/** Lists newest first: the parent of an exit is usually close to it. */
export async function findParent(
  orders: Orders,
  exit: BrokerOrder,
  permit: () => Promise<void>,
  onUnread: OnUnread,
): Promise<BrokerOrder | null> {
  const names = new Set([exit.brokerOrderId, exit.replaces])
  const rows = await allPages(
    ORDERS_PER_PAGE,
    (beforeOrderId) =>
      wireRows(
        orders.getAllOrdersRaw({
          status: 'all',
          symbols: exit.symbol,
          nested: true,
          direction: 'desc',
          limit: ORDERS_PER_PAGE,
          ...(beforeOrderId === undefined ? {} : { beforeOrderId }),
        }),
      ),
    permit,
  )
  const parents = known(
    rows,
    (row) => readNoting(row, onUnread),
    (id) => onUnread('orders', id),
  )
  return parents.find(({ legs }) => legs.some((leg) => names.has(leg.brokerOrderId))) ?? null
}

/**
 * Pages by order id: paging by time would lose orders with equal submission times at the edge of a
 * page.
 */
const pageOf = (orders: Orders, filter: OrderFilter, afterOrderId: string | undefined) =>
  wireRows(
    orders.getAllOrdersRaw({
      status: filter.status,
      direction: 'asc',
      limit: ORDERS_PER_PAGE,
      ...(afterOrderId !== undefined ? { afterOrderId } : {}),
      ...(afterOrderId === undefined && filter.status !== 'open'
        ? { after: justBefore(filter.since).toISOString() }
        : {}),
    }),
  )

const readRows = (rows: Awaited<ReturnType<typeof pageOf>>, onUnread: OnUnread): BrokerOrder[] =>
  known(
    rows,
    (row) => readNoting(row, onUnread),
    (id) => onUnread('orders', id),
  )

export async function listOrders(
  orders: Orders,
  filter: OrderFilter,
  permit: () => Promise<void>,
  onUnread: OnUnread,
): Promise<readonly BrokerOrder[]> {
  const rows = await allPages(ORDERS_PER_PAGE, (afterId) => pageOf(orders, filter, afterId), permit)
  return [
    ...new Map(readRows([...rows], onUnread).map((order) => [order.brokerOrderId, order])).values(),
  ]
}

export async function listOrderPage(
  orders: Orders,
  since: string,
  afterId: string | null,
  onUnread: OnUnread,
): Promise<OrderPage> {
  const rows = await read(() => pageOf(orders, { status: 'all', since }, afterId ?? undefined))
  return { orders: readRows(rows, onUnread), rows: rows.length, lastId: rows.at(-1)?.id ?? null }
}
