import { isQuotedInUsd } from './asset.ts'
import { cmp } from './decimal.ts'
import { conformedTerms, newDifferences } from './differences.ts'
import { FillEffects } from './fill-effects.ts'
import type { OrderDraft } from './order-draft.ts'
import { hasRightSize, isComplete } from './order-status.ts'
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
import { endingOf, holding, isDone, newPlacement, nextExecution, viewed } from './placement.ts'
import { predecessorOf, replaceTookPlace } from './requests.ts'
import {
  blankOrder,
  exitOf,
  isAtWork,
  placeOf,
  saysWhat,
  sizeMadeElsewhere,
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
import type { BrokerOrder, OrderKey, OrderUpdate, Reduced, Slice } from './updates.ts'

/**
 * Applies the broker's reports of one update to an order and its placements. The effects of its
 * executions on position and cash are in fill-effects.ts. An instance lives for one call of
 * `reduce`.
 */
export class Booking {
  readonly #before: Order | null
  readonly #draft: OrderDraft
  readonly #holdings: FillEffects

  constructor(slice: Slice, draft: OrderDraft) {
    this.#before = slice.order
    this.#draft = draft
    this.#holdings = new FillEffects(slice, draft.changes)
  }

  get #order(): Order | null {
    return this.#draft.order
  }

  result(): Reduced {
    const { order, changes } = this.#draft
    return { slice: { order, ...this.#holdings.result() }, changes }
  }

  view(update: Extract<OrderUpdate, { type: 'broker_order' }>, orderKey: OrderKey): void {
    const { order: seen, execution, isAnswer = false } = update
    const differences = this.#order === null ? [] : newDifferences(this.#order, seen)
    if (!isAnswer && differences.some(({ kind }) => kind === 'unexplained'))
      return this.#draft.anomaly('foreign_order')
    if (differences.length > 0) this.#conform(seen, differences)
    if (this.#order === null && !saysWhat(seen)) return this.#draft.anomaly('unreadable_order')
    this.#draft.order ??= { ...blankOrder(orderKey), ...termsOf(seen) }
    this.#see(this.#locate(seen, null), seen, execution)
    if (this.#draft.order.origin === 'fillcast') {
      // An exit is a placement of this order. An order placed elsewhere has a record of its own for
      // each of its exits instead.
      for (const exit of seen.legs) this.#see(this.#locate(exit, exitOf(exit)), exit, null)
    }
    if (seen.status === 'unrecognized') this.#draft.anomaly('unrecognized_status')
    this.#agree(seen.updatedAt)
    this.#draft.restand(seen.updatedAt)
    this.#protect(seen.updatedAt)
  }

  /** The order is at the broker with other terms. From now on these are the order's terms. */
  #conform(seen: BrokerOrder, differences: readonly Difference[]): void {
    this.#draft.patch((order) => {
      const terms = conformedTerms(order, seen, differences)
      const { quantity = null } = terms
      const placements = order.placements.map((one) =>
        quantity === null ? one : { ...one, quantity },
      )
      return { ...terms, placements, differences }
    })
    this.#draft.anomaly('differs_from_request')
  }

  execute(brokerOrderId: string, execution: Execution): void {
    const index = this.#draft.indexOf(brokerOrderId)
    if (index < 0) return this.#draft.anomaly('unknown_order')
    this.#hold(index, execution)
    this.#bookHeld(index)
    this.#conclude(index, execution.at)
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
      this.#draft.anomaly('too_many_placements')
      return -1
    }
    const at = { ...placeOf(order, seen, exit), clientOrderId: seen.clientOrderId }
    this.#draft.patch(() => ({ placements: [...placements, newPlacement(at, seen)] }))
    return placements.length
  }

  #see(index: number, seen: BrokerOrder, execution: Execution | null): void {
    const before = this.#order?.placements[index]
    if (before === undefined) return
    const isFirst = before.status === 'submitting' || before.status === 'denied'
    const after = viewed(before, seen)
    this.#draft.put(index, after)
    // The quantity of an order sized in money comes from the broker.
    if (before.leg === 'entry')
      this.#draft.patch(({ quantity }) => (quantity === null ? { quantity: after.quantity } : {}))
    this.#draft.move(index, 'acknowledged')
    if (before.status === 'denied') this.#draft.anomaly('appeared_after_close')
    if (isFirst && this.#order?.submittedAt === null) this.#submitted(seen.submittedAt)
    this.#agree(seen.updatedAt)
    if (execution !== null) this.#hold(index, execution)
    this.#bookHeld(index)
    this.#settle(index)
  }

  /** The first snapshot of any placement proves that the order was accepted. */
  #submitted(at: string): void {
    this.#draft.patch(() => ({ submittedAt: at, unknownSince: null }))
    if (this.#order?.endedAt !== null) return
    this.#draft.patch(() => ({ status: 'submitted' }))
    this.#draft.emit((order) => ({ type: 'order.submitted', order }))
  }

  #hold(index: number, execution: Execution): void {
    const placement = this.#order?.placements[index]
    if (placement === undefined || isInTotal(placement, execution)) return
    const next = holding(placement, execution)
    if (next === null) this.#draft.anomaly('held_overflow')
    else this.#draft.put(index, next)
    this.#draft.resize(sizeMadeElsewhere, execution.at)
  }

  #bookHeld(index: number): void {
    for (;;) {
      const placement = this.#order?.placements[index]
      const next = placement === undefined ? null : nextExecution(placement)
      if (next === null) return
      this.#draft.put(index, next.placement)
      this.#book(index, next.execution)
    }
  }

  #book(index: number, execution: Execution): void {
    const placement = this.#order?.placements[index]
    if (this.#order === null || placement === undefined) return
    this.#draft.move(index, isDone(placement) ? 'fillLast' : 'fill')
    const { at } = execution
    this.#draft.patch(({ lastExecutionAt }) => ({
      lastExecutionAt: lastExecutionAt !== null && lastExecutionAt > at ? lastExecutionAt : at,
    }))
    if (counts(this.#order, placement.leg)) this.#tellExecuted(execution)
    else
      this.#draft.emit((order) => ({ type: 'leg.executed', order, leg: placement.leg, execution }))
    // The cost of a pair in another coin is no figure in USD, so it is not booked: the account's
    // figures are read instead (reconcile.ts).
    if (isQuotedInUsd(this.#order.symbol)) this.#holdings.execute(this.#order, placement, execution)
  }

  #tellExecuted(execution: Execution): void {
    if (this.#order === null) return
    const { quantity, price, at } = execution
    const wasEnded = this.#order.endedAt !== null
    const completed = !wasEnded && isComplete(this.#order)
    if (completed) this.#draft.patch(() => ({ status: 'filled', endedAt: at }))
    if (
      this.#order.quantity !== null &&
      cmp(this.#order.cumulativeQuantity, this.#order.quantity) > 0
    )
      this.#draft.anomaly('overfilled')
    this.#draft.emit((order) =>
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
    const index = this.#draft.indexOf(brokerOrderId)
    const placement = this.#order?.placements[index]
    if (this.#order === null || placement === undefined) return this.#draft.anomaly('unknown_order')
    if (!this.#order.busts.includes(bust.id) && takesBooked(placement, bust))
      this.#amend(index, bust)
  }

  /**
   * The broker's total has been confirmed. Executions and busts that were lost are replaced by the
   * difference, so that the booked quantity and cost equal the total from now on.
   */
  adoptTotal(brokerOrderId: string, at: string): void {
    const index = this.#draft.indexOf(brokerOrderId)
    const placement = this.#order?.placements[index]
    const total = placement?.total ?? null
    if (placement === undefined || total?.at !== at || isUnpriced(total)) return // a newer total must be confirmed first
    const now = (): Placement => this.#order?.placements[index] ?? placement
    const missing = missingExecution(now(), total)
    if (missing !== null) {
      this.#draft.put(index, withExecution(now(), missing))
      this.#book(index, missing)
    }
    const amendment = amendmentTo(now(), total)
    if (amendment !== null && this.#order?.busts.includes(amendment.id) === false)
      this.#amend(index, amendment)
    this.#draft.put(index, closedAt(now(), total))
    this.#conclude(index, at)
  }

  #conclude(index: number, at: string): void {
    this.#settle(index)
    this.#draft.restand(at)
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
    this.#draft.put(index, withBust(placement, bust))
    this.#draft.patch(({ busts }) => ({ busts: [...busts, bust.id].slice(-BUSTS_MAX) }))
    const told =
      corrected === null
        ? 'taken back by the venue'
        : `restated as ${corrected.quantity} at ${corrected.price}`
    if (counts(this.#order, placement.leg))
      this.#draft.emit((order) => ({
        type: 'order.corrected',
        order,
        what: `${quantity} at ${price} ${told}`,
        at,
      }))
    // The bust was of an earlier order of the chain, and the head does not execute that quantity
    // again: the order's total quantity becomes smaller.
    if (isOfEarlier) this.#draft.keepSize(at)
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
    if (ending !== null) this.#draft.move(index, ending === 'filled' ? 'fillLast' : ending)
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
      this.#draft.put(index, { ...one, agreed: true })
      this.#draft.patch((order) => ({
        ...withAgreed(order, one),
        ...replaceTookPlace(order, one, at),
      }))
      if (this.#order?.endedAt === null) this.#draft.tellReplaced(one.leg, at)
    })
    this.#draft.resize(sizeMadeElsewhere, at)
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
}
