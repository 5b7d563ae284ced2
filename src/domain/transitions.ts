/**
 * The states of a placement, and of the order that it carries out.
 *
 *   submitting --> submitted --> partially_filled --> filled
 *       |  (claimed, perhaps sent, no evidence yet)     canceled | expired | replaced
 *       +--> denied (refused by our own checks, never sent)
 *       +--> rejected (refused by the broker, with proof)
 */
export type OrderStatus =
  | 'submitting'
  | 'submitted'
  | 'partially_filled'
  | 'filled'
  | 'expired'
  | 'replaced'
  | 'canceled'
  | 'rejected'
  | 'denied'

/** The effect of an update on the order's status, independent of its source. */
export type Signal =
  | 'acknowledged'
  | 'fill'
  | 'fillLast'
  | 'expired'
  | 'replaced'
  | 'canceled'
  | 'rejected'
  | 'refused'
  | 'denied'

type Row = Readonly<Partial<Record<Signal, OrderStatus>>>

const stays = (status: OrderStatus, ...signals: Signal[]): Row =>
  Object.fromEntries(signals.map((s) => [s, status]))

/**
 * The one table of legal transitions. A signal without a row entry is illegal and changes no
 * status. If two final statuses are reported, the stronger wins (filled > expired > replaced >
 * canceled > rejected), so that the order of arrival does not matter.
 */
const TRANSITIONS: Readonly<Record<OrderStatus, Row>> = {
  submitting: {
    acknowledged: 'submitted',
    fill: 'partially_filled', // a fill may arrive before the answer to our own request
    fillLast: 'filled',
    expired: 'expired',
    replaced: 'replaced',
    canceled: 'canceled', // canceled in the broker's own app before our answer came
    rejected: 'rejected',
    refused: 'rejected', // the definitive answer to the request itself
    denied: 'denied',
  },
  submitted: {
    ...stays('submitted', 'acknowledged'),
    fill: 'partially_filled',
    fillLast: 'filled',
    expired: 'expired',
    replaced: 'replaced',
    canceled: 'canceled',
    rejected: 'rejected', // answered 200, refused by the venue later
  },
  partially_filled: {
    ...stays('partially_filled', 'acknowledged', 'fill'),
    fillLast: 'filled',
    expired: 'expired',
    replaced: 'replaced',
    canceled: 'canceled',
    rejected: 'canceled', // a part executed, so the order was not rejected: its rest was canceled
  },
  rejected: {
    ...stays('rejected', 'acknowledged', 'rejected', 'refused'),
    fill: 'canceled', // the same two signals in the other order
    fillLast: 'filled',
    canceled: 'canceled',
    replaced: 'replaced',
    expired: 'expired',
  },
  canceled: {
    ...stays('canceled', 'acknowledged', 'rejected', 'canceled'),
    fill: 'canceled', // the venue matched before our cancel reached it: real money, booked
    fillLast: 'filled',
    replaced: 'replaced', // the cancel was one half of a replace
    expired: 'expired',
  },
  replaced: {
    ...stays('replaced', 'acknowledged', 'rejected', 'canceled', 'replaced', 'fill'),
    fillLast: 'filled',
    expired: 'expired',
  },
  expired: {
    ...stays('expired', 'acknowledged', 'rejected', 'canceled', 'replaced', 'expired', 'fill'),
    fillLast: 'filled',
  },
  filled: stays(
    'filled',
    'acknowledged',
    'fill', // more executed than ordered: booked, and reported as an anomaly
    'fillLast',
    'expired',
    'replaced',
    'canceled',
    'rejected',
  ),
  denied: {
    denied: 'denied',
    acknowledged: 'submitted', // closed by us, and yet at the broker: an anomaly, and tracked
    fill: 'partially_filled',
    fillLast: 'filled',
    expired: 'expired',
    replaced: 'replaced',
    canceled: 'canceled',
    rejected: 'rejected',
  },
}

/** The status after `signal`, or `null` when the transition is illegal. */
export const transitionOf = (from: OrderStatus, signal: Signal): OrderStatus | null =>
  TRANSITIONS[from][signal] ?? null

/** Every change from one status to another that the table allows. */
export const statusChanges: readonly Readonly<{ from: OrderStatus; to: OrderStatus }>[] =
  Object.entries(TRANSITIONS).flatMap(([status, row]) => {
    const from = status as OrderStatus
    return [...new Set(Object.values(row))].flatMap((to) => (to === from ? [] : [{ from, to }]))
  })

const TERMINAL: ReadonlySet<OrderStatus> = new Set([
  'filled',
  'expired',
  'replaced',
  'canceled',
  'rejected',
  'denied',
])

/** No further work is expected. Late executions are booked nevertheless. */
export const isTerminal = (status: OrderStatus): boolean => TERMINAL.has(status)

/** How a broker ends an order. */
export type FinalStatus = Extract<
  OrderStatus,
  'filled' | 'expired' | 'replaced' | 'canceled' | 'rejected'
>

/** Strongest last; see the table. */
export const FINAL_STRENGTH: Readonly<Record<FinalStatus, number>> = {
  rejected: 1,
  canceled: 2,
  replaced: 3,
  expired: 4,
  filled: 5,
}

export const isFinalStatus = (status: BrokerStatus): status is FinalStatus =>
  Object.hasOwn(FINAL_STRENGTH, status)

/**
 * The broker's own statuses (Alpaca's set). `unrecognized` replaces any status that is newer than
 * this list.
 */
export type BrokerStatus =
  | 'accepted'
  | 'pending_new'
  | 'accepted_for_bidding'
  | 'new'
  | 'held'
  | 'partially_filled'
  | 'done_for_day'
  | 'stopped'
  | 'suspended'
  | 'calculated'
  | 'pending_cancel'
  | 'pending_replace'
  | 'unrecognized'
  | FinalStatus
