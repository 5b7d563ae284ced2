/**
 * Work that runs one piece at a time, in the order in which it was asked for. A piece that fails is its caller's business and never
 * stops the line.
 */
export class Line {
  #last: Promise<unknown> = Promise.resolve()

  run<T>(piece: () => Promise<T>): Promise<T> {
    const done = this.#last.then(piece, piece)
    this.#last = done.catch(() => {})
    return done
  }

  /** Resolves once everything that was asked for so far is over. */
  async idle(): Promise<void> {
    await this.#last
  }
}
