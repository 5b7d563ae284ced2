/**
 * `unread`: the store lost the account's record, so the account is adopted again. `returned`: the
 * store was unavailable, and may have lost the last writes.
 */
export type Gap = 'overflow' | 'unreadable' | 'mute' | 'notice' | 'unread' | 'returned'

/** Counters of the sessions; the process exports them as metrics. */
export interface AccountMetrics {
  /** A poll ended. `changed`: the number of orders whose change the stream had not reported. */
  polled(kind: 'open' | 'in_flight', requests: number, changed: number): void
  /** A gap in the stream's reports was found, and a recovery follows. */
  gap(why: Gap): void
  recovered(outcome: 'done' | 'failed'): void
  /** An execution was inferred from the order's totals, because no list has it yet. */
  inferred(): void
  /** An invalid record was skipped and left unchanged. */
  unworkable(): void
  /** A leftover: an order without a purpose rests at the broker. */
  leftover(what: 'canceled' | 'unconfirmed' | 'external'): void
  /** The standings of all connections of this process, about once a second. */
  standing(all: readonly SessionStanding[]): void
}

/** The standing of one connection. The stream and the calls fail independently (CON-06). */
export type SessionStanding = Readonly<{
  stream: 'connecting' | 'live' | 'down' | 'refused'
  calls: 'up' | 'down'
  isRecovered: boolean
  openOrders: number
  /** Intervals of polling, in ms, and the requests that polling takes. */
  openMs: number
  flightMs: number
  requestsPerMinute: number
  isStretched: boolean
}>

export const noMetrics: AccountMetrics = {
  polled() {},
  gap() {},
  recovered() {},
  inferred() {},
  unworkable() {},
  leftover() {},
  standing() {},
}
