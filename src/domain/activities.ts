import type { Account, CashCause } from './account.ts'
import { add, type Decimal, isZero, sum, ZERO } from './decimal.ts'

/** Something other than an execution that moved an account's cash or holdings, in our words. */
export type BrokerActivity = Readonly<{
  id: string
  /**
   * `cash` is any movement of money that is neither a deposit nor a withdrawal: fee, dividend,
   * interest, journal.
   */
  kind: 'deposit' | 'withdrawal' | 'cash' | 'split' | 'symbol_change' | 'other'
  /** The broker's own word for it. */
  type: string
  /** What it did to the cash, signed; `null` where it did nothing. */
  amount: Decimal | null
  symbol: string | null
  /** What the symbol became (symbol change). */
  newSymbol: string | null
  /**
   * By how much it changed the holding of `symbol`, signed; `null` where it did not (a dividend
   * names shares and moves none).
   */
  quantity: Decimal | null
  /** When it was booked; where the broker tells the day only, the beginning of that day in UTC. */
  at: string
}>

/**
 * Activities are dated by day and listed late, so a reading goes back this far behind the last one,
 * and every id of that time is kept.
 */
export const ACTIVITY_OVERLAP_MS = 7 * 86_400_000
/**
 * Ids kept; an account with more activities in the overlap than this is read from the newest of
 * them on.
 */
export const ACTIVITY_IDS_MAX = 1_000

/** The activities that are not accounted for yet, oldest first. */
export const unreadOf = (account: Account, listed: readonly BrokerActivity[]): BrokerActivity[] => {
  const read = new Set(account.activityIds)
  return listed.filter(({ id }) => !read.has(id))
}

/**
 * Marks activities as accounted for.
 * @param readAt where the next reading starts from, before its overlap
 */
export function withRead(account: Account, ids: readonly string[], readAt: string): Account {
  const activityIds = [...new Set([...account.activityIds, ...ids])].slice(-ACTIVITY_IDS_MAX)
  return { ...account, activityIds, activitiesReadTo: readAt }
}

export const causeOf = ({ kind }: BrokerActivity): CashCause =>
  kind === 'deposit' || kind === 'withdrawal' ? kind : 'activity'

/** Subsets tried for an explanation; beyond this many candidates only all of them together are. */
const CANDIDATES_MAX = 10

/**
 * The candidates that together make exactly `difference`: what explains it. The largest such set,
 * so that movements that cancel out are told as well; `null` where none does, since a guess would
 * be undone later.
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
