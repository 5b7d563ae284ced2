import type { ParkedOrder, ParkedOrders } from '#store'

/** Notes of orders that wait to be sent, in memory. */
export class FakeParked implements ParkedOrders {
  readonly notes = new Map<string, Readonly<{ reason: string; sinceMs: number; seenMs: number }>>()
  readonly #nowMs: () => number

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  async note(
    { userId, tradeId }: Pick<ParkedOrder, 'userId' | 'tradeId'>,
    reason: string,
  ): Promise<number> {
    const nowMs = this.#nowMs()
    const sinceMs = nowMs - (await this.waitingMs(userId, tradeId))
    this.notes.set(`${userId} ${tradeId}`, { reason, sinceMs, seenMs: nowMs })
    return nowMs - sinceMs
  }

  async waitingMs(userId: string, tradeId: string): Promise<number> {
    const known = this.notes.get(`${userId} ${tradeId}`)
    return known === undefined || this.#nowMs() - known.seenMs >= 30_000
      ? 0
      : this.#nowMs() - known.sinceMs
  }

  async clear(userId: string, tradeId: string): Promise<void> {
    this.notes.delete(`${userId} ${tradeId}`)
  }
}
