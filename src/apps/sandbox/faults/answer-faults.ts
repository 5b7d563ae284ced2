import type { ServerResponse } from 'node:http'
import type { Fault } from './fault.ts'

/** Effects of request faults on an answer. Pure: the server sends the answers. */

/** An answer ready to be written. */
export type WireAnswer = Readonly<{
  status: number
  headers: Readonly<Record<string, string>>
  /** Undefined: no body. */
  text: string | undefined
  /** Delay before the answer is written. */
  delayMs?: number
  /** Writes the body after the headers, without a time limit. */
  stream?: (response: ServerResponse) => void
}>

/** `cut`: the connection ends without an answer. */
type Outcome = WireAnswer | 'cut'

const DELAY_MS_DEFAULT = 35_000
const RETRY_AFTER_S = 1

const json = (
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): WireAnswer => ({
  status,
  headers: { 'content-type': 'application/json; charset=utf-8', ...headers },
  text: JSON.stringify(body),
})

/** 500 is the broker's own answer; 503 and 504 come from the proxy before it, without a code. */
function serverError(status: number): WireAnswer {
  if (status === 500)
    return json(status, { code: 50010000, message: 'internal server error occurred' })
  return json(status, { message: status === 503 ? 'service unavailable' : 'gateway timeout' })
}

function htmlPage(status: number): WireAnswer {
  const title = `${status} ${status === 503 ? 'Service Temporarily Unavailable' : 'Error'}`
  const text = `<html>\r\n<head><title>${title}</title></head>\r\n<body>\r\n<center><h1>${title}</h1></center>\r\n</body>\r\n</html>\r\n`
  return { status, headers: { 'content-type': 'text/html' }, text }
}

/** True for paths of the data host. */
export const isData = (path: string): boolean => /^\/v2\/stocks|^\/v1beta/.test(path)

/** The 429 of the trading host, or of the data host. */
export function rateLimited(path: string, headers: Readonly<Record<string, string>>): WireAnswer {
  const body = isData(path)
    ? { message: 'too many requests.' }
    : { code: 42910000, message: 'rate limit exceeded' }
  return json(429, body, headers)
}

/** The fault's answer instead of the broker's; undefined if the fault lets the request through. */
export function beforeRequest(fault: Fault, path: string, nowMs: number): Outcome | undefined {
  const { kind, status, headers = true } = fault
  if (kind === 'lose_request') return 'cut'
  if (kind === 'error_before') return serverError(status ?? 500)
  if (kind === 'html_error') return htmlPage(status ?? 503)
  if (kind === 'not_permitted')
    return json(401, { code: 40110000, message: 'request is not authorized' })
  if (kind !== 'rate_limit') return undefined
  const reset = Math.ceil(nowMs / 1000) + RETRY_AFTER_S
  const told = {
    'x-ratelimit-limit': '200',
    'x-ratelimit-remaining': '0',
    'x-ratelimit-reset': String(reset),
  }
  return rateLimited(path, headers ? { 'retry-after': String(RETRY_AFTER_S), ...told } : {})
}

/** The delay before a request is processed. */
export const requestDelayMs = ({ kind, delayMs = DELAY_MS_DEFAULT }: Fault): number =>
  kind === 'delay_request' ? delayMs : 0

/** The broker's answer after the fault. */
export function afterRequest(fault: Fault, answer: WireAnswer): Outcome {
  const { kind, status, delayMs = DELAY_MS_DEFAULT } = fault
  if (kind === 'drop_answer') return 'cut'
  if (kind === 'delay_answer') return { ...answer, delayMs }
  if (kind === 'error_after') return serverError(status ?? 500)
  if (kind === 'empty_answer') return { ...answer, status: 200, text: '' }
  if (kind !== 'truncated_answer' || answer.text === undefined) return answer
  return { ...answer, status: 200, text: answer.text.slice(0, Math.ceil(answer.text.length / 2)) }
}
