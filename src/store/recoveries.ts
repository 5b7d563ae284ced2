import type { Redis } from 'ioredis'
import { recoveryKey } from './keys.ts'
import { withScripts } from './scripts.ts'
import type { ConnectionRef } from './vault.ts'

/**
 * Marks the connections for which a recovery runs, so that orders that depend on their positions
 * can wait (FIL-06). A mark is no fence: it expires by itself, and a recovery whose mark was lost
 * stays valid.
 */
export interface Recoveries {
  /**
   * @param token the lease under which the recovery runs
   * @param ttlMs how long the mark is kept if the recovery never ends it
   */
  begin(ref: ConnectionRef, token: string, ttlMs: number): Promise<void>
  /** Removes the mark of this lease; the mark of another lease stays. */
  end(ref: ConnectionRef, token: string): Promise<void>
  isRunning(ref: ConnectionRef): Promise<boolean>
}

export function createRecoveries(connection: Redis): Recoveries {
  const redis = withScripts(connection)
  const keyOf = ({ userId, connectionId }: ConnectionRef): string =>
    recoveryKey(userId, connectionId)
  return {
    begin: async (ref, token, ttlMs) => void (await redis.set(keyOf(ref), token, 'PX', ttlMs)),
    end: async (ref, token) => void (await redis.leaseRelease(keyOf(ref), token)),
    isRunning: async (ref) => (await redis.exists(keyOf(ref))) === 1,
  }
}
