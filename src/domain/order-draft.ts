import type { Decimal } from './decimal.ts'
import { statusOf, totalsOf } from './order-status.ts'
import { headOf, type Order, type Placement } from './order.ts'
import { moved, newPlacement } from './placement.ts'
import { replaceEnded } from './requests.ts'
import { blankOrder, finalAt, sizeThatStands } from './terms.ts'
import { isTerminal, type Signal } from './transitions.ts'
import type { Anomaly, Change, OrderUpdate } from './updates.ts'

/**
 * The order that one update changes, with the changes so far. The draft knows the order's own
 * fields and placements; executions and snapshots are applied in booking.ts. An instance lives for
 * one call of `reduce`.
 */
export class OrderDraft {
  /** `null`: the order has no record yet. */
  order: Order | null
  /** In the order in which they happened. */
  readonly changes: Change[] = []

  constructor(order: Order | null) {
    this.order = order
  }

  /** Our own decision to send an intent: the first record of a trade. A repeat changes nothing. */
  claim({
    intent,
    clientOrderId,
    parametersHash,
    closes,
    closeCommandId = null,
    askedAt,
    at,
  }: Extract<OrderUpdate, { type: 'claimed' }>): void {
    if (this.order !== null) return
    const { tradeId: id, ...terms } = intent
    const entry = newPlacement({ leg: 'entry', replacement: 0, clientOrderId }, intent)
    const { userId, connectionId } = intent
    const blank = blankOrder({ id, origin: 'fillcast', userId, connectionId })
    const mark = {
      ...(closes === true ? { closes } : {}),
      ...(closeCommandId === null ? {} : { closeCommandId }),
      ...(askedAt === undefined ? {} : { askedAt }),
    }
    this.order = {
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
    if (this.order === null || this.order.endedAt !== null) return
    const brokerCode = update.type === 'refused' ? update.brokerCode : null
    if (!this.#moveUnsent(update.type)) return
    const status = update.type === 'denied' ? 'denied' : 'rejected'
    this.patch(() => ({ status, rejection: { code, brokerCode, message, at }, unknownSince: null }))
    this.#end(at)
  }

  /** The order was canceled before it was sent. */
  withdraw(at: string): void {
    if (this.order?.status !== 'submitting' || !this.#moveUnsent('denied')) return
    this.patch(() => ({ status: 'canceled' }))
    this.#end(at)
  }

  #moveUnsent(signal: Signal): boolean {
    const [entry] = this.order?.placements ?? []
    const next =
      this.order?.status === 'submitting' && entry !== undefined ? moved(entry, signal) : null
    if (next === null) this.anomaly('illegal_transition')
    else this.put(0, next)
    return next !== null
  }

  /** The order's total quantity becomes the quantity that it can reach with its current head. */
  keepSize(at: string): void {
    this.resize(sizeThatStands, at)
    this.restand(at)
  }

  /**
   * Changes the order's total quantity, and reports the new terms. `sizeOf` returns `null` for no
   * change.
   */
  resize(sizeOf: (order: Order) => Decimal | null, at: string): void {
    if (this.order === null || this.order.endedAt !== null) return
    const quantity = sizeOf(this.order)
    if (quantity === null || quantity === this.order.quantity) return
    this.patch(() => ({ quantity }))
    this.tellReplaced('entry', at)
  }

  /** Reports the new terms with the newest agreed placement of the leg. */
  tellReplaced(leg: Placement['leg'], at: string): void {
    this.emit((order) => {
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

  /** A replacement ended without taking place. */
  endReplace(ended: Extract<OrderUpdate, { type: 'replace_ended' }>): void {
    this.patch((order) => replaceEnded(order, ended))
    this.restand(ended.at)
  }

  /** The order's status follows from its placements. The order ends once. */
  restand(at: string): void {
    const order = this.order
    const standing = order === null ? null : statusOf(order)
    if (order === null || standing === null) return
    if (order.endedAt !== null && !isTerminal(standing)) return
    this.patch(() => ({ status: standing }))
    if (order.endedAt === null && isTerminal(standing)) this.#end(finalAt(order) ?? at)
  }

  #end(at: string): void {
    this.patch(() => ({ endedAt: at }))
    this.emit((order) => ({ type: 'order.ended', order, at }))
  }

  /** Changes fields of the order; no effect without a record. */
  patch(change: (order: Order) => Partial<Order>): void {
    if (this.order !== null) this.order = { ...this.order, ...change(this.order) }
  }

  /** Replaces one placement and updates the order's sums. */
  put(index: number, placement: Placement): void {
    this.patch((order) => {
      if (order.placements[index] === placement) return {}
      const placements = order.placements.map((one, at) => (at === index ? placement : one))
      return { placements, ...totalsOf({ ...order, placements }) }
    })
  }

  /** Changes the status of one placement. An illegal transition is reported as an anomaly. */
  move(index: number, signal: Signal): void {
    const placement = this.order?.placements[index]
    const next = placement === undefined ? null : moved(placement, signal)
    if (next === null) this.anomaly('illegal_transition')
    else this.put(index, next)
  }

  /** Index of the placement with this broker order id; -1: unknown. */
  indexOf(brokerOrderId: string): number {
    return this.order?.placements.findIndex((one) => one.brokerOrderId === brokerOrderId) ?? -1
  }

  /** Appends a change of the order; no effect without a record. */
  emit(change: (order: Order) => Change): void {
    if (this.order !== null) this.changes.push(change(this.order))
  }

  /** Reports an unexpected fact. The order is not changed. */
  anomaly(what: Anomaly): void {
    this.changes.push({ type: 'anomaly', orderId: this.order?.id ?? 'none', what })
  }
}
