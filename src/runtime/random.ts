import { randomBytes } from 'node:crypto'

/** Randomness as a port, so that a run can be replayed from a seed. */
export interface Randomness {
  /** A string of `byteCount` random bytes, base64url. For ids and owner tokens. */
  id(byteCount: number): string
  /** Uniform in [0, 1). For jitter. */
  fraction(): number
}

/** Bytes requested from the system at once: a dozen alone cost as much as all of these. */
const POOL_BYTES = 4_096
let pool = Buffer.alloc(0)

/** Every byte is handed out once. */
function bytes(count: number): Buffer {
  if (count > POOL_BYTES) return randomBytes(count)
  if (pool.length < count) pool = randomBytes(POOL_BYTES)
  const taken = pool.subarray(0, count)
  pool = pool.subarray(count)
  return taken
}

/** The machine's own source of randomness. */
export const systemRandomness: Randomness = {
  id: (byteCount) => bytes(byteCount).toString('base64url'),
  fraction: () => bytes(4).readUInt32BE() / 2 ** 32,
}
