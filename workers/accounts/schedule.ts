import type { Order } from '#domain'

// How often one connection's orders are polled, and the cost in requests. Pure.
//
// P7: an update that the stream dropped is applied within 5 s (order in flight) or 15 s (every
// other open order), for at most 40 of the account's 200 requests a minute, up to 1,500 open
// orders. The interval plus the reading itself must fit, hence 4 s and 12 s. With more open orders
// the list takes more requests, and its interval grows so that the cost per minute stays the same.
// A marketable order has the promise of an order in flight until it has ended: a held-up order is
// read with the open orders, and the open orders are then polled in haste.

/** Rows of one page of the broker's order list. */
const ROWS_PER_REQUEST = 500
/**
 * The requests that polling may use per minute. The other four of the 40 belong to the portfolio
 * and the activities.
 */
const REQUESTS_PER_MINUTE_MAX = 36
/** Of `REQUESTS_PER_MINUTE_MAX`, the share that orders in flight may use. */
const FLIGHT_PER_MINUTE_MAX = 30
const FLIGHT_MS = 4_000
const OPEN_MS = 12_000
/**
 * The limit for polling in haste. The list is read more often only while it costs no more than
 * this, because without a stream, starts and gaps cost requests as well.
 */
const HASTY_PER_MINUTE_MAX = 24
/** The interval while no order of ours is open: the list shows orders placed elsewhere. */
const IDLE_MS = 30_000
/** The interval while no open order can execute. */
const CLOSED_MS = 60_000
/**
 * An order that was submitted or executed less than this ago is in flight: its next execution may
 * follow at once.
 */
const HOT_MS = 30_000
/**
 * A marketable order that is still open after this long is held up (a halt, an opening). The list
 * of orders in flight no longer reaches back to its submission.
 */
const MARKETABLE_MS = 10 * 60_000
/**
 * An order counts as held up a little before it leaves the list of orders in flight, so that every
 * poll reads the order by one of the two lists.
 */
const HELD_UP_MS = MARKETABLE_MS - 60_000

export type Load = Readonly<{
  openOrders: number
  /** Requests that one reading of the orders in flight takes; 0 if no order is in flight. */
  flightRequests: number
  /** True if any open order can execute now. */
  canExecute: boolean
  /**
   * The list of open orders is needed for more than resting orders: the stream is down, or a
   * marketable order is held up.
   */
  isHasty: boolean
}>

export type PollSchedule = Readonly<{
  openMs: number
  flightMs: number
  requestsPerMinute: number
  /** The intervals are longer than P7 promises. */
  isStretched: boolean
}>

/** A list ends with a page that is not full, so a full last page costs one more request. */
const requestsOf = (rows: number): number => Math.floor(rows / ROWS_PER_REQUEST) + 1
const perMinute = (requests: number, everyMs: number): number => (requests * 60_000) / everyMs

export function pollSchedule({
  openOrders,
  flightRequests,
  canExecute,
  isHasty,
}: Load): PollSchedule {
  const openRequests = requestsOf(openOrders)
  const flightMs = Math.max(FLIGHT_MS, (flightRequests * 60_000) / FLIGHT_PER_MINUTE_MAX)
  const left = REQUESTS_PER_MINUTE_MAX - perMinute(flightRequests, flightMs)
  const affordableMs = (openRequests * 60_000) / left
  const hastyMs = Math.min(
    OPEN_MS,
    Math.max(FLIGHT_MS, (openRequests * 60_000) / HASTY_PER_MINUTE_MAX),
  )
  const wantedMs = !canExecute
    ? CLOSED_MS
    : openOrders === 0
      ? IDLE_MS
      : isHasty
        ? hastyMs
        : OPEN_MS
  const openMs = Math.ceil(Math.max(wantedMs, affordableMs))
  return {
    openMs,
    flightMs: Math.ceil(flightMs),
    requestsPerMinute: perMinute(openRequests, openMs) + perMinute(flightRequests, flightMs),
    isStretched: flightMs > FLIGHT_MS || (canExecute && openOrders > 0 && openMs > OPEN_MS),
  }
}

/** True if an order can execute while the regular session is closed. */
export const tradesAnyTime = ({
  symbol,
  extendedHours,
}: Pick<Order, 'symbol' | 'extendedHours'>): boolean => extendedHours || symbol.includes('/')

/**
 * True if the order's next change is due any moment, so that the order is read every 4 s.
 * @param quietMs time since the last change of the order
 */
export function isInFlight(
  order: Order,
  hasGap: boolean,
  quietMs: number,
  canExecute: boolean,
): boolean {
  if (hasGap || order.status === 'submitting') return true
  if (!canExecute) return false // accepted, and no change is due before the open (CLK-03)
  return (
    quietMs <
    (isMarketable(order) || order.cancel !== null || order.replaces.length > 0
      ? MARKETABLE_MS
      : HOT_MS)
  )
}

/**
 * True if a marketable order is held up, so that it executes as soon as the halt or the wait ends.
 * @param quietMs time since the last change of the order
 */
export function isHeldUp(order: Order, quietMs: number, canExecute: boolean): boolean {
  const isWorking = order.status !== 'submitting' && order.endedAt === null
  return canExecute && isWorking && isMarketable(order) && quietMs >= HELD_UP_MS
}

/** Marketable orders do not rest by their terms: market orders, and orders with ioc or fok. */
const isMarketable = ({ orderType, timeInForce }: Order): boolean =>
  orderType === 'market' || timeInForce === 'ioc' || timeInForce === 'fok'
