/**
 * Updates that were received and wait for their turn: reading a stream never waits for the work
 * that it causes.
 *
 *   filling --limit reached--> overflown --reopen()--> filling
 *
 * Kept true: what comes out is what came in, in that order, without a hole. Once something had to
 * be dropped, everything is dropped until `reopen`, since a recovery reads all of it back (CON-09).
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

  /** From now on it keeps again: called when a recovery begins, before it reads anything. */
  reopen(): void {
    this.#isOverflown = false
  }

  /** Everything that waits, at most `count`. */
  take(count: number): T[] {
    return this.#waiting.splice(0, count)
  }
}
