import { add, type Decimal, mul, sub } from './decimal.ts'
import type { Side } from './intent.ts'

/**
 * The cash of one broker connection: the broker's last settled figure plus every execution booked
 * since, so that a fill changes it in its own commit. The broker's figure replaces it only when it
 * is sure (see reconcile.ts).
 */
export type Account = Readonly<{
  schema: 2
  connectionId: string
  /** The broker's own id of the account; a connection never moves to another one. */
  brokerAccountId: string
  currency: string
  cash: Decimal
  /** Broker time up to which executions have been read back; where the next reading starts. */
  executionsReadTo: string
  /**
   * Broker time up to which other activities are accounted for, and the ids of those at its edge,
   * which are listed again.
   */
  activitiesReadTo: string
  activityIds: readonly string[]
  /** What was realized in one trading day (exchange time); `null` before the first. */
  today: Readonly<{ date: string; realizedPnL: Decimal }> | null
  /**
   * Trading day on which the broker's average entry prices were last taken over: it restates them
   * overnight.
   */
  costsAdoptedOn: string | null
  /**
   * Differences to the broker's figures seen once and not yet believed: `cash`, `activities`,
   * `position <symbol>`.
   */
  doubts: Readonly<Record<string, Doubt>>
}>

/** A broker figure that differs from ours, and since when exactly this figure is seen. */
export type Doubt = Readonly<{ value: string; sinceMs: number }>

/**
 * Why cash changed. `activity`: the broker names a movement that is neither a deposit nor a
 * withdrawal (fee, dividend, ...).
 */
export type CashCause = 'execution' | 'deposit' | 'withdrawal' | 'activity' | 'external'

/** What an execution does to cash. Fees come as activities of their own. */
export const cashAfter = (cash: Decimal, side: Side, quantity: Decimal, price: Decimal): Decimal =>
  side === 'buy' ? sub(cash, mul(quantity, price)) : add(cash, mul(quantity, price))

/** What was read of cash and this symbol before the execution is no evidence any more (POS-01). */
export const doubtsAfter = (doubts: Account['doubts'], symbol: string): Account['doubts'] =>
  Object.fromEntries(
    Object.entries(doubts).filter(([key]) => key !== 'cash' && key !== `position ${symbol}`),
  )
