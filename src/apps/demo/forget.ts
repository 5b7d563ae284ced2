import type { Redis } from 'ioredis'

const SCAN_COUNT = 500

/**
 * Removes what was stored of these users, by the hash tag that all keys of a user carry. Nobody
 * else's keys are touched.
 */
export async function forgetUsers(
  redis: Redis,
  users: readonly { userId: string }[],
): Promise<void> {
  for (const { userId } of users) {
    let cursor = '0'
    do {
      const [next, keys] = await redis.scan(cursor, 'MATCH', `*{${userId}}*`, 'COUNT', SCAN_COUNT)
      cursor = next
      if (keys.length > 0) await redis.unlink(...keys)
    } while (cursor !== '0')
  }
}
