/**
 * `unread`: the store lost the account's record, and it is read for the first time again.
 * `returned`: the store was away, and may have lost what was written last.
 */
export type Gap = 'overflow' | 'unreadable' | 'mute' | 'notice' | 'unread' | 'returned'

/** What following connections counts; the process makes metrics of it. */
export interface AccountMetrics {
  /** A poll was made. `changed`: orders of which it knew more than the stream had told. */
  polled(kind: 'open' | 'in_flight', requests: number, changed: number): void
  /** A hole in what the stream told was found, and a recovery is run. */
  gap(why: Gap): void
  recovered(outcome: 'done' | 'failed'): void
  /** An execution had to be worked out from the order's totals: nothing lists it yet. */
  inferred(): void
  /** A record could not be worked on and was left as it is. */
  unworkable(): void
  /** An order without a purpose rests at the broker. */
  leftover(what: 'canceled' | 'unconfirmed' | 'external'): void
  /** How all connections of this process stand; told about once a second. */
  standing(all: readonly SessionStanding[]): void
}

/**
 * How one connection is followed. The stream and the calls are two things: either may be away
 * without the other (CON-06).
 */
export type SessionStanding = Readonly<{
  stream: 'connecting' | 'live' | 'down' | 'refused'
  calls: 'up' | 'down'
  isRecovered: boolean
  openOrders: number
  /** Intervals of polling, in ms, and what they cost. */
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
