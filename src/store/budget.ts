import type { Redis } from 'ioredis'
import { budgetKey } from './keys.ts'
import { withScripts } from './scripts.ts'
import type { ConnectionRef } from './vault.ts'

/** The purpose of a request, most urgent first. */
export type RequestKind = 'cancel' | 'resolve' | 'submit' | 'poll' | 'reconcile' | 'refresh'

/**
 * The requests that a broker account may still be sent, shared by all workers. Limits in any 60 s:
 * - 200 requests in all, the last ten of them for cancels and for resolving orders (`resolve`)
 * - 150 submissions
 * - 40 background readings (`poll`, `reconcile`, `refresh`)
 * - 16 of these 40 for readings other than polls, so that the readings of a start, a recovery or a
 *   gap never stop the polling (P7)
 *
 * As long as the account was sent fewer than 80 requests in all, readings may exceed their limits.
 */
export interface Budget {
  /**
   * Takes leave for one request. @returns 0: send it; else how many ms to wait before asking again
   */
  take(account: ConnectionRef, kind: RequestKind): Promise<number>
  /**
   * The broker refused a request as one too many: no request is sent for `forMs`, a minute at most.
   */
  block(account: ConnectionRef, forMs: number): Promise<void>
}

/** @param nowMs replaces the time of Redis, which all processes share: for tests */
export function createBudget(connection: Redis, nowMs?: () => number): Budget {
  const redis = withScripts(connection)
  const time = (): number[] => (nowMs === undefined ? [] : [nowMs() * 1_000])
  return {
    take: ({ userId, connectionId }, kind) =>
      redis.budgetTake(budgetKey(userId, connectionId), kind, 0, ...time()),
    async block({ userId, connectionId }, forMs) {
      await redis.budgetTake(
        budgetKey(userId, connectionId),
        'block',
        Math.max(0, Math.ceil(forMs)),
        ...time(),
      )
    },
  }
}
