import type { CancelTimer, Clock } from '#runtime'
import { secondStamp } from '../stamps.ts'
import type { Account } from './account.ts'
import { DAY_MS, newYorkDate, newYorkMs } from './new-york.ts'
import { isOpen, type Order } from './order.ts'

/**
 * Orders that are good till canceled are not good for ever: the broker asks to cancel them ninety
 * days after they were made, at a quarter past four in New York, and says so from the first in
 * `expires_at` (docs.alpaca.markets, "Placing Orders", aged orders).
 */

const AGE_DAYS = 90
const MINUTE_OF_DAY = 16 * 60 + 15
const HOUR_MS = 60 * 60_000
/** How often is looked: New York is whole hours from UTC, so that a look falls on the minute. */
const LOOK_EVERY_MS = 15 * 60_000

// Every order asks, and all of an hour are answered alike: a day in New York begins on the hour.
let known = { hour: -1, at: '' }

/** When an order that is made now is too old. */
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

const isAged = ({ ticket, expiresAt }: Order, nowMs: number): boolean =>
  ticket.timeInForce === 'gtc' && Date.parse(expiresAt) <= nowMs

/**
 * Starts to look. One whose replacement is under way is asked at the next look, if it is still
 * there.
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
