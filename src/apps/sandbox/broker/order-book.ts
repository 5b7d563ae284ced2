import type { Randomness } from '../randomness.ts'
import type { Stamps } from '../stamps.ts'
import { type Account, addOrder, noteOpen, positionQty, settle } from './account.ts'
import { takeFee } from './crypto-fees.ts'
import { affordable, type Decimal, larger, smaller, zero } from './decimals.ts'
import { bookActivity } from './money-moves.ts'
import {
  type Admission,
  type Execution,
  isOpen,
  isStop,
  leavesQty,
  type Order,
  type OrderRequest,
  type OrderStatus,
} from './order.ts'
import { isAmendable, rebook } from './rebooking.ts'

/**
 * Writes orders, positions and executions, and publishes each write once. Makes no decisions: the
 * matcher decides time and price, the book keeps the accounts consistent. Every change of an order
 * goes through the book.
 */

/** The trade stream's name of a change. */
type UpdateEvent =
  | 'accepted'
  | 'new'
  | 'partial_fill'
  | 'fill'
  | 'canceled'
  | 'expired'
  | 'rejected'
  | 'replaced'
  | 'restated'
  | 'order_replace_rejected'
  | 'order_cancel_rejected'
  | 'trade_bust'
  | 'trade_correct'

/** One change of one order, with the order right after the change. */
export type OrderUpdate = Readonly<{
  event: UpdateEvent
  eventId: string
  executionId: string
  at: string
  account: Account
  order: Order
  /** Only on fills, busts and corrections. */
  execution?: Execution
}>

/** The corrected quantity and price of an execution. */
type Terms = Readonly<{ qty: Decimal; price: Decimal }>
/**
 * `keepsId`: the amendment is published under the id of the execution itself, without a previous
 * id. Default: an id of its own.
 */
export type AmendOptions = Readonly<{ keepsId?: boolean }>

const AMENDMENTS_PER_ACCOUNT_MAX = 100_000

/** The field for the time of an order's end, by final status. */
const FINAL_TIME = { canceled: 'canceledAt', expired: 'expiredAt', rejected: 'failedAt' } as const

function newOrder(
  id: string,
  at: string,
  request: OrderRequest,
  admission: Admission,
  expiresAt: string,
): Order {
  return {
    id,
    request,
    ...admission,
    expiresAt,
    createdAt: at,
    updatedAt: at,
    submittedAt: at,
    qty: request.qty,
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
    predecessor: null,
    successor: null,
    alreadyFilled: null,
    stopPrice: request.stopPrice,
    triggered: !isStop(request),
    hwm: null,
    parent: null,
    legs: null,
  }
}

/** The only writer of orders. Each change is published once, after it is complete. */
export class OrderBook {
  readonly #stamps: Stamps
  readonly #randomness: Randomness
  readonly #tell: (update: OrderUpdate) => void

  constructor(stamps: Stamps, randomness: Randomness, tell: (update: OrderUpdate) => void) {
    this.#stamps = stamps
    this.#randomness = randomness
    this.#tell = tell
  }

  open(
    account: Account,
    request: OrderRequest,
    admission: Admission,
    status: OrderStatus,
    expiresAt: string,
  ): Order {
    const order = newOrder(
      this.#randomness.uuid(),
      this.#stamps.next(),
      request,
      admission,
      expiresAt,
    )
    order.status = status
    addOrder(account, order)
    return order
  }

  acknowledge(account: Account, order: Order, status: 'accepted' | 'new'): void {
    this.#move(account, order, status)
    this.#announce(status, account, order)
  }

  /**
   * Moves an order to `held`, or leaves it there, until its turn in the group comes. Not published:
   * there is no effect yet.
   */
  keepHeld(account: Account, order: Order): void {
    if (order.status !== 'held') this.#move(account, order, 'held')
  }

  /** Changes the quantity of an order because another order of its group has filled the rest. */
  restate(account: Account, order: Order, qty: Decimal): void {
    order.qty = qty
    this.#move(account, order, order.status)
    this.#announce('restated', account, order)
  }

  requestCancel(account: Account, order: Order): void {
    order.cancelRequestedAt = this.#move(account, order, 'pending_cancel')
  }

  close(account: Account, order: Order, status: 'canceled' | 'expired' | 'rejected'): void {
    order[FINAL_TIME[status]] = this.#move(account, order, status)
    this.#announce(status, account, order)
  }

  /** Marks `successor` as the pending replacement of `order`; until the decision both are open. */
  requestReplace(account: Account, order: Order, successor: Order): void {
    Object.assign(order, { successor })
    Object.assign(successor, { predecessor: order, replaces: order.id })
    sizeByRemaining(successor, order)
    this.#move(account, order, 'pending_replace')
  }

  /** The replacement takes effect. */
  replace(account: Account, order: Order, successor: Order): void {
    Object.assign(order, { successor: null, replacedBy: successor.id })
    sizeByRemaining(successor, order)
    successor.predecessor = null
    order.replacedAt = this.#move(account, order, 'replaced')
    noteOpen(account, successor)
    this.#announce('replaced', account, order)
  }

  /** Rejects a replacement that came too late. The original order goes on, or has already ended. */
  refuseReplace(account: Account, order: Order, successor: Order): void {
    order.successor = null
    successor.predecessor = null
    if (isOpen(order))
      this.#move(account, order, order.filledQty.eq(0) ? 'new' : 'partially_filled')
    this.#announce('order_replace_rejected', account, order)
    this.close(account, successor, 'rejected')
  }

  /**
   * Refuses a cancel: the order returns to its status from before, or to `partially_filled` after a
   * fill. An order that has ended meanwhile stays as it is.
   */
  refuseCancel(account: Account, order: Order, before: OrderStatus): void {
    if (order.status !== 'pending_cancel') return
    order.cancelRequestedAt = null
    this.#move(account, order, order.filledQty.eq(0) ? before : 'partially_filled')
    this.#announce('order_cancel_rejected', account, order)
  }

  /**
   * @param wanted limited to the open quantity, unless the fill is an overfill
   * @throws {RangeError} no quantity is open
   */
  fill(account: Account, order: Order, wanted: Decimal, price: Decimal, isOverfill = false): void {
    order.qty ??= affordable(order.request.notional ?? zero, price)
    const qty = isOverfill ? wanted : smaller(wanted, leavesQty(order))
    if (qty.lte(0)) throw new RangeError('nothing is left to fill')
    const { asset, side } = order.request
    settle(account, asset, side, qty, price)
    const fee = takeFee(account, { asset, side, qty, price })
    order.filledQty = order.filledQty.plus(qty)
    order.filledCost = order.filledCost.plus(qty.times(price))
    const at = this.#move(account, order, statusAfterFill(order))
    if (leavesQty(order).eq(0)) order.filledAt = at
    const execution = this.#execution(account, order, qty, price, at)
    account.executions.push(execution)
    if (fee !== undefined) bookActivity(account, fee, this.#stamps, this.#randomness)
    this.#announce(execution.leavesQty.eq(0) ? 'fill' : 'partial_fill', account, order, execution)
  }

  /**
   * Undoes an execution as if it had never existed, or changes it as if it had always been so. A
   * closed order stays closed.
   * @param to the corrected terms; undefined busts the execution
   * @throws {RangeError} the execution is no longer valid, or there are too many amendments
   */
  amend(
    account: Account,
    order: Order,
    execution: Execution,
    to: Terms | undefined,
    options: AmendOptions = {},
  ): void {
    const { asset } = order.request
    const index = account.executions.indexOf(execution)
    if (index < 0) throw new RangeError('the execution was undone or changed already')
    if (!isAmendable(account, execution)) throw new RangeError('the symbol has changed since')
    if (account.amendments.length >= AMENDMENTS_PER_ACCOUNT_MAX)
      throw new RangeError('too many executions were amended')
    const { qty, price } = to ?? { qty: zero, price: execution.price }
    const change = qty.minus(execution.qty)
    order.filledQty = order.filledQty.plus(change)
    order.filledCost = order.filledCost
      .plus(qty.times(price))
      .minus(execution.qty.times(execution.price))
    const fees = rebook(
      account,
      asset,
      index,
      to === undefined ? undefined : { ...execution, qty, price },
    )
    for (const fee of fees) bookActivity(account, fee, this.#stamps, this.#randomness)
    const at = this.#move(account, order, statusAfterAmendment(order))
    const now = this.#execution(account, order, to === undefined ? execution.qty : qty, price, at)
    const id = options.keepsId === true ? execution.id : now.id
    const told: Execution = { ...now, id, executedAt: execution.executedAt, corrects: execution.id }
    if (to !== undefined) {
      const cumQty = execution.cumQty.plus(change)
      const leaves = larger(zero, execution.leavesQty.minus(change))
      account.executions[index] = {
        ...told,
        cumQty,
        leavesQty: leaves,
        orderStatus: execution.orderStatus,
      }
    }
    const event = to === undefined ? 'trade_bust' : 'trade_correct'
    account.amendments.push({ event, before: execution, told })
    this.#announce(event, account, order, told)
  }

  #execution(account: Account, order: Order, qty: Decimal, price: Decimal, at: string): Execution {
    const { asset, side } = order.request
    return {
      id: this.#randomness.uuid(),
      activityId: `${at.replace(/\D/g, '').slice(0, 17)}::${this.#randomness.uuid()}`,
      orderId: order.id,
      symbol: asset.symbol,
      side,
      qty,
      price,
      cumQty: order.filledQty,
      leavesQty: leavesQty(order),
      orderStatus: order.status,
      positionQty: positionQty(account, asset),
      at,
      executedAt: at,
    }
  }

  #move(account: Account, order: Order, status: OrderStatus): string {
    order.status = status
    order.updatedAt = this.#stamps.next()
    noteOpen(account, order)
    return order.updatedAt
  }

  #announce(event: UpdateEvent, account: Account, order: Order, execution?: Execution): void {
    const executionId = execution?.id ?? this.#randomness.uuid()
    const update = {
      event,
      eventId: this.#stamps.ulid(),
      executionId,
      at: order.updatedAt,
      account,
      order,
    }
    this.#tell(execution === undefined ? update : { ...update, execution })
  }
}

/**
 * The status after a fill. A late fill on a canceled order is booked, but does not reopen the
 * order; a requested cancel or replacement stays requested.
 */
function statusAfterFill(order: Order): OrderStatus {
  if (!isOpen(order)) return order.status
  if (leavesQty(order).eq(0)) return 'filled'
  return order.status === 'pending_cancel' || order.status === 'pending_replace'
    ? order.status
    : 'partially_filled'
}

/**
 * Subtracts earlier fills from the quantity of a replacement, if the replacement is sized by its
 * remaining quantity.
 */
function sizeByRemaining(successor: Order, order: Order): void {
  if (successor.alreadyFilled === null || successor.request.qty === null) return
  successor.alreadyFilled = order.filledQty
  successor.qty = successor.request.qty.minus(order.filledQty)
}

/** The status after an amendment: a working order continues with its new open quantity. */
function statusAfterAmendment(order: Order): OrderStatus {
  const { status, filledQty } = order
  if (status !== 'partially_filled') return status
  if (filledQty.eq(0)) return 'new'
  return leavesQty(order).eq(0) ? 'filled' : status
}
