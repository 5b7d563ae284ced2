import type { Redis } from 'ioredis'
import { workersKey } from './keys.ts'
import { withScripts } from './scripts.ts'

/** A worker that was silent for this long no longer counts. The time is the store's. */
export const WORKER_TTL_MS = 10_000

/** The workers that are alive, so that each worker knows its fair share. */
export interface Registry {
  /** @returns the number of workers alive, the caller included */
  beat(workerId: string): Promise<number>
  leave(workerId: string): Promise<void>
}

export function createRegistry(connection: Redis): Registry {
  const redis = withScripts(connection)
  return {
    beat: (workerId) => redis.registryBeat(workersKey, workerId, WORKER_TTL_MS),
    leave: async (workerId) => void (await redis.registryBeat(workersKey, workerId, 0)),
  }
}
