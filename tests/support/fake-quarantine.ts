import { ASIDE_MS, type QuarantinedOrder, type QuarantinedOrders } from '#store'

/** The list of orders that were set aside, in memory. */
export class FakeAside implements QuarantinedOrders {
  readonly #nowMs: () => number
  readonly #seen = new Map<string, { order: QuarantinedOrder; atMs: number }>()

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  async note(orders: readonly QuarantinedOrder[]): Promise<void> {
    for (const order of orders)
      this.#seen.set(`${order.userId} ${order.tradeId}`, { order, atMs: this.#nowMs() })
  }

  async list(): Promise<{ orders: readonly QuarantinedOrder[]; total: number }> {
    const orders = [...this.#seen.values()]
      .filter(({ atMs }) => atMs >= this.#nowMs() - ASIDE_MS)
      .map(({ order }) => order)
    return { orders, total: orders.length }
  }
}
