/** So many times in any minute, and no more: what is nice to have must not spend what is needed. */
export class RateWindow {
  readonly #perMinute: number
  #takenMs: number[] = []

  constructor(perMinute: number) {
    this.#perMinute = perMinute
  }

  /** @returns whether it may be done now; then it counts */
  take(nowMs: number): boolean {
    this.#takenMs = this.#takenMs.filter((atMs) => atMs > nowMs - 60_000)
    if (this.#takenMs.length >= this.#perMinute) return false
    this.#takenMs.push(nowMs)
    return true
  }
}
