import type { Order, Refusal } from './order.ts'

// May an order be sent, or sent again? A second request makes a second order if the broker takes it
// for a new one, so the times of the record are compared in one place.
//
//   state    | the record shows                 | next step    | if the broker has no such order
//   settled  | the order arrived, or has ended  | none         | -
//   sending  | a request may be under way       | wait         | -
//   parked   | no request can have arrived      | send or end  | close; if in doubt, confirm first
//   unknown  | a request may have arrived       | look up      | resend while fresh, else watch

/** The longest time that a request takes: longer than the deadline of any call. */
export const REQUEST_MS_MAX = 10_000
/** An intent may be sent again for this long after its claim. */
export const RESEND_MS_MAX = 60_000
/** An order that the complete list lacks so long after its last request never arrived (SUB-05). */
export const NOT_RECEIVED_MS = 15 * 60_000
/** Workers know the time of Redis to within this. */
const SHARED_TIME_MS = 1_000

/** The state of an order's submission. Times are ISO 8601. */
export type SubmissionState =
  | Readonly<{ kind: 'settled' }>
  | Readonly<{ kind: 'sending'; requestedAt: string }>
  /**
   * `doubtedSince`: an earlier request may have arrived whose record the store lost (RDQ-04).
   * `refusal`: the refusal that ends the order, once this doubt is settled.
   */
  | Readonly<{ kind: 'parked'; doubtedSince: string | null; refusal: Refusal | null }>
  /** `lastRequestEnd`: the latest time at which a request may still have arrived. */
  | Readonly<{ kind: 'unknown'; since: string | null; lastRequestEnd: string }>

/** @param nowMs ms since 1970, by the time of Redis */
export function submissionOf(order: Order, nowMs: number): SubmissionState {
  const { status, attemptedAt, attemptEndedAt, unknownSince, doubtedRefusal } = order
  if (status !== 'submitting') return { kind: 'settled' }
  if (attemptedAt === null)
    return { kind: 'parked', doubtedSince: unknownSince, refusal: doubtedRefusal ?? null }
  const hasEnded = attemptEndedAt !== null && attemptEndedAt >= attemptedAt
  if (!hasEnded && isYounger(attemptedAt, nowMs, REQUEST_MS_MAX))
    return { kind: 'sending', requestedAt: attemptedAt }
  const lastRequestEnd = hasEnded
    ? attemptEndedAt
    : new Date(Date.parse(attemptedAt) + REQUEST_MS_MAX).toISOString()
  return { kind: 'unknown', since: unknownSince, lastRequestEnd }
}

/**
 * - `none`: the submission is over
 * - `wait`: a request may be under way
 * - `send`: claim the order and send it
 * - `lookUp`: ask the broker for the client order id; if it has no such order, see `stepIfAbsent`
 */
export type SubmissionStep = 'none' | 'wait' | 'send' | 'lookUp'

/** @param mayBeSent the order is neither canceled nor too late */
export function nextStep(state: SubmissionState, mayBeSent: boolean): SubmissionStep {
  switch (state.kind) {
    case 'settled':
      return 'none'
    case 'sending':
      return 'wait'
    case 'parked':
      return mayBeSent && state.refusal === null ? 'send' : 'lookUp'
    case 'unknown':
      return 'lookUp'
  }
}

/**
 * - `close`: end the order, no request of it can arrive any more
 * - `confirm`: look the order up once more, when a request whose record was lost must be over
 * - `resend`: send the order again under the same client order id
 * - `watch`: never send the order again, and look it up until `isNotReceived`
 */
export type AbsentStep = 'close' | 'confirm' | 'resend' | 'watch'

/**
 * The step after a look-up that found no order.
 * @param mayHaveLostWrites the store was away a short while ago (RDQ-04)
 */
export function stepIfAbsent(
  order: Pick<Order, 'cancel' | 'claimedAt' | 'notAfter'>,
  state: Extract<SubmissionState, { kind: 'parked' | 'unknown' }>,
  { nowMs, mayHaveLostWrites }: Readonly<{ nowMs: number; mayHaveLostWrites: boolean }>,
): AbsentStep {
  if (state.kind === 'parked') {
    const { doubtedSince } = state
    if (doubtedSince === null) return mayHaveLostWrites ? 'confirm' : 'close'
    return isYounger(doubtedSince, nowMs, REQUEST_MS_MAX) ? 'confirm' : 'close'
  }
  return isFresh(order, nowMs) ? 'resend' : 'watch'
}

/** If no request can arrive any more, an order that the complete list lacks is closed. */
export const isNotReceived = (
  { lastRequestEnd }: Extract<SubmissionState, { kind: 'unknown' }>,
  nowMs: number,
): boolean => nowMs - Date.parse(lastRequestEnd) >= NOT_RECEIVED_MS

/** Whether the deadline of an order has passed. */
export const isPast = ({ notAfter }: Pick<Order, 'notAfter'>, nowMs: number): boolean =>
  notAfter !== null && nowMs > Date.parse(notAfter)

/**
 * Whether an order may be sent again. If its claim lies in the future, the time has stepped back
 * and the age of the claim is unknown, so the order is not sent again.
 */
function isFresh(
  { cancel, claimedAt, notAfter }: Pick<Order, 'cancel' | 'claimedAt' | 'notAfter'>,
  nowMs: number,
): boolean {
  const ageMs = nowMs - Date.parse(claimedAt ?? '')
  return (
    cancel === null &&
    !isPast({ notAfter }, nowMs) &&
    ageMs >= -SHARED_TIME_MS &&
    ageMs <= RESEND_MS_MAX
  )
}

/** Whether a time lies less than `forMs` away, before or after: the time of Redis may step back. */
const isYounger = (at: string, nowMs: number, forMs: number): boolean =>
  Math.abs(nowMs - Date.parse(at)) < forMs
