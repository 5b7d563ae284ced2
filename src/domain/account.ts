import { add, type Decimal, mul, sub } from './decimal.ts'
import type { Side } from './intent.ts'

/**
 * The cash of one broker connection: the broker's last settled figure plus every execution booked
 * since, so that a fill changes the cash in its own commit. The broker's figure replaces ours only
 * once it is confirmed (see reconcile.ts).
 */
export type Account = Readonly<{
  schema: 2
  connectionId: string
  /** The broker's own id of the account. A connection never moves to another account. */
  brokerAccountId: string
  currency: string
  cash: Decimal
  /**
   * Broker time up to which executions have been read. The next reading of executions starts here.
   */
  executionsReadTo: string
  /**
   * Broker time up to which other activities are accounted for, and the ids of the activities near
   * that time: the next reading lists these activities again.
   */
  activitiesReadTo: string
  activityIds: readonly string[]
  /** P&L realized in one trading day (exchange time); `null` before the first realized P&L. */
  today: Readonly<{ date: string; realizedPnL: Decimal }> | null
  /**
   * Trading day on which the broker's average entry prices were last adopted. The broker restates
   * these prices overnight.
   */
  costsAdoptedOn: string | null
  /**
   * Differences to the broker's figures that one reading showed and no second reading has confirmed
   * yet. Keys: `cash`, `activities`, `position <symbol>`.
   */
  doubts: Readonly<Record<string, Doubt>>
}>

/**
 * A figure of the broker that differs from ours, and the time since which the broker shows exactly
 * this figure.
 */
export type Doubt = Readonly<{ value: string; sinceMs: number }>

/**
 * Why cash changed. `activity`: the broker lists a movement that is neither a deposit nor a
 * withdrawal (fee, dividend, ...).
 */
export type CashCause = 'execution' | 'deposit' | 'withdrawal' | 'activity' | 'external'

/** The cash after an execution. Fees are booked as activities of their own. */
export const cashAfter = (cash: Decimal, side: Side, quantity: Decimal, price: Decimal): Decimal =>
  side === 'buy' ? sub(cash, mul(quantity, price)) : add(cash, mul(quantity, price))

/**
 * The doubts after an execution in `symbol`. The doubts about cash and about this symbol are
 * dropped, because the figures behind them were read before the execution (POS-01).
 */
export const doubtsAfter = (doubts: Account['doubts'], symbol: string): Account['doubts'] =>
  Object.fromEntries(
    Object.entries(doubts).filter(([key]) => key !== 'cash' && key !== `position ${symbol}`),
  )
