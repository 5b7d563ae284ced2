import type { Account } from '../broker/account.ts'
import type { Activity } from '../broker/activity.ts'
import { text } from '../broker/decimals.ts'
import type { Execution } from '../broker/order.ts'
import { invalid } from '../broker/refusal.ts'
import { choiceOf, countOf, listOf, timeOf } from './order-queries.ts'
import { fillActivityJson, type Json } from './shapes.ts'

/**
 * `GET /v2/account/activities`: fills and all other moves of money, in the order they were booked.
 * A busted fill has no row; a corrected fill has a new row, booked at its correction. So the
 * quantities of an order's rows always add up to its filled quantity.
 */
const PAGE_SIZE_MAX = 100
const DAY_LENGTH = '2024-01-02'.length
/** Names for groups of types. */
const groups: Readonly<Record<string, readonly string[]>> = { TRANS: ['CSD', 'CSW'] }

type Row = Readonly<{ id: string; type: string; at: string; json: () => Json }>

export const activityJson = (activity: Activity): Json => ({
  id: activity.id,
  activity_type: activity.type,
  date: activity.at.slice(0, DAY_LENGTH),
  net_amount: text(activity.netAmount),
  description: activity.description,
  status: 'executed',
  ...(activity.symbol === undefined ? {} : { symbol: activity.symbol }),
  ...(activity.qty === undefined ? {} : { qty: text(activity.qty) }),
  ...(activity.perShareAmount === undefined
    ? {}
    : { per_share_amount: text(activity.perShareAmount) }),
})

function rowsOf(account: Account, shows: (execution: Execution) => boolean): Row[] {
  const fills = account.executions.filter(shows).map((execution) => ({
    id: execution.activityId,
    type: 'FILL',
    at: execution.at,
    json: () => fillActivityJson(execution),
  }))
  const others = account.activities.map((activity) => ({
    id: activity.id,
    type: activity.type,
    at: activity.at,
    json: () => activityJson(activity),
  }))
  return [...fills, ...others].sort((a, b) => (a.at < b.at ? -1 : 1))
}

/** Selects the types that a query asks for. */
function typesOf(query: URLSearchParams, type: string | undefined): (type: string) => boolean {
  const named = type === undefined ? listOf(query, 'activity_types') : [type]
  if (type === undefined && named.length > 0 && query.has('category')) {
    throw invalid('only one of activity_types or category is accepted')
  }
  const types = new Set(named.flatMap((name) => groups[name] ?? [name]))
  if (types.size > 0) return (candidate) => types.has(candidate)
  if (!query.has('category')) return () => true
  const category = choiceOf(query, 'category', ['trade_activity', 'non_trade_activity'])
  return (candidate) => (candidate === 'FILL') === (category === 'trade_activity')
}

/**
 * The first row of a page: the row after the token's row. If the token's fill has been amended
 * since, the page begins after the fill's former place.
 */
function afterToken(
  account: Account,
  rows: readonly Row[],
  token: string,
  direction: 'asc' | 'desc',
): number {
  if (token === '') return 0
  const last = rows.findIndex(({ id }) => id === token)
  if (last >= 0) return last + 1
  const gone = account.amendments.find(({ before }) => before.activityId === token)?.before
  if (gone === undefined) throw invalid('invalid page_token')
  const next = rows.findIndex(({ at }) => (direction === 'asc' ? at > gone.at : at < gone.at))
  return next < 0 ? rows.length : next
}

/**
 * @param shows whether a fill is visible yet
 * @param type from the path; without it `activity_types` and `category` select the types
 * @throws {Refusal} 422 on bad parameters
 */
export function activitiesPage(
  account: Account,
  query: URLSearchParams,
  shows: (execution: Execution) => boolean,
  type?: string,
): Json[] {
  const isWanted = typesOf(query, type)
  const direction = choiceOf(query, 'direction', ['desc', 'asc'])
  const day = timeOf(query, 'date')?.slice(0, DAY_LENGTH)
  const size = countOf(
    query,
    'page_size',
    day === undefined ? PAGE_SIZE_MAX : Number.MAX_SAFE_INTEGER,
    PAGE_SIZE_MAX,
  )
  const after = timeOf(query, 'after')
  const until = timeOf(query, 'until')
  const rows = rowsOf(account, shows).filter(
    (row) =>
      isWanted(row.type) &&
      (day === undefined || row.at.startsWith(day)) &&
      (after === undefined || row.at > after) &&
      (until === undefined || row.at < until),
  )
  if (direction === 'desc') rows.reverse()
  const rest = rows.slice(afterToken(account, rows, query.get('page_token') ?? '', direction))
  return rest.slice(0, size).map(({ json }) => json())
}
