import type { Redis } from 'ioredis'
import { workersKey } from './keys.ts'
import { withScripts } from './scripts.ts'

/** A worker that was silent for this long is not counted any more. Time is the store's. */
export const WORKER_TTL_MS = 10_000

/** Which workers are alive, so that each knows its fair share. */
export interface Registry {
  /** @returns how many are alive, the caller included */
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
