import type { Redis } from 'ioredis'
import { withScripts } from './scripts.ts'

/**
 * The right to act for a connection or feed, until it expires. The token is the fence of every
 * write made under it.
 */
export interface Leases {
  /** The fencing token, or `null` while another caller holds the lease. */
  take(key: string, ttlMs: number): Promise<string | null>
  /** `false` once the caller no longer holds the lease: stop at once. */
  renew(key: string, token: string, ttlMs: number): Promise<boolean>
  release(key: string, token: string): Promise<void>
  /** Deletes a lease: every later write of its holder is refused. */
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
