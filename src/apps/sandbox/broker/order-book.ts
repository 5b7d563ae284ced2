import type { Chance } from '../chance.ts'
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
 * Writes to orders, positions and executions, and tells of each write once. Decides nothing: the
 * matcher says when and at what price, this keeps the books straight. Every change of an order goes
 * through here.
 */

/** What the trade stream calls a change. */
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

/** One change of one order, as it stood right after. */
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

/** What an execution is corrected to. */
type Terms = Readonly<{ qty: Decimal; price: Decimal }>
/**
 * `keepsId`: it is told under the id of the execution itself, without naming a previous one.
 * Default: an id of its own.
 */
export type AmendOptions = Readonly<{ keepsId?: boolean }>

const AMENDMENTS_PER_ACCOUNT_MAX = 100_000

/** Where an order notes the time of its end. */
const FINAL_TIME = { canceled: 'canceledAt', expired: 'expiredAt', rejected: 'failedAt' } as const

function newOrder(
  id: string,
  at: string,
  ticket: OrderRequest,
  admission: Admission,
  expiresAt: string,
): Order {
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
    predecessor: null,
    successor: null,
    alreadyFilled: null,
    stopPrice: ticket.stopPrice,
    triggered: !isStop(ticket),
    hwm: null,
    parent: null,
    legs: null,
  }
}

/** The only writer of orders. Each change is told once, after it is complete. */
export class OrderBook {
  readonly #stamps: Stamps
  readonly #chance: Chance
  readonly #tell: (update: OrderUpdate) => void

  constructor(stamps: Stamps, chance: Chance, tell: (update: OrderUpdate) => void) {
    this.#stamps = stamps
    this.#chance = chance
    this.#tell = tell
  }

  open(
    account: Account,
    ticket: OrderRequest,
    admission: Admission,
    status: OrderStatus,
    expiresAt: string,
  ): Order {
    const order = newOrder(this.#chance.uuid(), this.#stamps.next(), ticket, admission, expiresAt)
    order.status = status
    addOrder(account, order)
    return order
  }

  acknowledge(account: Account, order: Order, status: 'accepted' | 'new'): void {
    this.#move(account, order, status)
    this.#announce(status, account, order)
  }

  /**
   * Takes the order out of the market again, or keeps it out, until its turn comes. Not told:
   * nothing came of it yet.
   */
  keepHeld(account: Account, order: Order): void {
    if (order.status !== 'held') this.#move(account, order, 'held')
  }

  /** Changes how much an order asks for, because another order of its group has taken the rest. */
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

  /**
   * Notes that `successor` asks to take the place of `order`; until it is decided both are open.
   */
  requestReplace(account: Account, order: Order, successor: Order): void {
    Object.assign(order, { successor })
    Object.assign(successor, { predecessor: order, replaces: order.id })
    sizeByRemaining(successor, order)
    this.#move(account, order, 'pending_replace')
  }

  /** The replacement has its place. */
  replace(account: Account, order: Order, successor: Order): void {
    Object.assign(order, { successor: null, replacedBy: successor.id })
    sizeByRemaining(successor, order)
    successor.predecessor = null
    order.replacedAt = this.#move(account, order, 'replaced')
    noteOpen(account, successor)
    this.#announce('replaced', account, order)
  }

  /**
   * The replacement came too late: it is rejected, and the order goes on, or has ended, without it.
   */
  refuseReplace(account: Account, order: Order, successor: Order): void {
    order.successor = null
    successor.predecessor = null
    if (isOpen(order))
      this.#move(account, order, order.filledQty.eq(0) ? 'new' : 'partially_filled')
    this.#announce('order_replace_rejected', account, order)
    this.close(account, successor, 'rejected')
  }

  /**
   * The venue cannot cancel it any more: the order goes on as it was, unless it has ended
   * meanwhile.
   */
  refuseCancel(account: Account, order: Order, before: OrderStatus): void {
    if (order.status !== 'pending_cancel') return
    order.cancelRequestedAt = null
    this.#move(account, order, order.filledQty.eq(0) ? before : 'partially_filled')
    this.#announce('order_cancel_rejected', account, order)
  }

  /**
   * @param wanted clipped to what is left, unless it is an overfill
   * @throws {RangeError} nothing is left
   */
  fill(account: Account, order: Order, wanted: Decimal, price: Decimal, isOverfill = false): void {
    order.qty ??= affordable(order.ticket.notional ?? zero, price)
    const qty = isOverfill ? wanted : smaller(wanted, leavesQty(order))
    if (qty.lte(0)) throw new RangeError('nothing is left to fill')
    const { asset, side } = order.ticket
    settle(account, asset, side, qty, price)
    const fee = takeFee(account, { asset, side, qty, price })
    order.filledQty = order.filledQty.plus(qty)
    order.filledCost = order.filledCost.plus(qty.times(price))
    const at = this.#move(account, order, statusAfterFill(order))
    if (leavesQty(order).eq(0)) order.filledAt = at
    const execution = this.#execution(account, order, qty, price, at)
    account.executions.push(execution)
    if (fee !== undefined) bookActivity(account, fee, this.#stamps, this.#chance)
    this.#announce(execution.leavesQty.eq(0) ? 'fill' : 'partial_fill', account, order, execution)
  }

  /**
   * Undoes an execution as if it had never been, or changes it as if it had always been so. An
   * order that was over stays over.
   * @param to what it is corrected to; undefined busts it
   * @throws {RangeError} it does not stand, or too many were amended
   */
  amend(
    account: Account,
    order: Order,
    execution: Execution,
    to: Terms | undefined,
    options: AmendOptions = {},
  ): void {
    const { asset } = order.ticket
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
    for (const fee of fees) bookActivity(account, fee, this.#stamps, this.#chance)
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
    const { asset, side } = order.ticket
    return {
      id: this.#chance.uuid(),
      activityId: `${at.replace(/\D/g, '').slice(0, 17)}::${this.#chance.uuid()}`,
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
    const executionId = execution?.id ?? this.#chance.uuid()
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
 * A late fill on a canceled order is real money, but does not open the order again; what was
 * requested stays requested.
 */
function statusAfterFill(order: Order): OrderStatus {
  if (!isOpen(order)) return order.status
  if (leavesQty(order).eq(0)) return 'filled'
  return order.status === 'pending_cancel' || order.status === 'pending_replace'
    ? order.status
    : 'partially_filled'
}

/**
 * What the request of a replacement leaves after everything that was filled before it, if it is
 * sized so.
 */
function sizeByRemaining(successor: Order, order: Order): void {
  if (successor.alreadyFilled === null || successor.ticket.qty === null) return
  successor.alreadyFilled = order.filledQty
  successor.qty = successor.ticket.qty.minus(order.filledQty)
}

/** What is working goes on with what is left now. */
function statusAfterAmendment(order: Order): OrderStatus {
  const { status, filledQty } = order
  if (status !== 'partially_filled') return status
  if (filledQty.eq(0)) return 'new'
  return leavesQty(order).eq(0) ? 'filled' : status
}
