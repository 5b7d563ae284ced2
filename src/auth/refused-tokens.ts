import { createHash } from 'node:crypto'

/** Refused tokens kept in mind at once; the oldest is forgotten first. */
const REFUSED_MAX = 10_000

/**
 * Tokens that were refused a moment ago (D13): repeats are turned away without another look, so that a client that tries for ever
 * stays slow. Kept by hash; forgotten after their time.
 */
export class RefusedTokens {
  readonly #untilMs = new Map<string, number>()
  readonly #nowMs: () => number

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  add(tokenHash: string, forMs: number): void {
    if (this.#untilMs.size >= REFUSED_MAX) this.#untilMs.delete(this.#untilMs.keys().next().value ?? '')
    this.#untilMs.set(tokenHash, this.#nowMs() + forMs)
  }

  has(tokenHash: string): boolean {
    const until = this.#untilMs.get(tokenHash)
    if (until === undefined) return false
    if (until > this.#nowMs()) return true
    this.#untilMs.delete(tokenHash)
    return false
  }
}

/** What is kept of a token once it has served. */
export const hashOf = (token: string): string => createHash('sha256').update(token).digest('base64')
