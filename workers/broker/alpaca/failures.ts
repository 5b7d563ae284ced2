import type { RefusalCode } from '#contract'
import {
  BrokerError,
  type CancelOutcome,
  type NotSent,
  type RateLimited,
  type ReplaceOutcome,
  type SubmitOutcome,
  type Unknown,
} from '../port.ts'
import { ReadResponse } from './read-response.ts'

// The one table from Alpaca's status and code to an outcome. The HTTP status is authoritative and
// one numeric code covers many causes, so the cause is read from the status first, then from the
// message by loose pattern. An answer that is not in the table has an unknown outcome. Sources:
// Alpaca's reference of order errors, and public reports of real answers.

/** A failed call, read from the SDK's error classes. `null` status: no answer was read. */
export type Failure = Readonly<{
  status: number | null
  brokerCode: string | null
  message: string
  retryAfterMs: number | null
  /**
   * True if the form of the answer is the broker's own: an intermediary (a proxy, a mesh) answers
   * with the same statuses.
   */
  isOfBroker: boolean
}>

const MESSAGE_LENGTH_MAX = 500

/**
 * The SDK's errors are recognized by shape: `instanceof` fails if two copies of the SDK are loaded.
 */
export function failureOf(error: unknown): Failure {
  const none: Failure = {
    status: null,
    brokerCode: null,
    message: 'no readable answer',
    retryAfterMs: null,
    isOfBroker: false,
  }
  if (typeof error !== 'object' || error === null) return none
  const { status, code, message, retryAfterMs, cause, response } = error as Record<string, unknown>
  if (typeof status !== 'number') return { ...none, message: describe(error, cause) }
  return {
    status,
    brokerCode: typeof code === 'number' || typeof code === 'string' ? String(code) : null,
    message: typeof message === 'string' ? message.slice(0, MESSAGE_LENGTH_MAX) : 'no message',
    retryAfterMs: typeof retryAfterMs === 'number' ? retryAfterMs : null,
    isOfBroker: response instanceof ReadResponse ? response.isOfBroker : code !== undefined,
  }
}

/** True if the broker itself answered that the requested object does not exist. */
export const provesAbsence = ({ status, isOfBroker }: Failure): boolean =>
  status === 404 && isOfBroker

function describe(error: object, cause: unknown): string {
  const name = error instanceof Error ? error.name : 'error'
  const inner = cause instanceof Error ? ((cause as { code?: string }).code ?? cause.name) : ''
  return inner === '' ? name : `${name} (${inner})`
}

/** The meaning of a status for a request that changes an order, before its message is read. */
type Verdict = 'refused' | 'credentials' | 'rate_limited' | 'unknown'

const VERDICTS: Readonly<Record<number, Verdict>> = {
  400: 'refused',
  401: 'credentials',
  403: 'refused',
  404: 'refused',
  422: 'refused',
  429: 'rate_limited',
}

const FORBIDDEN = /^forbidden\.?$/i

function verdictOf({ status, message, brokerCode, isOfBroker }: Failure): Verdict {
  if (status === null) return 'unknown'
  const verdict = VERDICTS[status] ?? 'unknown'
  // An answer of an intermediary proves nothing about the broker. Its rate limit is a limit all the
  // same.
  if (!isOfBroker && verdict !== 'rate_limited') return 'unknown'
  return status === 403 && brokerCode === null && FORBIDDEN.test(message) ? 'credentials' : verdict
}

const DUPLICATE = /client[_ ]order[_ ]id must be unique/i

/** The cause of a refusal, most specific first. */
const CAUSES: readonly (readonly [
  statuses: readonly number[],
  pattern: RegExp,
  code: RefusalCode,
])[] = [
  [[403, 422], /wash trade/i, 'WASH_TRADE'],
  // The windows of the auctions, and a closed market. Messages about extended hours concern the
  // order's terms and do not match.
  [
    [403, 422],
    /market is closed|\b(opg|cls)\b.*\b(before|after|between|until|window)\b/i,
    'MARKET_CLOSED',
  ],
  [[403], /buying power|insufficient balance/i, 'INSUFFICIENT_BUYING_POWER'],
  [[403], /insufficient qty/i, 'INSUFFICIENT_QUANTITY'],
  [[403, 422], /position intent mismatch/i, 'INSUFFICIENT_QUANTITY'],
  [[403, 422], /sold short|allowed to short|not shortable/i, 'SHORT_NOT_ALLOWED'],
  [[403, 422], /fraction|qty must be integer/i, 'FRACTIONAL_NOT_ALLOWED'],
  [
    [403],
    /not authorized|liquidation only|by user request|pattern day trading|account .*not allowed|restricted/i,
    'ACCOUNT_RESTRICTED',
  ],
  [[404, 422], /not found|not tradable|asset .* is not active/i, 'SYMBOL_NOT_TRADABLE'],
  [[422], /orders not allowed for account/i, 'ACCOUNT_RESTRICTED'],
  [
    [422],
    /sub-penny|increment|(limit|stop)[_ ]price (must be|is)|stop price must/i,
    'INVALID_PRICE',
  ],
]

/** Codes that have only one cause, independent of the message. */
const CAUSE_OF_CODE: Readonly<Record<string, RefusalCode>> = { '40310100': 'ACCOUNT_RESTRICTED' }

const causeOf = ({ status, brokerCode, message }: Failure): RefusalCode =>
  CAUSE_OF_CODE[brokerCode ?? ''] ??
  CAUSES.find(
    ([statuses, pattern]) => status !== null && statuses.includes(status) && pattern.test(message),
  )?.[2] ??
  'BROKER_REJECTED'

const unknown = ({ status, message }: Failure): Unknown => ({
  kind: 'unknown',
  cause: status === null ? message : `status ${status}`,
})
const limited = ({ retryAfterMs }: Failure): RateLimited => ({ kind: 'rate_limited', retryAfterMs })

/**
 * The message for refused credentials, with the action to take; the broker's own message does not
 * help a user.
 */
const CONNECT_AGAIN =
  'The broker refused the credentials of this connection. Connect the broker account again, then send the order again under a new trade id'

/** The outcome of a submission that failed or has no readable answer. */
export function submitOutcomeOf(failure: Failure): Exclude<SubmitOutcome, NotSent> {
  const { status, brokerCode, message } = failure
  const verdict = verdictOf(failure)
  if (verdict === 'unknown') return unknown(failure)
  if (verdict === 'rate_limited') return limited(failure)
  if (verdict === 'credentials')
    return { kind: 'refused', code: 'BROKER_DISCONNECTED', brokerCode, message: CONNECT_AGAIN }
  if (status === 422 && DUPLICATE.test(message)) return { kind: 'duplicate' }
  return { kind: 'refused', code: causeOf(failure), brokerCode, message }
}

/** The outcome of a replacement that failed. Refused credentials change nothing at the broker. */
export function replaceOutcomeOf(failure: Failure): Exclude<ReplaceOutcome, NotSent> {
  const { status, message } = failure
  const verdict = verdictOf(failure)
  if (verdict === 'unknown') return unknown(failure)
  if (verdict === 'rate_limited') return limited(failure)
  if (status === 422 && DUPLICATE.test(message)) return { kind: 'duplicate' }
  return { kind: 'refused', message: verdict === 'credentials' ? CONNECT_AGAIN : message }
}

/**
 * The outcome of a cancel that failed. Only an answer about the order is a refusal; every other
 * cancel is tried again.
 */
export function cancelOutcomeOf(failure: Failure): Exclude<CancelOutcome, NotSent> {
  const { status, message } = failure
  const verdict = verdictOf(failure)
  if (verdict === 'rate_limited') return limited(failure)
  if (verdict === 'refused' && (status === 404 || status === 422))
    return { kind: 'refused', message }
  return { kind: 'unknown', cause: status === null ? message : `status ${status}: ${message}` }
}

/** The error that a reading call throws. */
export function readErrorOf(failure: Failure): BrokerError {
  const { status, brokerCode, message, retryAfterMs } = failure
  const verdict = verdictOf(failure)
  if (verdict === 'credentials' || (status === 403 && brokerCode === null && verdict === 'refused'))
    return new BrokerError('CREDENTIALS', 'API authentication failed')
  if (verdict === 'rate_limited')
    return new BrokerError(
      'RATE_LIMITED',
      'the broker says that these are too many requests',
      retryAfterMs,
    )
  if (status === null) return new BrokerError('UNAVAILABLE', message)
  return status >= 500 || status === 408 || verdict === 'unknown'
    ? new BrokerError('UNAVAILABLE', `status ${status}`)
    : new BrokerError('UNREADABLE', `status ${status}: ${message}`)
}
