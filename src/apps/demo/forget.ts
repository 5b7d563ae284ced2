import type { Redis } from 'ioredis'

const SCAN_COUNT = 500

/**
 * Removes the records of these users. All keys of a user carry the user's hash tag, so keys of
 * other users are never touched.
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
