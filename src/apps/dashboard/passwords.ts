import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'

/** Cost of checking one password: about 50 ms and 32 MiB. */
const COST = { N: 2 ** 15, r: 8, p: 1 } as const
const SALT_BYTES = 16
const HASH_BYTES = 32
/** Upper bounds on the cost of a configured hash: 256 MiB. */
const N_MAX = 2 ** 18
const R_MAX = 8
const P_MAX = 4

/** A parsed `scrypt$N$r$p$saltB64$hashB64`. */
export type PasswordHash = Readonly<{ N: number; r: number; p: number; salt: Buffer; hash: Buffer }>

const derive = (password: string, { N, r, p, salt, hash }: PasswordHash): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    scrypt(
      password.normalize('NFKC'),
      salt,
      hash.length,
      { N, r, p, maxmem: 256 * N * r },
      (error, key) => (error === null ? resolve(key) : reject(error)),
    )
  })

/** Reads a hash; `null` if the hash is malformed, too weak, or costs more than the upper bounds. */
export function parseHash(text: string): PasswordHash | null {
  const parts =
    /^scrypt\$(\d{1,7})\$(\d{1,2})\$(\d{1,2})\$([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+)$/.exec(text)
  if (parts === null) return null
  const [N = 0, r = 0, p = 0] = parts.slice(1, 4).map(Number)
  const [salt, hash] = parts.slice(4).map((part) => Buffer.from(part, 'base64'))
  const costly =
    N >= 2 ** 14 && N <= N_MAX && Number.isInteger(Math.log2(N)) && r >= 1 && r <= R_MAX
  if (!costly || p < 1 || p > P_MAX || salt === undefined || hash === undefined) return null
  return salt.length >= SALT_BYTES && hash.length === HASH_BYTES ? { N, r, p, salt, hash } : null
}

/** A new hash of `password`, in the format of DASHBOARD_USERS. */
export async function hashPassword(password: string): Promise<string> {
  const { N, r, p } = COST
  const salt = randomBytes(SALT_BYTES)
  const hash = await derive(password, { N, r, p, salt, hash: Buffer.alloc(HASH_BYTES) })
  return ['scrypt', N, r, p, salt.toString('base64'), hash.toString('base64')].join('$')
}

/**
 * Checks that `password` matches `expected`. Without an expected hash the check takes equally long
 * and returns false, so the answer time does not reveal which names exist.
 */
export async function passwordMatches(
  password: string,
  expected: PasswordHash | undefined,
): Promise<boolean> {
  const against = expected ?? {
    ...COST,
    salt: Buffer.alloc(SALT_BYTES),
    hash: Buffer.alloc(HASH_BYTES),
  }
  const key = await derive(password, against)
  return timingSafeEqual(key, against.hash) && expected !== undefined
}
