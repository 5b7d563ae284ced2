import type { Redis } from 'ioredis'
import { budgetKey } from './keys.ts'
import { withScripts } from './scripts.ts'
import type { ConnectionRef } from './vault.ts'

/** What a request is for, most urgent first. */
export type RequestKind = 'cancel' | 'resolve' | 'submit' | 'poll' | 'reconcile' | 'refresh'

/**
 * The requests that a broker account may still be asked, shared by all workers. In any 60 s: 200 in
 * all, the last ten of them for cancels and for finding out; 150 submissions; 40 of reading in the
 * background (poll, reconcile, refresh), and 16 of these 40 anything but polls, so that what a
 * start, a recovery or a gap reads never stops the polling (P7). All reading goes beyond its share
 * as long as the account has asked for fewer than 80 requests in all.
 */
export interface Budget {
  /** Takes leave for one request. @returns 0: go; else how many ms to wait before asking again */
  take(account: ConnectionRef, kind: RequestKind): Promise<number>
  /** The broker said that it is too much: nothing more for so long, a minute at most. */
  block(account: ConnectionRef, forMs: number): Promise<void>
}

/** @param nowMs replaces the time of Redis, by which all processes agree: for tests */
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
