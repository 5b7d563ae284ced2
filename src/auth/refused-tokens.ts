import { createHash } from 'node:crypto'
import { putNewest } from '#runtime'

/** Refusals that are kept at once; the oldest is forgotten first. */
const REFUSED_MAX = 10_000

/**
 * The names of a token, as hashes. The signature covers header and claims, but the text of a
 * signature can be written in more than one way.
 * - A token whose signature was good is named by its signed part (`signed`), with any spelling of
 *   its signature.
 * - Every other token is named by its whole text (`whole`). So a stranger who knows the claims of a
 *   token cannot have that token refused by sending its claims with a wrong signature.
 */
export type TokenNames = Readonly<{ whole: string; signed: string }>

const hashOf = (kind: keyof TokenNames, text: string): string =>
  createHash('sha256').update(`${kind} ${text}`).digest('base64')

export const tokenNames = (token: string): TokenNames => ({
  whole: hashOf('whole', token),
  signed: hashOf('signed', token.slice(0, Math.max(0, token.lastIndexOf('.')))),
})

/**
 * Recent refusals (D13): a repeated token is refused without being verified again, so that a client
 * that retries for ever stays cheap. Refusals are kept by the name of the token, and forgotten
 * after their time.
 */
export class RefusedTokens {
  readonly #untilMs = new Map<string, number>()
  readonly #nowMs: () => number

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  add(name: string, forMs: number): void {
    putNewest(this.#untilMs, name, this.#nowMs() + forMs, REFUSED_MAX)
  }

  has(name: string): boolean {
    const until = this.#untilMs.get(name)
    if (until === undefined) return false
    if (until > this.#nowMs()) return true
    this.#untilMs.delete(name)
    return false
  }

  hasToken({ whole, signed }: TokenNames): boolean {
    return this.has(whole) || this.has(signed)
  }
}
