import type { Redis } from 'ioredis'
import { recoveryKey } from './keys.ts'
import { withScripts } from './scripts.ts'
import type { ConnectionRef } from './vault.ts'

/**
 * Says of which connections a recovery runs, so that what depends on their positions can wait
 * (FIL-06). A mark is no fence: it expires by itself, and a recovery whose mark was lost is as
 * right as any.
 */
export interface Recoveries {
  /**
   * @param token the lease under which it runs
   * @param ttlMs how long the mark stands should nobody end it
   */
  begin(ref: ConnectionRef, token: string, ttlMs: number): Promise<void>
  /** Takes this lease's mark away; another's stays. */
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
