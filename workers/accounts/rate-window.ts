/**
 * Allows at most `perMinute` uses in any minute: optional work must not spend the requests of
 * necessary work.
 */
export class RateWindow {
  readonly #perMinute: number
  #takenMs: number[] = []

  constructor(perMinute: number) {
    this.#perMinute = perMinute
  }

  /** @returns true if a use is allowed now; an allowed use counts */
  take(nowMs: number): boolean {
    this.#takenMs = this.#takenMs.filter((atMs) => atMs > nowMs - 60_000)
    if (this.#takenMs.length >= this.#perMinute) return false
    this.#takenMs.push(nowMs)
    return true
  }
}
