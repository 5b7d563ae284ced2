import type { CancelTimer, Clock } from '#runtime'
import { secondStamp } from '../stamps.ts'
import type { Account } from './account.ts'
import { DAY_MS, newYorkDate, newYorkMs } from './new-york.ts'
import { isOpen, type Order } from './order.ts'

/**
 * Good-till-canceled orders are not good forever: the broker requests their cancel ninety days
 * after they were made, at 16:15 in New York, and states that time in `expires_at` from the start
 * (docs.alpaca.markets, "Placing Orders", aged orders).
 */

const AGE_DAYS = 90
const MINUTE_OF_DAY = 16 * 60 + 15
const HOUR_MS = 60 * 60_000
/** Interval of the check. New York is whole hours from UTC, so a check falls on the minute. */
const LOOK_EVERY_MS = 15 * 60_000

// A cache, because every order asks: a day in New York begins on the hour, so all times within one
// hour have the same answer.
let known = { hour: -1, at: '' }

/** The time at which an order made now is too old. */
export function agedAt(nowMs: number): string {
  const hour = Math.floor(nowMs / HOUR_MS)
  if (known.hour !== hour) {
    known = {
      hour,
      at: secondStamp(newYorkMs(newYorkDate(nowMs + AGE_DAYS * DAY_MS), MINUTE_OF_DAY)),
    }
  }
  return known.at
}

const isAged = ({ request, expiresAt }: Order, nowMs: number): boolean =>
  request.timeInForce === 'gtc' && Date.parse(expiresAt) <= nowMs

/**
 * Starts the check. If a replacement is pending, the cancel is requested at the next check, if the
 * order is still open then.
 */
export function cancelAgedOrders(
  clock: Clock,
  accounts: () => readonly Account[],
  matcher: Readonly<{ cancel(account: Account, order: Order): unknown }>,
): CancelTimer {
  let cancel: CancelTimer
  const look = (): void => {
    const nowMs = clock.now()
    cancel = clock.after(LOOK_EVERY_MS - (nowMs % LOOK_EVERY_MS), look)
    for (const account of accounts()) {
      for (const order of [...account.openOrders]) {
        const mayCancel = isOpen(order) && order.status !== 'pending_replace'
        if (isAged(order, nowMs) && mayCancel) matcher.cancel(account, order)
      }
    }
  }
  look()
  return () => cancel()
}
