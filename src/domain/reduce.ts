import { Booking } from './booking.ts'
import { withEnded } from './commands.ts'
import { isZero, ZERO } from './decimal.ts'
import { OrderDraft } from './order-draft.ts'
import { inferredExecution } from './order-status.ts'
import type { Order } from './order.ts'
import {
  attempted,
  attemptEnded,
  cancelRequested,
  replaceRequested,
  replaceSent,
  setAside,
} from './requests.ts'
import type { BrokerOrder, OrderKey, OrderUpdate, Reduced, Slice } from './updates.ts'

/**
 * Applies one update to the order that it names and to the order's position and account. The
 * function is pure. Updates may be repeated and may arrive in any order; `order.submitted` always
 * comes before the first execution.
 */
export function reduce(slice: Slice, update: OrderUpdate, orderKey: OrderKey): Reduced {
  const draft = new OrderDraft(slice.order)
  const book = new Booking(slice, draft)
  switch (update.type) {
    case 'claimed':
      draft.claim(update)
      break
    case 'attempted':
      draft.patch((order) => attempted(order, update))
      break
    case 'denied':
    case 'refused':
      draft.refuse(update)
      break
    case 'withdrawn':
      draft.withdraw(update.at)
      break
    case 'not_sent':
    case 'outcome_unknown':
    case 'refusal_doubted':
      draft.patch((order) => attemptEnded(order, update))
      break
    case 'set_aside':
      return setAside(slice, update.at)
    case 'cancel_requested':
      draft.patch((order) => cancelRequested(order, update.request))
      break
    case 'command_ended':
      draft.patch((order) => withEnded(order, update.command) ?? {})
      break
    case 'replace_requested':
      draft.patch((order) => replaceRequested(order, update.request))
      break
    case 'replace_sent':
      draft.patch((order) => replaceSent(order, update.commandId, update.at))
      break
    case 'replace_not_sent':
      draft.patch((order) => replaceSent(order, update.commandId, null))
      break
    case 'replace_ended':
      draft.endReplace(update)
      break
    case 'size_stands':
      draft.keepSize(update.at)
      break
    case 'stop_stands':
      book.protectOpen(update.at)
      break
    case 'broker_order':
      book.view(update, orderKey)
      break
    case 'past_order':
      return {
        slice: { ...slice, order: adoptOrder(update.views, orderKey, slice.order) },
        changes: [],
      }
    case 'execution':
      book.execute(update.brokerOrderId, update.execution)
      break
    case 'bust':
      book.bust(update.brokerOrderId, update.bust)
      break
    case 'total_stands':
      book.adoptTotal(update.brokerOrderId, update.at)
      break
  }
  return book.result()
}

/**
 * Records an order whose executions are in the position already: the record counts them, and
 * position and cash do not change. Used for orders found at the first reading of an account, and
 * for orders that ended long ago.
 * @param views all of its placements, as they are now
 * @param kept the existing record, such as a claim
 */
export function adoptOrder(
  views: readonly BrokerOrder[],
  orderKey: OrderKey,
  kept: Order | null = null,
): Order {
  let slice: Slice = { order: kept, position: null, account: null }
  const take = (update: OrderUpdate): void => void (slice = reduce(slice, update, orderKey).slice)
  for (const order of views)
    take({ type: 'broker_order', order, execution: null, at: order.updatedAt })
  for (const seen of views.flatMap((view) => [view, ...view.legs])) {
    if (isZero(seen.filledQuantity)) continue
    // If an earlier reading has recorded a part of the executions, only the rest is booked, because
    // the broker's average covers both.
    for (let rest = restOf(slice, seen); rest !== null; rest = restOf(slice, seen)) take(rest)
    take(wholeExecution(seen))
  }
  if (slice.order === null) throw new RangeError(`order ${orderKey.id} could not be adopted`)
  return { ...slice.order }
}

/** The next executed part of an order that no record contains; `null`: none is missing. */
function restOf({ order }: Slice, seen: BrokerOrder): OrderUpdate | null {
  const execution = order === null ? null : inferredExecution(order, seen)
  return execution === null
    ? null
    : { type: 'execution', brokerOrderId: seen.brokerOrderId, execution }
}

/** The whole executed quantity of an order as one execution. */
const wholeExecution = (seen: BrokerOrder): OrderUpdate => ({
  type: 'execution',
  brokerOrderId: seen.brokerOrderId,
  execution: {
    executionId: null,
    quantity: seen.filledQuantity,
    cumulativeQuantity: seen.filledQuantity,
    price: seen.filledAveragePrice ?? ZERO,
    at: seen.updatedAt,
  },
})
