/**
 * Seeded randomness: every random choice of the sandbox, ids included, comes from here, so one seed
 * and the same commands give the same run. Not for secrets. The generator is sfc32 (Chris
 * Doty-Humphrey, public domain), 128 bits of state.
 */
export interface Randomness {
  /** Uniform in [0, 1). */
  fraction(): number
  /** Uniform whole number, `min` and `max` included. */
  integer(min: number, max: number): number
  /** A version 4 UUID. */
  uuid(): string
  /** An independent stream: draws from one stream never change the other. */
  fork(label: string): Randomness
}

/** FNV-1a with a final mix, once per state word. */
function stateWord(text: string, salt: number): number {
  let hash = 0x811c9dc5 ^ salt
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  return (hash ^ (hash >>> 13)) >>> 0
}

function sfc32(seed: string): () => number {
  let a = stateWord(seed, 1)
  let b = stateWord(seed, 2)
  let c = stateWord(seed, 3)
  let counter = 1
  const next = (): number => {
    const sum = (a + b + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + sum) | 0
    return sum >>> 0
  }
  for (let i = 0; i < 12; i += 1) next()
  return next
}

/** A source of chance for one seed. */
export function createRandomness(seed: string): Randomness {
  const word = sfc32(seed)
  const fraction = (): number => word() / 2 ** 32
  const hex = (): string => word().toString(16).padStart(8, '0')
  return {
    fraction,
    integer: (min, max) => min + Math.floor(fraction() * (max - min + 1)),
    uuid() {
      const digits = hex() + hex() + hex() + hex()
      const variant = ((Number.parseInt(digits.slice(16, 17), 16) & 3) | 8).toString(16)
      return [
        digits.slice(0, 8),
        digits.slice(8, 12),
        `4${digits.slice(13, 16)}`,
        variant + digits.slice(17, 20),
        digits.slice(20),
      ].join('-')
    },
    fork: (label) => createRandomness(`${seed}/${label}`),
  }
}
