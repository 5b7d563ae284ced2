import { Booking } from './booking.ts'
import type { Order } from './order.ts'
import { attempted, attemptEnded, cancelRequested, replaceRequested, setAside } from './requests.ts'
import type { Change, OrderUpdate, Slice } from './updates.ts'

export type Reduced = Readonly<{ slice: Slice; changes: readonly Change[] }>

/** Where an update lands that names an order we have no record of. */
export type Landing = Readonly<{ id: string; origin: Order['origin']; userId: string; connectionId: string }>

/**
 * Applies one update to the order it names and to what that order touches. Pure; repeats and any order of arrival are welcome, and
 * `order.submitted` always comes before the first execution.
 */
export function reduce(slice: Slice, update: OrderUpdate, landing: Landing): Reduced {
  const book = new Booking(slice)
  switch (update.type) {
    case 'claimed':
      book.claim(update)
      break
    case 'attempted':
      book.patch((order) => attempted(order, update))
      break
    case 'denied':
    case 'refused':
      book.refuse(update)
      break
    case 'withdrawn':
      book.withdraw(update.at)
      break
    case 'not_sent':
    case 'outcome_unknown':
      book.patch((order) => attemptEnded(order, update))
      break
    case 'set_aside':
      return setAside(slice, update.at)
    case 'cancel_requested':
      book.patch((order) => cancelRequested(order, update.request))
      break
    case 'replace_requested':
      book.patch((order) => replaceRequested(order, update.request))
      break
    case 'replace_sent':
      book.patch((order) => ({
        replaces: order.replaces.map((one) =>
          one.commandId === update.commandId ? { ...one, sentAt: update.at } : one,
        ),
      }))
      break
    case 'replace_ended':
      book.endReplace(update)
      break
    case 'broker_order':
      book.view(update, landing)
      break
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
