import type { Order } from '#domain'

// How often one connection's orders are read, and what that costs. Pure.
//
// P7: what the stream dropped is seen within 5 s (order in flight) or 15 s (every other open
// order), for at most 40 of the account's 200 requests a minute, up to 1,500 open orders. An
// interval plus the reading itself must fit, hence 4 s and 12 s. With more open orders than that
// the list takes more requests, and its interval grows so that the cost does not. A marketable
// order is promised like one in flight until it has ended: one that is held up is read with the
// open orders, and these in haste then.

/** Rows of one page of the broker's order list. */
const ROWS_PER_REQUEST = 500
/**
 * What polling may cost; the other four requests a minute belong to the portfolio and its
 * activities.
 */
const REQUESTS_PER_MINUTE_MAX = 36
/** Of these, orders in flight may take this many. */
const FLIGHT_PER_MINUTE_MAX = 30
const FLIGHT_MS = 4_000
const OPEN_MS = 12_000
/**
 * In haste the list is read more often, while that costs no more than this: without a stream,
 * starts and gaps cost as well then.
 */
const HASTY_PER_MINUTE_MAX = 24
/** Nothing of ours is open: the list is read for what is placed elsewhere. */
const IDLE_MS = 30_000
/** Nothing that is open can execute now. */
const CLOSED_MS = 60_000
/**
 * An order that was submitted or executed this short a time ago is in flight: what it meets in the
 * market it meets now.
 */
const HOT_MS = 30_000
/**
 * A marketable order that is still open after this long is held up (a halt, an opening): the list
 * of what is in flight begins later.
 */
const MARKETABLE_MS = 10 * 60_000
/**
 * It counts as held up a little sooner, so that no turn lies between the two ways of reading it.
 */
const HELD_UP_MS = MARKETABLE_MS - 60_000

export type Load = Readonly<{
  openOrders: number
  /** Requests of one reading of what is in flight; 0: nothing is. */
  flightRequests: number
  /** Whether anything that is open can execute now. */
  canExecute: boolean
  /**
   * The list of open orders is read for more than what rests: there is no stream, or a marketable
   * order is held up.
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

/** A list ends with a page that is not full. */
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

/** Whether an order can execute while the regular session is closed. */
export const tradesAnyTime = ({
  symbol,
  extendedHours,
}: Pick<Order, 'symbol' | 'extendedHours'>): boolean => extendedHours || symbol.includes('/')

/**
 * Whether an order's next change is due any moment, so that it is read every 4 s.
 * @param quietMs how long ago something of it changed
 */
export function isInFlight(
  order: Order,
  hasGap: boolean,
  quietMs: number,
  canExecute: boolean,
): boolean {
  if (hasGap || order.status === 'submitting') return true
  if (!canExecute) return false // accepted is evidence; nothing more is due before the open (CLK-03)
  return (
    quietMs <
    (isMarketable(order) || order.cancel !== null || order.replaces.length > 0
      ? MARKETABLE_MS
      : HOT_MS)
  )
}

/**
 * Whether a marketable order waits for something, and executes the moment that this is over.
 * @param quietMs how long ago something of it changed
 */
export function isHeldUp(order: Order, quietMs: number, canExecute: boolean): boolean {
  const isWorking = order.status !== 'submitting' && order.endedAt === null
  return canExecute && isWorking && isMarketable(order) && quietMs >= HELD_UP_MS
}

/** It executes at whatever price there is. */
const isMarketable = ({ orderType, timeInForce }: Order): boolean =>
  orderType === 'market' || timeInForce === 'ioc' || timeInForce === 'fok'
