import type { Redis } from 'ioredis'
import { withScripts } from './scripts.ts'

/**
 * The right to act for a connection or feed, until it expires. The token is the fence of every
 * write made under it.
 */
export interface Leases {
  /** The fencing token, or `null` while somebody else holds the lease. */
  take(key: string, ttlMs: number): Promise<string | null>
  /** `false` once the lease is no longer the caller's: stop at once. */
  renew(key: string, token: string, ttlMs: number): Promise<boolean>
  release(key: string, token: string): Promise<void>
  /** Takes a lease away from whoever holds it: what they still write is refused. */
  revoke(key: string): Promise<void>
}

export function createLeases(connection: Redis): Leases {
  const redis = withScripts(connection)
  return {
    take: async (key, ttlMs) => (await redis.leaseTake(key, ttlMs)) || null,
    renew: async (key, token, ttlMs) => (await redis.leaseRenew(key, token, ttlMs)) === 1,
    revoke: async (key) => void (await redis.del(key)),
    release: async (key, token) => void (await redis.leaseRelease(key, token)),
  }
}
