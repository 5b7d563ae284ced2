/**
 * Holds received updates until their turn, so that reading a stream never waits for applying its
 * updates.
 *
 *   filling --limit reached--> overflown --reopen()--> filling
 *
 * Invariant:
 * - Updates leave in the order in which they came, without a gap.
 * - After an overflow, every update is dropped until `reopen`; a recovery reads the dropped content
 *   from the broker (CON-09).
 */
export class Intake<T> {
  #waiting: T[] = []
  #isOverflown = false
  readonly #max: number

  constructor(max: number) {
    this.#max = max
  }

  get size(): number {
    return this.#waiting.length
  }

  /** @returns `overflow` once per overflow: a recovery is due */
  push(item: T): 'kept' | 'overflow' | 'dropped' {
    if (this.#isOverflown) return 'dropped'
    if (this.#waiting.length < this.#max) {
      this.#waiting.push(item)
      return 'kept'
    }
    this.#waiting = []
    this.#isOverflown = true
    return 'overflow'
  }

  /** Accepts updates again: call it when a recovery begins, before the recovery reads anything. */
  reopen(): void {
    this.#isOverflown = false
  }

  /** Takes the oldest waiting updates, at most `count`. */
  take(count: number): T[] {
    return this.#waiting.splice(0, count)
  }
}
