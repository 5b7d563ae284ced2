import type { Clock } from '#runtime'
import type { Broker } from '../broker/broker.ts'
import { decimal } from '../broker/decimals.ts'
import type { Decisions } from '../broker/decisions.ts'
import type { OrderUpdate } from '../broker/order-book.ts'
import type { Execution } from '../broker/order.ts'
import { isAmendable } from '../broker/rebooking.ts'
import type { Fault } from './fault.ts'
import type { Faults } from './faults.ts'

/**
 * Orders that fail after they were answered. The effect of each fault follows in the turn after the
 * change it is armed on, and is published as a change of its own.
 */

const CENT = decimal('0.01')

/** The corrected terms of a fill. */
const termsOf = ({ price, qty }: Fault, execution: Execution) => ({
  price: price === undefined ? execution.price.plus(CENT) : decimal(price),
  qty: qty === undefined ? execution.qty : decimal(qty),
})

/** The venue's decisions about a cancel or a replacement. */
const decisionsOf = (faults: Faults, plain: Decisions): Decisions => ({
  cancel(account) {
    const stuck = faults.order('stuck_cancel', account)
    const afterMs = stuck === undefined ? plain.cancel(account).afterMs : stuck.delayMs
    return { afterMs, isRefused: faults.order('reject_cancel', account) !== undefined }
  },
  replace(account) {
    const first = faults.order('fill_before_replace', account)
    const qty = first?.qty === undefined ? 'all' : decimal(first.qty)
    return {
      fillsFirst: first === undefined ? undefined : qty,
      isRefused: faults.order('reject_replace', account) !== undefined,
      size: faults.order('replace_remaining', account) === undefined ? 'total' : 'remaining',
    }
  },
})

export function startOrderFaults(broker: Broker, clock: Clock, faults: Faults): void {
  const { matcher } = broker
  matcher.decisions = decisionsOf(faults, matcher.decisions)
  const amend = ({ account, order, execution }: OrderUpdate): void => {
    if (execution === undefined) return
    const correction = faults.order('correct_trade', account)
    const isBusted = correction === undefined && faults.order('bust_trade', account) !== undefined
    if (correction === undefined && !isBusted) return
    const to = correction === undefined ? undefined : termsOf(correction, execution)
    clock.after(0, () => {
      // A control command may have amended the execution first.
      if (isAmendable(account, execution)) matcher.amend(account, order, execution, to)
    })
  }
  broker.onUpdate((update) => {
    const { event, account, order } = update
    if ((event === 'new' || event === 'accepted') && faults.order('reject_order', account)) {
      clock.after(0, () => matcher.reject(account, order))
    }
    if (event === 'canceled' && faults.order('fill_after_cancel', account)) {
      clock.after(0, () => matcher.fillNow(account, order))
    }
    if (event === 'fill' || event === 'partial_fill') amend(update)
    const overfill = event === 'fill' ? faults.order('overfill', account) : undefined
    if (overfill === undefined) return
    const { qty = '1' } = overfill
    clock.after(0, () =>
      matcher.fillNow(account, order, decimal(qty), update.execution?.price, true),
    )
  })
}
