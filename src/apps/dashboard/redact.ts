// Limits which parts of a job are shown. By design jobs carry no secret; the redaction also covers
// a job that was put into the queue by hand.

const REDACTED = '[redacted]'
const TEXT_LENGTH_MAX = 128
const ERROR_LENGTH_MAX = 4_000
const DEPTH_MAX = 12

/** Fields of our own jobs and their outcomes. Any other field is a mistake and is redacted. */
const shown = new Set(
  [
    'userId connectionId tradeId commandId symbol side orderType timeInForce orderClass quantity notional limitPrice stopPrice',
    'trailPrice trailPercent trail percentage extendedHours takeProfit stopLoss notAfter by',
    'outcome status kind code clientOrderId brokerOrderId',
  ].flatMap((line) => line.split(' ')),
)

/** Job data and return values, by allow-list: known fields with short plain values. */
export function redactData(value: unknown, depth = 0): unknown {
  if (
    value === null ||
    value === undefined ||
    typeof value === 'boolean' ||
    typeof value === 'number'
  )
    return value
  if (typeof value === 'string')
    return depth > 0 && value.length <= TEXT_LENGTH_MAX ? scrubText(value) : REDACTED
  if (typeof value !== 'object' || Array.isArray(value) || depth > 2) return REDACTED
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      shown.has(key) ? redactData(inner, depth + 1) : REDACTED,
    ]),
  )
}

const secrets: readonly (readonly [RegExp, string])[] = [
  [/\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}/gi, `$1 ${REDACTED}`],
  [
    /((?:secret|password|passwd|token|authorization|api[-_]?key|key[-_]?id)[\w-]*)(["']?\s*[:=]\s*["']?)[^\s"',;&)}]+/gi,
    `$1$2${REDACTED}`,
  ],
  [/(\/\/)[^\s/@]+@/g, `$1${REDACTED}@`],
  // A run that mixes letters and digits, as in keys, tokens and digests.
  [/(?<![A-Za-z0-9+_=])(?=[A-Za-z+_=]*\d)(?=[\d+_=]*[A-Za-z])[A-Za-z0-9+_=]{20,}/g, REDACTED],
]

/** Scrubs free text such as an error: masks everything secret-like and bounds the length. */
export function scrubText(text: string): string {
  const bounded = text.length > ERROR_LENGTH_MAX ? `${text.slice(0, ERROR_LENGTH_MAX)}...` : text
  return secrets.reduce(
    (scrubbed, [pattern, replacement]) => scrubbed.replace(pattern, replacement),
    bounded,
  )
}

/**
 * Redacts an answer of the board's API. Every answer passes here: free text is scrubbed, and data
 * that no formatter handles is redacted.
 */
export function redactAnswer(value: unknown, key = '', depth = 0): unknown {
  if (depth > DEPTH_MAX) return REDACTED
  if (typeof value === 'string') return freeText.has(key) ? scrubText(value) : value
  if (Array.isArray(value)) return value.map((item) => redactAnswer(item, key, depth + 1))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [
      name,
      key === 'template' && name === 'data'
        ? redactData(inner)
        : redactAnswer(inner, name, depth + 1),
    ]),
  )
}

/** Keys of text from outside in the board's answers; the job's log lines are a bare array. */
const freeText = new Set([
  'failedReason',
  'stacktrace',
  'deferredFailure',
  'message',
  'error',
  'details',
  '',
])
