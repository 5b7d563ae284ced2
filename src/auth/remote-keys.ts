import { createRemoteJWKSet, errors, type JWTPayload, jwtVerify, type JWTVerifyOptions } from 'jose'

/** How long keys are trusted after they were read: a removed key serves no longer than this. */
const AGE_MS_MAX = 600_000
/**
 * From this age on keys are read again during a verification, without delaying it, so that a short
 * outage of the key server goes unnoticed.
 */
const REFRESH_AGE_MS = 300_000
/**
 * The least time between two readings, for any number of tokens: a new key serves after this at the
 * latest.
 */
export const KEYS_COOLDOWN_MS = 5_000
const READING_MS_MAX = 2_000
/** Keys that are tried for a token that does not name its key. */
const KEYS_TRIED_MAX = 10

/** The keys cannot decide now, because the key server was asked a moment ago. */
export class KeysTooYoungError extends Error {}

/**
 * The public keys behind a URL.
 *
 * Invariant:
 * - A token is refused for its signature only by keys that were read after the token came.
 * - If the keys were read less than `KEYS_COOLDOWN_MS` before the token came, the token's key may
 *   be newer. The token is then neither accepted nor refused (`KeysTooYoungError`).
 */
export class RemoteKeys {
  /** jose's set of keys. It never reads by itself: this class decides by our clock when to read. */
  readonly #keys: ReturnType<typeof createRemoteJWKSet>
  readonly #nowMs: () => number
  #readAtMs = -Infinity
  #askedAtMs = -Infinity
  #reading: Promise<void> | null = null

  constructor(url: URL, nowMs: () => number) {
    const never = { cooldownDuration: Infinity, cacheMaxAge: Infinity }
    this.#keys = createRemoteJWKSet(url, { timeoutDuration: READING_MS_MAX, ...never })
    this.#nowMs = nowMs
  }

  /** @throws the errors of jose, or {KeysTooYoungError} */
  async verify(token: string, options: JWTVerifyOptions): Promise<JWTPayload> {
    const ageMs = this.#since(this.#readAtMs)
    const isTooOld = ageMs >= AGE_MS_MAX
    if (isTooOld) await this.#read()
    else if (ageMs >= REFRESH_AGE_MS) this.#read().catch(() => {}) // the next one retries
    try {
      return await this.#verifyWith(token, options)
    } catch (error) {
      if (isTooOld || !isOfKey(error)) throw error
      await this.#read()
      return this.#verifyWith(token, options)
    }
  }

  async #verifyWith(token: string, options: JWTVerifyOptions): Promise<JWTPayload> {
    try {
      return (await jwtVerify(token, this.#keys, options)).payload
    } catch (error) {
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error
      let tried = 0
      for await (const key of error) {
        if ((tried += 1) > KEYS_TRIED_MAX) break
        try {
          return (await jwtVerify(token, key, options)).payload
        } catch (wrong) {
          if (!isOfKey(wrong)) throw wrong
        }
      }
      throw new errors.JWSSignatureVerificationFailed()
    }
  }

  /** Reads the keys, or waits for the reading that is under way. */
  #read(): Promise<void> {
    if (this.#reading !== null) return this.#reading
    if (this.#since(this.#askedAtMs) < KEYS_COOLDOWN_MS)
      return Promise.reject(new KeysTooYoungError())
    const askedAtMs = (this.#askedAtMs = this.#nowMs())
    this.#reading = this.#keys
      .reload()
      .then(() => void (this.#readAtMs = askedAtMs))
      .finally(() => (this.#reading = null))
    return this.#reading
  }

  /** A time that lies ahead of the clock counts as long ago: the clock was set back. */
  #since(timeMs: number): number {
    const ms = this.#nowMs() - timeMs
    return ms < 0 ? Infinity : ms
  }
}

/** Returns whether another key could have verified the token. */
const isOfKey = (error: unknown): boolean =>
  error instanceof errors.JWKSNoMatchingKey ||
  error instanceof errors.JWSSignatureVerificationFailed
