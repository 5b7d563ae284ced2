import type { ServerResponse } from 'node:http'
import type { Account } from '../broker/account.ts'
import { notFound, Refusal } from '../broker/refusal.ts'
import { refusalOfLeftOut } from './left-out.ts'

/** A request, as passed to a handler. */
export type Call = Readonly<{
  account: Account
  params: Readonly<Record<string, string>>
  query: URLSearchParams
  /** Parsed JSON; undefined when the request had no body. */
  body: unknown
}>

/** A request to a path that needs no keys. */
export type OpenCall = Pick<Call, 'params' | 'query'>

/**
 * A handler's answer; without `body` none is sent. With `stream` the answer ends when `stream` ends
 * it.
 */
export type Reply = Readonly<{
  status: number
  body?: unknown
  headers?: Readonly<Record<string, string>>
  stream?: (response: ServerResponse) => void
}>
export type Handler = (call: Call) => Reply
export type OpenHandler = (call: OpenCall) => Reply

/**
 * `GET /v2/orders/:id`: a segment that begins with a colon is a parameter;
 * `orders:by_client_order_id` is a literal segment.
 */
export type Routes = Readonly<Record<string, Handler>>
export type OpenRoutes = Readonly<Record<string, OpenHandler>>
type Match<Handles> = Readonly<{
  route: string
  handler: Handles
  params: Readonly<Record<string, string>>
}>
export type Router<Handles> = (method: string, path: string) => Match<Handles>

/** Segments of a path, decoded. A trailing slash is ignored. */
function segmentsOf(path: string): string[] {
  try {
    return path.replace(/\/+$/, '').split('/').slice(1).map(decodeURIComponent)
  } catch {
    throw notFound('endpoint not found.')
  }
}

function paramsOf(
  pattern: readonly string[],
  actual: readonly string[],
): Record<string, string> | undefined {
  if (pattern.length !== actual.length) return undefined
  const params: Record<string, string> = {}
  for (const [index, segment] of pattern.entries()) {
    const value = actual[index] ?? ''
    if (segment.startsWith(':')) params[segment.slice(1)] = value
    else if (segment !== value) return undefined
  }
  return params
}

/**
 * Finds the first route whose method and path match.
 * @throws {Refusal} 404 for an unknown path, 501 for a feature of the real API that the sandbox
 *   lacks, 405 for a wrong method
 */
export function createRouter<Handles>(routes: Readonly<Record<string, Handles>>): Router<Handles> {
  const table = Object.entries(routes).map(([route, handler]) => {
    const [method = '', path = ''] = route.split(' ')
    return { route, method, segments: path.split('/').slice(1), handler }
  })
  return (method, path) => {
    const actual = segmentsOf(path)
    let known = false
    for (const entry of table) {
      const params = paramsOf(entry.segments, actual)
      if (params === undefined) continue
      known = true
      if (entry.method === method) return { route: entry.route, handler: entry.handler, params }
    }
    if (known) throw new Refusal(405, 40510000, 'method not allowed')
    throw refusalOfLeftOut(path) ?? notFound('endpoint not found.')
  }
}
