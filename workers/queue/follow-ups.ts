import type { Excess } from '#domain'
import type { ConnectionRef } from '#store'

/**
 * Follow-up work that a report about an order makes necessary. The work is enqueued, and done by a
 * worker with the role `orders`.
 */
export interface FollowUps {
  /**
   * Brings an order of ours to the state that its record asks for: resolves its submission, repeats
   * a cancel, cancels an order that came to life after it was closed. If the same work is requested
   * while it waits or runs, it is done once.
   */
  resolve(ref: ConnectionRef, tradeId: string): Promise<void>
  /**
   * Cancels the rest of an order of ours, exits included, in the system's name. The same cause
   * again makes the same command.
   */
  cancel(ref: ConnectionRef, tradeId: string, cause: CancelCause): Promise<void>
  /**
   * Closes the excess that the exits of an order of ours executed beyond its entry, and at most the
   * position that is left by then. If it is requested again, it is the same trade.
   */
  flatten(ref: ConnectionRef, tradeId: string, excess: Excess): Promise<void>
}

/** Why the system cancels an order: it protected a position that is closed. */
export type CancelCause = 'leftover'
