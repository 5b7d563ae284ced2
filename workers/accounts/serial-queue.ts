/**
 * Work that runs one piece at a time, in the order in which it was asked for. A piece that fails is
 * its caller's business and never stops the line. A piece may give up its turn while it waits for
 * somebody else's answer, and goes on behind the pieces that were asked for until then.
 */
export class SerialQueue {
  /** Resolves once every turn that was asked for so far is over. */
  #turns: Promise<void> = Promise.resolve()
  /** Ends the turn of the piece that runs. */
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
   * For the piece that runs: other pieces have their turn until `ask` is over. What was read before
   * may have changed by then.
   */
  async outside<T>(ask: () => Promise<T>): Promise<T> {
    this.#endTurn()
    try {
      return await ask()
    } finally {
      await this.#takeTurn()
    }
  }

  /** Resolves once everything that was asked for so far is over. */
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
