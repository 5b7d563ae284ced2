import type { Redis } from 'ioredis'
import { field, stateKey } from './keys.ts'
import type { Health } from './record-types.ts'
import { healthRecord, readRecord } from './records.ts'

/**
 * The last findings of the health checks of a user's connections. A connection has no finding if it
 * was never checked, or if no check ever found trouble.
 * @throws {RecordError}
 */
export async function readHealth(
  redis: Redis,
  userId: string,
  connectionIds: readonly string[],
): Promise<ReadonlyMap<string, Health>> {
  const found = new Map<string, Health>()
  if (connectionIds.length === 0) return found
  const texts = await redis.hmget(stateKey(userId), ...connectionIds.map(field.health))
  for (const [index, connectionId] of connectionIds.entries()) {
    const health = readRecord(healthRecord, field.health(connectionId), texts[index])
    if (health !== null) found.set(connectionId, health)
  }
  return found
}
