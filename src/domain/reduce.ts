import { add, cmp, isPositive, max, mul, sub, ZERO } from './decimal.ts'
import { cashAfter } from './account.ts'
import {
  type Execution,
  FINAL_STRENGTH,
  type FinalStatus,
  HELD_EXECUTIONS_MAX,
  isFinalStatus,
  isTerminal,
  type Order,
  type Signal,
  transitionOf,
} from './order.ts'
import { applyFill } from './position.ts'
import type { BrokerOrder, Change, OrderUpdate, Slice } from './updates.ts'

export type Reduced = Readonly<{ slice: Slice; changes: readonly Change[] }>

/** Where an update lands that names an order we have no record of. */
export type Landing = Readonly<{ id: string; origin: Order['origin']; userId: string; connectionId: string }>

/** A gap is a filled quantity that some source has shown and whose executions have not all been seen yet. */
export const hasGap = (order: Order): boolean => cmp(order.reportedQuantity, order.cumulativeQuantity) > 0

/**
 * Applies one update to the order it names and to what that order touches. Pure; repeats and any order of arrival are welcome,
 * and `order.submitted` always comes before the first execution.
 *
 * How order of arrival is made irrelevant: everything a view says is merged by a rule with no memory of order (the latest broker
 * time for working statuses, the strongest for endings, the largest for quantities), and executions are booked strictly from the
 * bottom up. One that arrives early is held until the ones under it are there.
 *
 * @param nowMs our wall time, kept for the settle window of reconciliation only
 */
export function reduce(slice: Slice, update: OrderUpdate, landing: Landing, nowMs: number): Reduced {
  const book = new Booking(slice, nowMs)
  switch (update.type) {
    case 'claimed':
      book.claim(update)
      break
    case 'denied':
    case 'refused':
      book.refuse(update)
      break
    case 'withdrawn':
      book.withdraw(update.at)
      break
    case 'outcome_unknown':
      book.patch((order) => (order.status === 'submitting' ? { unknownSince: order.unknownSince ?? update.at } : {}))
      break
    case 'cancel_requested':
      book.patch((order) => (isTerminal(order.status) || order.cancel !== null ? {} : { cancel: update.request }))
      break
    case 'broker_order':
      book.view(update.order, update.execution, landing)
      break
    case 'execution':
      book.execute(update.execution)
      break
  }
  return book.result()
}

/** One application of one update: a slice being rewritten and the changes so far. Lives for one call of `reduce`. */
class Booking {
  #order: Order | null
  #position: Slice['position']
  #account: Slice['account']
  readonly #changes: Change[] = []
  readonly #nowMs: number

  constructor(slice: Slice, nowMs: number) {
    this.#order = slice.order
    this.#position = slice.position
    this.#account = slice.account
    this.#nowMs = nowMs
  }

  result(): Reduced {
    return {
      slice: { order: this.#order, position: this.#position, account: this.#account },
      changes: this.#changes,
    }
  }

  claim({ intent, clientOrderId, parametersHash, at }: Extract<OrderUpdate, { type: 'claimed' }>): void {
    if (this.#order !== null) return
    const { userId, connectionId, symbol, side, orderType, timeInForce, orderClass } = intent
    const { quantity, notional, limitPrice, stopPrice, notAfter } = intent
    this.#order = {
      ...blank({ id: intent.tradeId, origin: 'fillcast', userId, connectionId }, clientOrderId),
      ...{ symbol, side, orderType, timeInForce, orderClass, quantity, notional, limitPrice, stopPrice, notAfter },
      parametersHash,
      claimedAt: at,
    }
  }

  /** Ours or the broker's refusal; only an order without any evidence of life can be refused. */
  refuse(update: Extract<OrderUpdate, { type: 'denied' | 'refused' }>): void {
    if (this.#order === null) return
    const { code, message, at } = update
    const isRepeat = isTerminal(this.#order.status)
    const brokerCode = update.type === 'refused' ? update.brokerCode : null
    if (!this.#move(update.type) || isRepeat) return
    this.patch(() => ({ rejection: { code, brokerCode, message, at }, unknownSince: null }))
    this.#end(at)
  }

  /** Canceled before it was sent. */
  withdraw(at: string): void {
    if (this.#order?.status === 'submitting' && this.#move('canceled')) this.#end(at)
  }

  view(seen: BrokerOrder, execution: Execution | null, landing: Landing): void {
    this.#order ??= { ...blank(landing, seen.clientOrderId), ...termsOf(seen) }
    this.#acknowledge(seen)
    const isEnd = isFinalStatus(seen.status)
    this.patch((order) => ({
      ...(isEnd ? { final: stronger(order.final, seen) } : { working: later(order.working, seen) }),
      quantity: order.quantity ?? (seen.status === 'filled' ? seen.filledQuantity : seen.quantity),
      reportedQuantity: max(order.reportedQuantity, seen.filledQuantity),
    }))
    if (seen.status === 'unrecognized') this.#anomaly('unrecognized_status')
    if (execution !== null) this.#hold(execution)
    this.#bookHeld()
    this.#settle()
  }

  execute(execution: Execution): void {
    if (this.#order === null || this.#order.status === 'submitting' || this.#order.status === 'denied') {
      this.#anomaly('unknown_order')
      return
    }
    this.#hold(execution)
    this.#bookHeld()
    this.#settle()
  }

  patch(change: (order: Order) => Partial<Order>): void {
    if (this.#order !== null) this.#order = { ...this.#order, ...change(this.#order) }
  }

  /** Any view of the order at the broker is proof that it was accepted. */
  #acknowledge(seen: BrokerOrder): void {
    const order = this.#order
    if (order === null) return
    const isFirst = order.status === 'submitting'
    this.patch(() => ({ brokerOrderId: order.brokerOrderId ?? seen.brokerOrderId }))
    if (!this.#move('acknowledged') || !isFirst) return
    this.patch(() => ({ submittedAt: seen.submittedAt, unknownSince: null }))
    this.#emit((current) => ({ type: 'order.submitted', order: current }))
  }

  #hold(execution: Execution): void {
    const order = this.#order
    if (order === null || cmp(execution.cumulativeQuantity, order.cumulativeQuantity) <= 0) return
    this.patch(() => ({ reportedQuantity: max(order.reportedQuantity, execution.cumulativeQuantity) }))
    if (order.held.some((held) => held.cumulativeQuantity === execution.cumulativeQuantity)) return
    if (order.held.length >= HELD_EXECUTIONS_MAX) {
      this.#anomaly('held_overflow')
      return
    }
    const held = [...order.held, execution].sort((a, b) => cmp(a.cumulativeQuantity, b.cumulativeQuantity))
    this.patch(() => ({ held }))
  }

  #bookHeld(): void {
    for (;;) {
      const [next, ...rest] = this.#order?.held ?? []
      if (this.#order === null || next === undefined) return
      const start = sub(next.cumulativeQuantity, next.quantity)
      if (cmp(start, this.#order.cumulativeQuantity) > 0) return
      this.patch(() => ({ held: rest }))
      const unbooked = sub(next.cumulativeQuantity, this.#order.cumulativeQuantity)
      if (isPositive(unbooked)) this.#book({ ...next, quantity: unbooked })
    }
  }

  #book(execution: Execution): void {
    const before = this.#order
    if (before === null) return
    const { quantity, price, at, cumulativeQuantity } = execution
    const isAfterEnd = isTerminal(before.status)
    this.patch((order) => ({
      cumulativeQuantity,
      totalCost: add(order.totalCost, mul(price, quantity)),
      lastExecutionAt: order.lastExecutionAt !== null && order.lastExecutionAt > at ? order.lastExecutionAt : at,
    }))
    const completed = isComplete({ ...before, cumulativeQuantity })
    this.#move(completed ? 'fillLast' : 'fill')
    if (before.quantity !== null && cmp(cumulativeQuantity, before.quantity) > 0) this.#anomaly('overfilled')
    this.#emit((order) =>
      isAfterEnd
        ? { type: 'order.corrected', order, execution }
        : { type: 'order.executed', order, execution, completed },
    )
    this.#bookPosition(before, execution)
    this.#bookCash(before, execution)
  }

  #bookPosition(order: Order, { quantity, price, at, cumulativeQuantity }: Execution): void {
    const { connectionId, symbol, side } = order
    const key = `${order.brokerOrderId ?? order.clientOrderId} ${cumulativeQuantity}`
    const after = applyFill(this.#position, { connectionId, symbol, side, quantity, price, at, key })
    this.#position = after.position
    for (const { type, position } of after.changes) this.#changes.push({ type: `position.${type}`, position, at })
  }

  #bookCash(order: Order, { quantity, price, at }: Execution): void {
    const account = this.#account
    if (account === null) return
    const cash = cashAfter(account.cash, order.side, quantity, price)
    this.#account = { ...account, cash, lastBookedAtMs: this.#nowMs, doubts: {} }
    this.#changes.push({
      type: 'cash.changed',
      account: this.#account,
      previousCash: account.cash,
      cause: 'execution',
      at,
    })
  }

  /** Ends the order once everything that its ending speaks of has been booked. */
  #settle(): void {
    const order = this.#order
    if (order?.final == null || cmp(order.cumulativeQuantity, order.final.filledQuantity) < 0) return
    const wasTerminal = isTerminal(order.status)
    const { status, at } = order.final
    if (!this.#move(status === 'filled' ? 'fillLast' : status)) return
    if (!wasTerminal) this.#end(at)
  }

  #end(at: string): void {
    this.#emit((order) => ({ type: 'order.ended', order, at }))
  }

  #move(signal: Signal): boolean {
    if (this.#order === null) return false
    const status = transitionOf(this.#order.status, signal)
    if (status === null) this.#anomaly('illegal_transition')
    else this.patch(() => ({ status }))
    return status !== null
  }

  #emit(change: (order: Order) => Change): void {
    if (this.#order !== null) this.#changes.push(change(this.#order))
  }

  #anomaly(what: Extract<Change, { type: 'anomaly' }>['what']): void {
    this.#changes.push({ type: 'anomaly', orderId: this.#order?.id ?? 'none', what })
  }
}

/** Nothing is left to execute: by quantity, or, for an order sized in money, by the broker's word. */
const isComplete = ({ quantity, final, cumulativeQuantity }: Order): boolean =>
  (quantity !== null && cmp(cumulativeQuantity, quantity) >= 0) ||
  (final?.status === 'filled' && cmp(cumulativeQuantity, final.filledQuantity) >= 0)

function stronger(current: Order['final'], seen: BrokerOrder): Order['final'] {
  const { filledQuantity } = seen
  const status = seen.status as FinalStatus
  if (current === null) return { status, filledQuantity, at: seen.updatedAt, reason: null }
  const isStronger = FINAL_STRENGTH[status] > FINAL_STRENGTH[current.status]
  const isEqual = status === current.status
  const at = isStronger || (isEqual && seen.updatedAt < current.at) ? seen.updatedAt : current.at
  const quantity = isStronger
    ? filledQuantity
    : isEqual
      ? max(current.filledQuantity, filledQuantity)
      : current.filledQuantity
  return { status: isStronger ? status : current.status, filledQuantity: quantity, at, reason: null }
}

function later(current: Order['working'], seen: BrokerOrder): Order['working'] {
  const next = { status: seen.status, at: seen.updatedAt }
  if (current === null || next.at > current.at) return next
  return next.at === current.at && next.status > current.status ? next : current
}

const termsOf = ({
  symbol,
  side,
  orderType,
  timeInForce,
  orderClass,
  notional,
  limitPrice,
  stopPrice,
}: BrokerOrder) => ({
  ...{ symbol, side, orderType, timeInForce, orderClass, notional, limitPrice, stopPrice },
})

const blank = (landing: Landing, clientOrderId: string): Order => ({
  schema: 1,
  ...landing,
  clientOrderId,
  brokerOrderId: null,
  ...{ symbol: '', side: 'buy', orderType: 'market', timeInForce: 'day', orderClass: 'simple' },
  ...{ quantity: null, notional: null, limitPrice: null, stopPrice: null, notAfter: null, parametersHash: null },
  status: 'submitting',
  ...{ unknownSince: null, working: null, final: null },
  ...{ cumulativeQuantity: ZERO, totalCost: ZERO, reportedQuantity: ZERO, held: [] },
  ...{ claimedAt: null, submittedAt: null, lastExecutionAt: null, cancel: null, rejection: null },
})
