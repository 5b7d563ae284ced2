import type { Account } from './account.ts'
import type { Decimal } from './decimals.ts'

/**
 * The venue's decisions about accepted requests. Each possible decision has been observed at the
 * real venue.
 */
export interface Decisions {
  cancel(account: Account): CancelDecision
  replace(account: Account): ReplaceDecision
}

type CancelDecision = Readonly<{
  /** Delay from the request to its outcome; undefined: pending until the order ends otherwise. */
  afterMs: number | undefined
  isRefused: boolean
}>

type ReplaceDecision = Readonly<{
  /** The quantity that the original fills between the acceptance and the decision. */
  fillsFirst: Decimal | 'all' | undefined
  isRefused: boolean
  /**
   * The meaning of the requested quantity: the new order's own total, or a total from which the
   * fills of the original are subtracted.
   */
  size: 'total' | 'remaining'
}>

/** Accepts every cancel, after the delay, and every replacement. */
export const plainDecisions = (cancelDelayMs: number): Decisions => ({
  cancel: () => ({ afterMs: cancelDelayMs, isRefused: false }),
  replace: () => ({ fillsFirst: undefined, isRefused: false, size: 'total' }),
})
