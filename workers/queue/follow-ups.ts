import type { Excess } from '#domain'
import type { ConnectionRef } from '#store'

/**
 * Work that what was learnt of an order makes necessary. It is enqueued, and done by whoever takes
 * orders to the broker.
 */
export interface FollowUps {
  /**
   * Brings an order of ours to what its record asks for: finds out what became of its submission,
   * repeats a cancel, cancels what came to life after it was closed. Asked for again while it is
   * under way, it is done once.
   */
  resolve(ref: ConnectionRef, tradeId: string): Promise<void>
  /**
   * Cancels what is left of an order of ours, exits included, in the system's name. The same cause
   * again is the same command.
   */
  cancel(ref: ConnectionRef, tradeId: string, cause: CancelCause): Promise<void>
  /**
   * Closes what an order of ours was over-exited by, no more of it than there is by then. Asked for
   * again, it is the same trade.
   */
  flatten(ref: ConnectionRef, tradeId: string, excess: Excess): Promise<void>
}

/** Why the system cancels an order: it protected a position that is closed. */
export type CancelCause = 'leftover'
