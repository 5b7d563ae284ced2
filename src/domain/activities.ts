import type { Account, CashCause } from './account.ts'
import { add, type Decimal, isZero, sum, ZERO } from './decimal.ts'

/** A movement of an account's cash or holdings other than an execution, in our terms. */
export type BrokerActivity = Readonly<{
  id: string
  /**
   * `cash` is any movement of money that is neither a deposit nor a withdrawal: fee, dividend,
   * interest, journal.
   */
  kind: 'deposit' | 'withdrawal' | 'cash' | 'split' | 'symbol_change' | 'other'
  /** The broker's own name of the activity type. */
  type: string
  /** The change of the cash, signed; `null` if the cash did not change. */
  amount: Decimal | null
  symbol: string | null
  /** The new symbol of a symbol change. */
  newSymbol: string | null
  /**
   * The change of the holding of `symbol`, signed; `null` if the holding did not change (a dividend
   * names shares and moves none).
   */
  quantity: Decimal | null
  /**
   * When the activity was booked. If the broker reports only the day: the beginning of that day in
   * UTC.
   */
  at: string
}>

/**
 * Activities are dated by day and listed late. A reading therefore starts this long before the
 * previous reading, and the ids of the activities in this overlap are kept.
 */
export const ACTIVITY_OVERLAP_MS = 7 * 86_400_000
/**
 * The number of activity ids that are kept. If an account has more activities in the overlap, the
 * oldest ids are dropped.
 */
export const ACTIVITY_IDS_MAX = 1_000

/** The listed activities that are not accounted for yet, oldest first. */
export const unreadOf = (account: Account, listed: readonly BrokerActivity[]): BrokerActivity[] => {
  const read = new Set(account.activityIds)
  return listed.filter(({ id }) => !read.has(id))
}

/**
 * Marks activities as accounted for.
 * @param readAt where the next reading starts, before its overlap
 */
export function withRead(account: Account, ids: readonly string[], readAt: string): Account {
  const activityIds = [...new Set([...account.activityIds, ...ids])].slice(-ACTIVITY_IDS_MAX)
  return { ...account, activityIds, activitiesReadTo: readAt }
}

export const causeOf = ({ kind }: BrokerActivity): CashCause =>
  kind === 'deposit' || kind === 'withdrawal' ? kind : 'activity'

/**
 * Up to this many candidates every subset is tried as the explanation. With more candidates only
 * the whole set is tried.
 */
const CANDIDATES_MAX = 10

/**
 * The candidates that together make exactly `difference`. Of several such sets the largest is
 * returned, so that movements that cancel out are included. `null`: no set makes exactly the
 * difference, and a guess would have to be undone later.
 */
export function explanationOf<T>(
  candidates: readonly T[],
  difference: Decimal,
  valueOf: (candidate: T) => Decimal,
): readonly T[] | null {
  if (candidates.length === 0) return null
  if (add(sum(candidates.map(valueOf)), ZERO) === difference) return candidates
  if (candidates.length > CANDIDATES_MAX || isZero(difference)) return null
  const subsets = [...Array(2 ** candidates.length).keys()]
    .map((bits) => candidates.filter((_, index) => (bits >> index) & 1))
    .filter((subset) => subset.length > 0)
    .sort((a, b) => b.length - a.length)
  return subsets.find((subset) => sum(subset.map(valueOf)) === difference) ?? null
}
