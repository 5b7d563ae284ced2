import { BrokerError, type CancelOutcome, type SubmitOutcome } from '../port.ts'

// What Alpaca's answers prove (alpaca.md section 3). The HTTP status is authoritative; one numeric code covers many causes, so a
// verdict is read from status and code first and from the message by loose pattern only.

/** A failed call, taken out of the SDK's error classes. `null` status: no answer was read. */
export type Failure = Readonly<{
  status: number | null
  brokerCode: string | null
  message: string
  retryAfterMs: number | null
}>

/** The SDK's errors are recognised by shape: `instanceof` breaks when two copies of it are loaded. */
export function failureOf(error: unknown): Failure {
  const none: Failure = { status: null, brokerCode: null, message: 'no readable answer', retryAfterMs: null }
  if (typeof error !== 'object' || error === null) return none
  const { status, code, message, retryAfterMs, cause } = error as Record<string, unknown>
  if (typeof status !== 'number') return { ...none, message: describe(error, cause) }
  return {
    status,
    brokerCode: typeof code === 'number' || typeof code === 'string' ? String(code) : null,
    message: typeof message === 'string' ? message.slice(0, 500) : 'no message',
    retryAfterMs: typeof retryAfterMs === 'number' ? retryAfterMs : null,
  }
}

function describe(error: object, cause: unknown): string {
  const name = error instanceof Error ? error.name : 'error'
  const inner = cause instanceof Error ? ((cause as { code?: string }).code ?? cause.name) : ''
  return inner === '' ? name : `${name} (${inner})`
}

/** Statuses that prove non-acceptance. Everything that is not listed is unknown. */
const REFUSALS: ReadonlySet<number> = new Set([400, 401, 403, 404, 422])

const DUPLICATE = /client[_ ]order[_ ]id must be unique/i

/** Ours, most specific first; the message patterns are the catalogue's. */
const CODES: readonly (readonly [status: number, pattern: RegExp, code: string])[] = [
  [401, /./, 'BROKER_DISCONNECTED'],
  [403, /^forbidden\.?$/i, 'BROKER_DISCONNECTED'],
  [403, /buying power|insufficient balance/i, 'INSUFFICIENT_BUYING_POWER'],
  [403, /insufficient qty/i, 'INSUFFICIENT_QUANTITY'],
  [422, /not found|not tradable/i, 'SYMBOL_NOT_TRADABLE'],
  [422, /asset .* is not active/i, 'SYMBOL_NOT_TRADABLE'],
  [403, /extended hours|market is closed|outside/i, 'MARKET_CLOSED'],
]

const rejectionCodeOf = ({ status, message }: Failure): string =>
  CODES.find(([wanted, pattern]) => wanted === status && pattern.test(message))?.[2] ?? 'BROKER_REJECTED'

/** The three-valued outcome of a submission that did not simply succeed. */
export function submitOutcomeOf(failure: Failure): SubmitOutcome {
  const { status, brokerCode, message, retryAfterMs } = failure
  if (status === 429) return { kind: 'rate_limited', retryAfterMs }
  if (status === 422 && DUPLICATE.test(message)) return { kind: 'duplicate' }
  if (status !== null && REFUSALS.has(status))
    return { kind: 'refused', code: rejectionCodeOf(failure), brokerCode, message }
  return { kind: 'unknown', cause: status === null ? message : `status ${status}` }
}

export function cancelOutcomeOf({ status, message }: Failure): CancelOutcome {
  if (status === 404 || status === 422) return { kind: 'refused', message }
  return { kind: 'unknown', cause: status === null ? message : `status ${status}: ${message}` }
}

/** What a reading call throws. */
export function readErrorOf(failure: Failure): BrokerError {
  const { status, message, retryAfterMs } = failure
  const isCredentials = status === 401 || (status === 403 && failure.brokerCode === null)
  if (isCredentials) return new BrokerError('CREDENTIALS', 'API authentication failed')
  if (status === 429) return new BrokerError('RATE_LIMITED', 'the request budget of the account is spent', retryAfterMs)
  if (status === null || status >= 500)
    return new BrokerError('UNAVAILABLE', status === null ? message : `status ${status}`)
  return new BrokerError('UNREADABLE', `status ${status}: ${message}`)
}
