import { isQuotedInUsd } from './asset.ts'
import { cmp, type Decimal } from './decimal.ts'
import { conformedTerms, newDifferences } from './differences.ts'
import { FillEffects } from './fill-effects.ts'
import { hasRightSize, isComplete, statusOf, totalsOf } from './order-status.ts'
import {
  type Bust,
  BUSTS_MAX,
  counts,
  type Difference,
  type Execution,
  headOf,
  type Order,
  type Placement,
  PLACEMENTS_MAX,
} from './order.ts'
import {
  endingOf,
  holding,
  isDone,
  moved,
  newPlacement,
  nextExecution,
  viewed,
} from './placement.ts'
import { predecessorOf, replaceEnded, replaceTookPlace } from './requests.ts'
import {
  blankOrder,
  exitOf,
  finalAt,
  isAtWork,
  placeOf,
  saysWhat,
  sizeMadeElsewhere,
  sizeThatStands,
  termsOf,
  withAgreed,
} from './terms.ts'
import {
  amendmentTo,
  closedAt,
  isInTotal,
  isUnpriced,
  missingExecution,
  takesBooked,
  withBust,
  withExecution,
} from './totals.ts'
import { isTerminal, type Signal } from './transitions.ts'
import type {
  Anomaly,
  BrokerOrder,
  Change,
  OrderKey,
  OrderUpdate,
  Reduced,
  Slice,
} from './updates.ts'

/**
 * One application of one update to an order and its placements. The effects of its executions on
 * position and cash are in fill-effects.ts. An instance lives for one call of `reduce`.
 */
export class Booking {
  readonly #before: Order | null
  #order: Order | null
  readonly #changes: Change[] = []
  readonly #holdings: FillEffects

  constructor(slice: Slice) {
    this.#before = slice.order
    this.#order = slice.order
    this.#holdings = new FillEffects(slice, this.#changes)
  }

  result(): Reduced {
    return { slice: { order: this.#order, ...this.#holdings.result() }, changes: this.#changes }
  }

  claim({
    intent,
    clientOrderId,
    parametersHash,
    closes,
    closeCommandId = null,
    askedAt,
    at,
  }: Extract<OrderUpdate, { type: 'claimed' }>): void {
    if (this.#order !== null) return
    const { tradeId: id, ...terms } = intent
    const entry = newPlacement({ leg: 'entry', replacement: 0, clientOrderId }, intent)
    const { userId, connectionId } = intent
    const blank = blankOrder({ id, origin: 'fillcast', userId, connectionId })
    const mark = {
      ...(closes === true ? { closes } : {}),
      ...(closeCommandId === null ? {} : { closeCommandId }),
      ...(askedAt === undefined ? {} : { askedAt }),
    }
    this.#order = {
      ...blank,
      ...terms,
      ...mark,
      parametersHash,
      claimedAt: at,
      attemptedAt: at,
      placements: [entry],
    }
  }

  /**
   * A refusal of our own checks or of the broker. Only an order without any evidence of life at the
   * broker can be refused.
   */
  refuse(update: Extract<OrderUpdate, { type: 'denied' | 'refused' }>): void {
    const { code, message, at } = update
    if (this.#order === null || this.#order.endedAt !== null) return
    const brokerCode = update.type === 'refused' ? update.brokerCode : null
    if (!this.#moveUnsent(update.type)) return
    const status = update.type === 'denied' ? 'denied' : 'rejected'
    this.patch(() => ({ status, rejection: { code, brokerCode, message, at }, unknownSince: null }))
    this.#end(at)
  }

  /** The order was canceled before it was sent. */
  withdraw(at: string): void {
    if (this.#order?.status !== 'submitting' || !this.#moveUnsent('denied')) return
    this.patch(() => ({ status: 'canceled' }))
    this.#end(at)
  }

  #moveUnsent(signal: Signal): boolean {
    const [entry] = this.#order?.placements ?? []
    const next =
      this.#order?.status === 'submitting' && entry !== undefined ? moved(entry, signal) : null
    if (next === null) this.#anomaly('illegal_transition')
    else this.#put(0, next)
    return next !== null
  }

  keepSize(at: string): void {
    this.#resize(sizeThatStands, at)
    this.#restand(at)
  }

  #resize(sizeOf: (order: Order) => Decimal | null, at: string): void {
    if (this.#order === null || this.#order.endedAt !== null) return
    const quantity = sizeOf(this.#order)
    if (quantity === null || quantity === this.#order.quantity) return
    this.patch(() => ({ quantity }))
    this.#tellReplaced('entry', at)
  }

  #tellReplaced(leg: Placement['leg'], at: string): void {
    this.#emit((order) => {
      const agreed = { ...order, placements: order.placements.filter((one) => one.agreed) }
      return {
        type: 'order.replaced',
        order,
        leg,
        brokerOrderId: headOf(agreed, leg)?.brokerOrderId ?? '',
        at,
      }
    })
  }

  endReplace(ended: Extract<OrderUpdate, { type: 'replace_ended' }>): void {
    this.patch((order) => replaceEnded(order, ended))
    this.#restand(ended.at)
  }

  view(update: Extract<OrderUpdate, { type: 'broker_order' }>, orderKey: OrderKey): void {
    const { order: seen, execution, isAnswer = false } = update
    const differences = this.#order === null ? [] : newDifferences(this.#order, seen)
    if (!isAnswer && differences.some(({ kind }) => kind === 'unexplained'))
      return this.#anomaly('foreign_order')
    if (differences.length > 0) this.#conform(seen, differences)
    if (this.#order === null && !saysWhat(seen)) return this.#anomaly('unreadable_order')
    this.#order ??= { ...blankOrder(orderKey), ...termsOf(seen) }
    this.#see(this.#locate(seen, null), seen, execution)
    if (this.#order.origin === 'fillcast') {
      // An exit is a placement of this order. An order placed elsewhere has a record of its own for
      // each of its exits instead.
      for (const exit of seen.legs) this.#see(this.#locate(exit, exitOf(exit)), exit, null)
    }
    if (seen.status === 'unrecognized') this.#anomaly('unrecognized_status')
    this.#agree(seen.updatedAt)
    this.#restand(seen.updatedAt)
    this.#protect(seen.updatedAt)
  }

  /** The order is at the broker with other terms. From now on these are the order's terms. */
  #conform(seen: BrokerOrder, differences: readonly Difference[]): void {
    this.patch((order) => {
      const terms = conformedTerms(order, seen, differences)
      const { quantity = null } = terms
      const placements = order.placements.map((one) =>
        quantity === null ? one : { ...one, quantity },
      )
      return { ...terms, placements, differences }
    })
    this.#anomaly('differs_from_request')
  }

  execute(brokerOrderId: string, execution: Execution): void {
    const index = this.#indexOf(brokerOrderId)
    if (index < 0) return this.#anomaly('unknown_order')
    this.#hold(index, execution)
    this.#bookHeld(index)
    this.#conclude(index, execution.at)
  }

  patch(change: (order: Order) => Partial<Order>): void {
    if (this.#order !== null) this.#order = { ...this.#order, ...change(this.#order) }
  }

  /**
   * Index of the placement that a snapshot shows. An unknown placement is appended. -1: the order
   * has too many placements.
   */
  #locate(seen: BrokerOrder, exit: Placement['leg'] | null): number {
    const order = this.#order
    if (order === null) return -1
    const { placements } = order
    const isThis = (one: Placement): boolean =>
      one.brokerOrderId === seen.brokerOrderId ||
      (one.brokerOrderId === null && one.clientOrderId === seen.clientOrderId)
    const known = placements.findIndex(isThis)
    if (known >= 0) return known
    if (placements.length >= PLACEMENTS_MAX) {
      this.#anomaly('too_many_placements')
      return -1
    }
    const at = { ...placeOf(order, seen, exit), clientOrderId: seen.clientOrderId }
    this.patch(() => ({ placements: [...placements, newPlacement(at, seen)] }))
    return placements.length
  }

  #see(index: number, seen: BrokerOrder, execution: Execution | null): void {
    const before = this.#order?.placements[index]
    if (before === undefined) return
    const isFirst = before.status === 'submitting' || before.status === 'denied'
    const after = viewed(before, seen)
    this.#put(index, after)
    // The quantity of an order sized in money comes from the broker.
    if (before.leg === 'entry')
      this.patch(({ quantity }) => (quantity === null ? { quantity: after.quantity } : {}))
    this.#move(index, 'acknowledged')
    if (before.status === 'denied') this.#anomaly('appeared_after_close')
    if (isFirst && this.#order?.submittedAt === null) this.#submitted(seen.submittedAt)
    this.#agree(seen.updatedAt)
    if (execution !== null) this.#hold(index, execution)
    this.#bookHeld(index)
    this.#settle(index)
  }

  /** The first snapshot of any placement proves that the order was accepted. */
  #submitted(at: string): void {
    this.patch(() => ({ submittedAt: at, unknownSince: null }))
    if (this.#order?.endedAt !== null) return
    this.patch(() => ({ status: 'submitted' }))
    this.#emit((order) => ({ type: 'order.submitted', order }))
  }

  #hold(index: number, execution: Execution): void {
    const placement = this.#order?.placements[index]
    if (placement === undefined || isInTotal(placement, execution)) return
    const next = holding(placement, execution)
    if (next === null) this.#anomaly('held_overflow')
    else this.#put(index, next)
    this.#resize(sizeMadeElsewhere, execution.at)
  }

  #bookHeld(index: number): void {
    for (;;) {
      const placement = this.#order?.placements[index]
      const next = placement === undefined ? null : nextExecution(placement)
      if (next === null) return
      this.#put(index, next.placement)
      this.#book(index, next.execution)
    }
  }

  #book(index: number, execution: Execution): void {
    const placement = this.#order?.placements[index]
    if (this.#order === null || placement === undefined) return
    this.#move(index, isDone(placement) ? 'fillLast' : 'fill')
    const { at } = execution
    this.patch(({ lastExecutionAt }) => ({
      lastExecutionAt: lastExecutionAt !== null && lastExecutionAt > at ? lastExecutionAt : at,
    }))
    if (counts(this.#order, placement.leg)) this.#tellExecuted(execution)
    else this.#emit((order) => ({ type: 'leg.executed', order, leg: placement.leg, execution }))
    // The cost of a pair in another coin is no figure in USD, so it is not booked: the account's
    // figures are read instead (reconcile.ts).
    if (isQuotedInUsd(this.#order.symbol)) this.#holdings.execute(this.#order, placement, execution)
  }

  #tellExecuted(execution: Execution): void {
    if (this.#order === null) return
    const { quantity, price, at } = execution
    const wasEnded = this.#order.endedAt !== null
    const completed = !wasEnded && isComplete(this.#order)
    if (completed) this.patch(() => ({ status: 'filled', endedAt: at }))
    if (
      this.#order.quantity !== null &&
      cmp(this.#order.cumulativeQuantity, this.#order.quantity) > 0
    )
      this.#anomaly('overfilled')
    this.#emit((order) =>
      wasEnded
        ? {
            type: 'order.corrected',
            order,
            what: `${quantity} executed at ${price} after the order had ended`,
            at,
          }
        : { type: 'order.executed', order, execution, completed },
    )
  }

  /**
   * Takes an execution back, or restates it. If the execution is not booked yet, the bust is
   * ignored until it is reported again.
   */
  bust(brokerOrderId: string, bust: Bust): void {
    const index = this.#indexOf(brokerOrderId)
    const placement = this.#order?.placements[index]
    if (this.#order === null || placement === undefined) return this.#anomaly('unknown_order')
    if (!this.#order.busts.includes(bust.id) && takesBooked(placement, bust))
      this.#amend(index, bust)
  }

  /**
   * The broker's total has been confirmed. Executions and busts that were lost are replaced by the
   * difference, so that the booked quantity and cost equal the total from now on.
   */
  adoptTotal(brokerOrderId: string, at: string): void {
    const index = this.#indexOf(brokerOrderId)
    const placement = this.#order?.placements[index]
    const total = placement?.total ?? null
    if (placement === undefined || total?.at !== at || isUnpriced(total)) return // a newer total must be confirmed first
    const now = (): Placement => this.#order?.placements[index] ?? placement
    const missing = missingExecution(now(), total)
    if (missing !== null) {
      this.#put(index, withExecution(now(), missing))
      this.#book(index, missing)
    }
    const amendment = amendmentTo(now(), total)
    if (amendment !== null && this.#order?.busts.includes(amendment.id) === false)
      this.#amend(index, amendment)
    this.#put(index, closedAt(now(), total))
    this.#conclude(index, at)
  }

  #conclude(index: number, at: string): void {
    this.#settle(index)
    this.#restand(at)
    this.#protect(at)
  }

  #amend(index: number, bust: Bust): void {
    const placement = this.#order?.placements[index]
    if (this.#order === null || placement === undefined) return
    const { quantity, price, corrected, at } = bust
    const isOfEarlier =
      placement.leg === 'entry' &&
      placement !== headOf(this.#order, 'entry') &&
      hasRightSize(this.#order)
    this.#put(index, withBust(placement, bust))
    this.patch(({ busts }) => ({ busts: [...busts, bust.id].slice(-BUSTS_MAX) }))
    const told =
      corrected === null
        ? 'taken back by the venue'
        : `restated as ${corrected.quantity} at ${corrected.price}`
    if (counts(this.#order, placement.leg))
      this.#emit((order) => ({
        type: 'order.corrected',
        order,
        what: `${quantity} at ${price} ${told}`,
        at,
      }))
    // The bust was of an earlier order of the chain, and the head does not execute that quantity
    // again: the order's total quantity becomes smaller.
    if (isOfEarlier) this.keepSize(at)
    const order = this.#order
    if (!isQuotedInUsd(order.symbol)) return
    const key = `bust ${bust.id}`
    const undo = (): void => this.#holdings.takeBack(order, placement, { quantity, price, at, key })
    const isAddedTo = this.#holdings.isAddedToBy(order, placement)
    if (!isAddedTo || corrected === null) undo()
    if (corrected === null) return
    this.#holdings.execute(order, placement, { ...corrected, at, key })
    if (isAddedTo) undo() // last, so that a position without other fills is not closed and opened again
  }

  /** Ends a placement once every execution before its end has been booked. */
  #settle(index: number): void {
    const placement = this.#order?.placements[index]
    const ending = placement === undefined ? null : endingOf(placement)
    if (ending !== null) this.#move(index, ending === 'filled' ? 'fillLast' : ending)
  }

  /**
   * A replacement has taken place once the broker shows the old order as `replaced` or the new
   * order as working. Until then either order may execute (CAN-04). From then on the replacement's
   * terms are the order's terms.
   */
  #agree(at: string): void {
    const { placements = [] } = this.#order ?? {}
    placements.forEach((one, index) => {
      if (this.#order === null || one.agreed) return
      if (predecessorOf(this.#order, one)?.status !== 'replaced' && !isAtWork(one)) return
      this.#put(index, { ...one, agreed: true })
      this.patch((order) => ({ ...withAgreed(order, one), ...replaceTookPlace(order, one, at) }))
      if (this.#order?.endedAt === null) this.#tellReplaced(one.leg, at)
    })
    this.#resize(sizeMadeElsewhere, at)
  }

  /** The order's status follows from its placements. The order ends once. */
  #restand(at: string): void {
    const order = this.#order
    const standing = order === null ? null : statusOf(order)
    if (order === null || standing === null) return
    if (order.endedAt !== null && !isTerminal(standing)) return
    this.patch(() => ({ status: standing }))
    if (order.endedAt === null && isTerminal(standing)) this.#end(finalAt(order) ?? at)
  }

  #end(at: string): void {
    this.patch(() => ({ endedAt: at }))
    this.#emit((order) => ({ type: 'order.ended', order, at }))
  }

  #protect(at: string): void {
    if (this.#order !== null) this.#holdings.protect(this.#before, this.#order, at)
  }

  /**
   * The position has no stop. The stop of this order, if it has one, becomes the position's stop.
   */
  protectOpen(at: string): void {
    if (this.#order !== null) this.#holdings.protectOpen(this.#order, at)
  }

  #indexOf(brokerOrderId: string): number {
    return this.#order?.placements.findIndex((one) => one.brokerOrderId === brokerOrderId) ?? -1
  }

  #move(index: number, signal: Signal): void {
    const placement = this.#order?.placements[index]
    const next = placement === undefined ? null : moved(placement, signal)
    if (next === null) this.#anomaly('illegal_transition')
    else this.#put(index, next)
  }

  #put(index: number, placement: Placement): void {
    this.patch((order) => {
      if (order.placements[index] === placement) return {}
      const placements = order.placements.map((one, at) => (at === index ? placement : one))
      return { placements, ...totalsOf({ ...order, placements }) }
    })
  }

  #emit(change: (order: Order) => Change): void {
    if (this.#order !== null) this.#changes.push(change(this.#order))
  }

  #anomaly(what: Anomaly): void {
    this.#changes.push({ type: 'anomaly', orderId: this.#order?.id ?? 'none', what })
  }
}
