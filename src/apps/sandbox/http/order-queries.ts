import type { Account } from '../broker/account.ts'
import { findAsset } from '../broker/assets.ts'
import { isOpen, type Order } from '../broker/order.ts'
import { invalid } from '../broker/refusal.ts'
import { parseStamp } from '../stamps.ts'

/** `GET /v2/orders`: its filters and both ways of paging. */

const LIMIT_DEFAULT = 50
const LIMIT_MAX = 500

/** A list given comma-separated, repeated, or both: clients differ. */
export const listOf = (query: URLSearchParams, name: string): string[] =>
  query
    .getAll(name)
    .flatMap((value) => value.split(','))
    .map((value) => value.trim())
    .filter((value) => value !== '')

/** One of the allowed values; the first value if the parameter is absent. @throws {Refusal} */
export function choiceOf<const Word extends string>(
  query: URLSearchParams,
  name: string,
  allowed: readonly [Word, ...Word[]],
): Word {
  const value = query.get(name)
  if (value === null || value === '') return allowed[0]
  const word = allowed.find((candidate) => candidate === value)
  if (word === undefined) throw invalid(`invalid ${name}: must be one of ${allowed.join(', ')}`)
  return word
}

/** A whole number from 1 to `max`. @throws {Refusal} */
export function countOf(
  query: URLSearchParams,
  name: string,
  fallback: number,
  max: number,
): number {
  const value = query.get(name)
  if (value === null || value === '') return fallback
  if (!/^\d{1,6}$/.test(value) || Number(value) < 1 || Number(value) > max) {
    throw invalid(`invalid ${name}: must be between 1 and ${max}`)
  }
  return Number(value)
}

/** A time, in the form of our stamps. @throws {Refusal} */
export function timeOf(query: URLSearchParams, name: string): string | undefined {
  const value = query.get(name)
  if (value === null || value === '') return undefined
  const stamp = parseStamp(value)
  if (stamp === undefined) throw invalid(`invalid ${name}: must be an RFC 3339 time`)
  return stamp
}

function filterOf(query: URLSearchParams): (order: Order) => boolean {
  const status = choiceOf(query, 'status', ['open', 'closed', 'all'])
  const side = query.get('side') ? choiceOf(query, 'side', ['buy', 'sell']) : undefined
  const symbols = new Set(listOf(query, 'symbols').map((name) => findAsset(name)?.symbol ?? name))
  const classes = new Set(listOf(query, 'asset_class').filter((name) => name !== 'all'))
  const after = timeOf(query, 'after')
  const until = timeOf(query, 'until')
  return (order) =>
    (status === 'all' || isOpen(order) === (status === 'open')) &&
    (side === undefined || order.request.side === side) &&
    (symbols.size === 0 || symbols.has(order.request.asset.symbol)) &&
    (classes.size === 0 || classes.has(order.request.asset.assetClass)) &&
    (after === undefined || order.submittedAt > after) &&
    (until === undefined || order.submittedAt < until)
}

/** Nested, a leg is listed inside its parent; it is a row of its own only without its parent. */
function withinParents(rows: Order[], nested: boolean): Order[] {
  const listed = new Set(rows)
  return nested ? rows.filter(({ parent }) => parent === null || !listed.has(parent)) : rows
}

/**
 * The page of orders that a query asks for.
 * @param shows whether an order is visible yet
 * @throws {Refusal} 422 on bad parameters
 */
export function ordersPage(
  account: Account,
  query: URLSearchParams,
  shows: (order: Order) => boolean,
): Order[] {
  const limit = countOf(query, 'limit', LIMIT_DEFAULT, LIMIT_MAX)
  const direction = choiceOf(query, 'direction', ['desc', 'asc'])
  const before = query.get('before_order_id')
  const after = query.get('after_order_id')
  const filter = filterOf(query)
  if (before !== null && after !== null)
    throw invalid('only one of before_order_id or after_order_id is accepted')
  const cursorId = before ?? after
  if (cursorId !== null && (query.has('after') || query.has('until'))) {
    throw invalid('before_order_id and after_order_id cannot be combined with after or until')
  }
  const cursor = cursorId === null ? undefined : account.orders.get(cursorId)
  if (cursorId !== null && cursor === undefined) throw invalid(`order not found for ${cursorId}`)
  const source =
    query.get('status') === null && cursor === undefined
      ? account.openOrders
      : account.orders.values()
  const rows = [...source].filter(
    (order) =>
      shows(order) &&
      filter(order) &&
      (cursor === undefined ||
        (before === null
          ? order.submittedAt > cursor.submittedAt
          : order.submittedAt < cursor.submittedAt)),
  )
  rows.sort((a, b) => (a.submittedAt < b.submittedAt ? -1 : 1))
  if (direction === 'desc') rows.reverse()
  return withinParents(rows, query.get('nested') === 'true').slice(0, limit)
}
