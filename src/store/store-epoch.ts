import type { Redis } from 'ioredis'
import { epochKey } from './keys.ts'

/**
 * The marker that shows whether the store is the expected one: it is written once, and is gone when
 * the store was lost (D20).
 */
export interface StoreEpoch {
  /** `null`: the store is new, or was lost. */
  read(): Promise<string | null>
  /** Marks a store that has no marker yet. @returns the marker that the store has now */
  mint(): Promise<string>
}

/** Reads the marker, and never writes it. */
export const createEpochReader = (redis: Redis): Pick<StoreEpoch, 'read'> => ({
  read: () => redis.get(epochKey),
})

/** @param newId makes a marker that no other store ever had */
export function createStoreEpoch(redis: Redis, newId: () => string): StoreEpoch {
  return {
    ...createEpochReader(redis),
    async mint() {
      const made = newId()
      return (await redis.set(epochKey, made, 'NX')) === 'OK'
        ? made
        : ((await redis.get(epochKey)) ?? made)
    },
  }
}
