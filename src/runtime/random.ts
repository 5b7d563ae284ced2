import { randomBytes } from 'node:crypto'

/** Randomness as a port, so that a run can be replayed from a seed. */
export interface Randomness {
  /** A string of `byteCount` random bytes, base64url. For ids and owner tokens. */
  id(byteCount: number): string
  /** Uniform in [0, 1). For jitter. */
  fraction(): number
}

/** The machine's own source of randomness. */
export const systemRandomness: Randomness = {
  id: (byteCount) => randomBytes(byteCount).toString('base64url'),
  fraction: () => randomBytes(4).readUInt32BE() / 2 ** 32,
}
