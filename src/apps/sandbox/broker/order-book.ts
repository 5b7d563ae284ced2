import type { Chance } from '../chance.ts'
import type { Stamps } from '../stamps.ts'
import { type Account, addOrder, positionQty, settle } from './account.ts'
import type { Admission } from './admission.ts'
import { affordable, type Decimal, smaller, zero } from './decimals.ts'
import { type Execution, isOpen, leavesQty, type Order, type OrderStatus, type Ticket } from './order.ts'

/**
 * Writes to orders, positions and executions, and tells of each write once. Decides nothing: the matcher says when and at what
 * price, this keeps the books straight. Every change of an order goes through here.
 */

/** What the trade stream calls a change. */
export type UpdateEvent = 'accepted' | 'new' | 'partial_fill' | 'fill' | 'canceled' | 'expired' | 'rejected'

/** One change of one order, as it stood right after. */
export type OrderUpdate = Readonly<{
  event: UpdateEvent
  eventId: string
  executionId: string
  at: string
  account: Account
  order: Order
  /** Only on fills. */
  execution?: Execution
}>

export interface OrderBook {
  open(account: Account, ticket: Ticket, admission: Admission, status: OrderStatus, expiresAt: string | null): Order
  acknowledge(account: Account, order: Order, status: 'accepted' | 'new'): void
  requestCancel(account: Account, order: Order): void
  close(account: Account, order: Order, status: 'canceled' | 'expired' | 'rejected'): void
  /** @param qty clipped to what is left, and to what keeps `filledQty` within `qty` */
  fill(account: Account, order: Order, qty: Decimal, price: Decimal): Execution
}

const FINAL_EVENT = { canceled: 'canceledAt', expired: 'expiredAt', rejected: 'failedAt' } as const

function newOrder(id: string, at: string, ticket: Ticket, admission: Admission, expiresAt: string | null): Order {
  return {
    id,
    ticket,
    ...admission,
    expiresAt,
    createdAt: at,
    updatedAt: at,
    submittedAt: at,
    qty: ticket.qty,
    status: 'pending_new',
    filledQty: zero,
    filledCost: zero,
    filledAt: null,
    expiredAt: null,
    cancelRequestedAt: null,
    canceledAt: null,
    failedAt: null,
    replacedAt: null,
    replacedBy: null,
    replaces: null,
    hwm: null,
    legs: null,
  }
}

export function createOrderBook(stamps: Stamps, chance: Chance, tell: (update: OrderUpdate) => void): OrderBook {
  const announce = (event: UpdateEvent, account: Account, order: Order, execution?: Execution): void =>
    tell({
      event,
      eventId: stamps.ulid(),
      executionId: execution?.id ?? chance.uuid(),
      at: order.updatedAt,
      account,
      order,
      ...(execution === undefined ? {} : { execution }),
    })
  const move = (account: Account, order: Order, status: OrderStatus): string => {
    order.status = status
    order.updatedAt = stamps.next()
    if (isOpen(order)) account.openOrders.add(order)
    else account.openOrders.delete(order)
    return order.updatedAt
  }
  return {
    open(account, ticket, admission, status, expiresAt) {
      const order = newOrder(chance.uuid(), stamps.next(), ticket, admission, expiresAt)
      order.status = status
      addOrder(account, order)
      return order
    },
    acknowledge(account, order, status) {
      move(account, order, status)
      announce(status, account, order)
    },
    requestCancel(account, order) {
      order.cancelRequestedAt = move(account, order, 'pending_cancel')
    },
    close(account, order, status) {
      order[FINAL_EVENT[status]] = move(account, order, status)
      announce(status, account, order)
    },
    fill(account, order, wanted, price) {
      const { asset, side, notional } = order.ticket
      order.qty ??= affordable(notional ?? zero, price)
      const qty = smaller(wanted, leavesQty(order))
      if (qty.lte(0)) throw new RangeError('nothing is left to fill')
      settle(account, asset, side, qty, price)
      order.filledQty = order.filledQty.plus(qty)
      order.filledCost = order.filledCost.plus(qty.times(price))
      const leaves = leavesQty(order)
      // A late fill on a canceled order is real money, but does not open the order again.
      const status: OrderStatus = !isOpen(order) ? order.status : leaves.eq(0) ? 'filled' : 'partially_filled'
      const keepsCancel = order.status === 'pending_cancel' && leaves.gt(0)
      const at = move(account, order, keepsCancel ? 'pending_cancel' : status)
      if (leaves.eq(0)) order.filledAt = at
      const id = chance.uuid()
      const execution: Execution = {
        id,
        activityId: `${at.replace(/\D/g, '').slice(0, 17)}::${chance.uuid()}`,
        orderId: order.id,
        symbol: asset.symbol,
        side,
        qty,
        price,
        cumQty: order.filledQty,
        leavesQty: leaves,
        orderStatus: order.status,
        positionQty: positionQty(account, asset),
        at,
      }
      account.executions.push(execution)
      announce(leaves.eq(0) ? 'fill' : 'partial_fill', account, order, execution)
      return execution
    },
  }
}
