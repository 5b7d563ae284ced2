import type { Account } from '../broker/account.ts'
import type { Execution } from '../broker/order.ts'
import { invalid } from '../broker/refusal.ts'
import { choiceOf, countOf, listOf, timeOf } from './order-queries.ts'

/** `GET /v2/account/activities`: fills are the only activity of this cut; other types are valid and empty. */

const PAGE_SIZE_MAX = 100
const DAY_LENGTH = '2024-01-02'.length

/** @param type from the path; else `activity_types` and `category` choose @throws {Refusal} 422 on bad parameters */
export function activitiesPage(account: Account, query: URLSearchParams, type?: string): Execution[] {
  const types = type === undefined ? listOf(query, 'activity_types') : [type]
  if (type === undefined && types.length > 0 && query.has('category')) {
    throw invalid('only one of activity_types or category is accepted')
  }
  const direction = choiceOf(query, 'direction', ['desc', 'asc'])
  const category = query.has('category')
    ? choiceOf(query, 'category', ['trade_activity', 'non_trade_activity'])
    : 'trade_activity'
  const day = timeOf(query, 'date')?.slice(0, DAY_LENGTH)
  const size = countOf(query, 'page_size', day === undefined ? PAGE_SIZE_MAX : Number.MAX_SAFE_INTEGER, PAGE_SIZE_MAX)
  const [after, until] = [timeOf(query, 'after'), timeOf(query, 'until')]
  if ((types.length > 0 && !types.includes('FILL')) || category !== 'trade_activity') return []
  const rows = account.executions.filter(
    ({ at }) =>
      (day === undefined || at.startsWith(day)) &&
      (after === undefined || at > after) &&
      (until === undefined || at < until),
  )
  if (direction === 'desc') rows.reverse()
  const token = query.get('page_token')
  if (token === null || token === '') return rows.slice(0, size)
  const last = rows.findIndex(({ activityId }) => activityId === token)
  if (last < 0) throw invalid('invalid page_token')
  return rows.slice(last + 1, last + 1 + size)
}
