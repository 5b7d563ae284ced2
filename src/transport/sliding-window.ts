/**
 * Counts the events of the last `windowMs`, with three numbers. Of the window before this one, the
 * share counts that is not over yet. So a limit holds for every interval of that length, and a
 * crowd that comes at once is admitted whole if it is no larger than the limit.
 */
export class SlidingWindow {
  readonly #windowMs: number
  #startMs = -Infinity
  #before = 0
  #now = 0

  constructor(windowMs: number) {
    this.#windowMs = windowMs
  }

  add(nowMs: number): void {
    this.#move(nowMs)
    this.#now += 1
  }

  count(nowMs: number): number {
    this.#move(nowMs)
    return this.#now + this.#before * (1 - (nowMs - this.#startMs) / this.#windowMs)
  }

  #move(nowMs: number): void {
    const passed = Math.floor((nowMs - this.#startMs) / this.#windowMs)
    if (passed <= 0) return
    this.#before = passed === 1 ? this.#now : 0
    this.#now = 0
    this.#startMs = passed === 1 ? this.#startMs + this.#windowMs : nowMs
  }
}
