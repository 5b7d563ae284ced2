/**
 * Tokens of the leases that are held, by `<user> <connection>`. A listener is called when one of
 * them is free again, for any reason.
 */
export class FakeLeases extends Map<string, string> {
  readonly #onFree = new Set<(name: string) => void>()

  /** @returns stops telling */
  onFree(tell: (name: string) => void): () => void {
    this.#onFree.add(tell)
    return () => void this.#onFree.delete(tell)
  }

  override delete(name: string): boolean {
    const isFreed = super.delete(name)
    if (isFreed) for (const tell of [...this.#onFree]) tell(name)
    return isFreed
  }

  override clear(): void {
    for (const name of [...this.keys()]) this.delete(name)
  }
}
