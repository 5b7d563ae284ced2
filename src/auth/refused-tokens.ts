import { createHash } from 'node:crypto'
import { putNewest } from '#runtime'

/** Refusals kept in mind at once; the oldest is forgotten first. */
const REFUSED_MAX = 10_000

/**
 * The names of a token, as hashes. The signature covers header and claims; its own text can be
 * written in more than one way. So a token whose signature was good is known by what is signed,
 * however its signature is written, and any other by its whole text: a stranger who knows the
 * claims of a token cannot have that token refused by sending those with a wrong signature.
 */
export type TokenNames = Readonly<{ whole: string; signed: string }>

const hashOf = (kind: keyof TokenNames, text: string): string =>
  createHash('sha256').update(`${kind} ${text}`).digest('base64')

export const tokenNames = (token: string): TokenNames => ({
  whole: hashOf('whole', token),
  signed: hashOf('signed', token.slice(0, Math.max(0, token.lastIndexOf('.')))),
})

/**
 * Refusals of a moment ago (D13): repeats are turned away without another look, so that a client
 * that tries for ever stays slow. Kept by name; forgotten after their time.
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
