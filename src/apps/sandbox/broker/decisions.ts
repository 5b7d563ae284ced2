import type { Account } from './account.ts'
import type { Decimal } from './decimals.ts'

/**
 * How the venue decides about requests that were accepted. Every choice here has been seen of the
 * real one.
 */
export interface Decisions {
  cancel(account: Account): CancelDecision
  replace(account: Account): ReplaceDecision
}

type CancelDecision = Readonly<{
  /**
   * From the request to its outcome; undefined: the order stays asked until something else ends it.
   */
  afterMs: number | undefined
  isRefused: boolean
}>

type ReplaceDecision = Readonly<{
  /** What the original fills between the acceptance and the decision. */
  fillsFirst: Decimal | 'all' | undefined
  isRefused: boolean
  /**
   * What the quantity of the request means for the new order: its own total, or what it leaves
   * after the original's fills.
   */
  size: 'total' | 'remaining'
}>

/** Requests do what they say, after a while. */
export const plainDecisions = (cancelDelayMs: number): Decisions => ({
  cancel: () => ({ afterMs: cancelDelayMs, isRefused: false }),
  replace: () => ({ fillsFirst: undefined, isRefused: false, size: 'total' }),
})
