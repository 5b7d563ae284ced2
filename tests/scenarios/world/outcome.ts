import { type Anomaly, type Change, clientOrderIdOf, type Order } from '#domain'
import type { ConnectionRef } from '#store'
import type { FakeStore } from '../../support/fake-store.ts'

/** The results of a run for its users and operators. Default everywhere: the first account. */
export abstract class Outcome {
  abstract readonly store: FakeStore
  abstract readonly changes: readonly Change[]
  protected abstract firstRef(): ConnectionRef

  /** Names of the events of a user, oldest first. */
  events(userId = this.firstRef().userId): string[] {
    return this.store.log(userId).map(({ event }) => event)
  }

  /** Names of the events about one trade, oldest first. */
  told(tradeId: string, userId = this.firstRef().userId): string[] {
    return this.#about(tradeId, userId).map(({ event }) => event)
  }

  /** Payloads of the events of one name about one trade, oldest first. */
  entries(tradeId: string, name: string, userId = this.firstRef().userId): object[] {
    return this.#about(tradeId, userId).flatMap(({ event, payload }) =>
      event === name ? [payload] : [],
    )
  }

  #about(tradeId: string, userId: string) {
    return this.store
      .log(userId)
      .filter(({ payload }) => 'tradeId' in payload && payload.tradeId === tradeId)
  }

  clientOrderId(tradeId: string, { userId }: ConnectionRef = this.firstRef()): string {
    return clientOrderIdOf(userId, tradeId)
  }

  async order(
    tradeId: string,
    { userId, connectionId }: ConnectionRef = this.firstRef(),
  ): Promise<Order | null> {
    return (await this.store.loadSlice(userId, { orderId: tradeId, connectionId, symbol: '' }))
      .slice.order
  }

  anomalies(): Anomaly[] {
    return this.changes.flatMap((change) => (change.type === 'anomaly' ? [change.what] : []))
  }
}
