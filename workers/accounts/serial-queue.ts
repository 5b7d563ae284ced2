/**
 * Runs pieces of work one at a time, in the order of their `run` calls. If a piece fails, its
 * caller handles the error, and the queue goes on. A piece may give up its turn while it waits for
 * an answer; it then continues behind the pieces queued until then.
 */
export class SerialQueue {
  /** Resolves once every turn queued so far has ended. */
  #turns: Promise<void> = Promise.resolve()
  /** Ends the turn of the running piece. */
  #endTurn = (): void => {}
  readonly #pieces = new Set<Promise<unknown>>()

  async run<T>(piece: () => Promise<T>): Promise<T> {
    const done = this.#inTurn(piece)
    this.#pieces.add(done)
    try {
      return await done
    } finally {
      this.#pieces.delete(done)
    }
  }

  /**
   * For the running piece: other pieces run until `ask` is over. State that was read before may
   * have changed afterwards.
   */
  async outside<T>(ask: () => Promise<T>): Promise<T> {
    this.#endTurn()
    try {
      return await ask()
    } finally {
      await this.#takeTurn()
    }
  }

  /** Resolves once all pieces queued so far have ended. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#pieces)
  }

  async #inTurn<T>(piece: () => Promise<T>): Promise<T> {
    await this.#takeTurn()
    try {
      return await piece()
    } finally {
      this.#endTurn()
    }
  }

  async #takeTurn(): Promise<void> {
    const before = this.#turns
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#turns = promise
    await before
    this.#endTurn = resolve
  }
}
