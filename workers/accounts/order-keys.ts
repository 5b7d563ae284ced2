import {
  type BrokerOrder,
  clientOrderIdOf,
  externalOrderId,
  type Order,
  type OrderKey,
  readClientOrderId,
} from '#domain'
import { putNewest } from '#runtime'
import type { ConnectionRef, Store } from '#store'
import type { Broker } from '../broker/index.ts'

/**
 * Finds the record that a broker order belongs to.
 *
 *   our client order id ----------------------------------> the trade that the id names
 *   known here, or by a reference of the store -----------> that record
 *   no client order id -----------------------------------> the open record that has it, or the
 *     client order id that the broker shows for this order alone
 *   replaced another order -------------------------------> the record of the replaced order, read
 *     from the broker if necessary
 *   of a class with exits, and has a parent at the broker -> the parent's trade, if it is ours
 *   everything else --------------------------------------> a record of its own, external
 *
 * Invariant:
 * - An order becomes external only after the broker has answered. A failed query throws, and the
 *   next poll finds the order again.
 * - The same order always belongs to the same record, independent of the sequence of reports: a
 *   chain of replacements is followed to its first order. The orders read on the way are returned
 *   in `before`, to be applied first.
 */
export class OrderKeys {
  readonly #deps: OrderKeysDeps
  readonly #known = new Map<string, OrderKey>()

  constructor(deps: OrderKeysDeps) {
    this.#deps = deps
  }

  /** @throws {BrokerError} the broker could not be queried */
  async of(report: BrokerOrder): Promise<FoundKey> {
    const before: BrokerOrder[] = []
    const orderKey = this.#openRecordOf(report)
    if (orderKey !== null) return { orderKey, before, order: report }
    const order = await this.#named(report)
    return { orderKey: await this.#find(order, before, 0), before, order }
  }

  /**
   * The first order of a trade of ours; `null`: the broker does not know the order.
   * @throws {BrokerError} the broker could not be queried
   */
  firstOf({ userId, id }: OrderKey): Promise<BrokerOrder | null> {
    return this.#deps.broker.findByClientOrderId(clientOrderIdOf(userId, id))
  }

  async #find(order: BrokerOrder, before: BrokerOrder[], depth: number): Promise<OrderKey> {
    const { userId, connectionId } = this.#deps.ref
    const ours = readClientOrderId(order.clientOrderId, userId)
    if (ours !== null)
      return this.#keep(order, { id: ours.tradeId, origin: 'fillcast', userId, connectionId })
    const known = await this.#lookUp(order)
    if (known !== null) return this.#keep(order, known)
    const via = await this.#previous(order)
    if (via !== null && depth < CHAIN_MAX) {
      const orderKey = await this.#find(via.order, before, depth + 1)
      const isSame = via.is === 'replaced' || orderKey.origin === 'fillcast'
      if (isSame) before.push(via.order)
      return this.#keep(order, isSame ? orderKey : this.#external(order))
    }
    return this.#keep(order, this.#external(order))
  }

  /** The record of a snapshot without a client order id, if its order is open here. */
  #openRecordOf({ brokerOrderId, clientOrderId }: BrokerOrder): OrderKey | null {
    if (clientOrderId !== '') return null
    const isThis = ({ placements }: Order): boolean =>
      placements.some((one) => one.brokerOrderId === brokerOrderId)
    const own = this.#deps.orders().find(isThis)
    if (own === undefined) return null
    const { id, origin, userId, connectionId } = own
    return { id, origin, userId, connectionId }
  }

  /**
   * If the snapshot has no client order id, the broker is queried for this order alone, because
   * only that answer has the id.
   */
  async #named(order: BrokerOrder): Promise<BrokerOrder> {
    if (order.clientOrderId !== '' || this.#known.has(order.brokerOrderId)) return order
    const alone = await this.#deps.broker.findByBrokerOrderId(order.brokerOrderId)
    return { ...order, clientOrderId: alone?.clientOrderId ?? '' }
  }

  async #lookUp({ brokerOrderId, replaces }: BrokerOrder): Promise<OrderKey | null> {
    const ids = replaces === null ? [brokerOrderId] : [brokerOrderId, replaces]
    for (const id of ids) {
      const known = this.#known.get(id)
      if (known !== undefined) return known
    }
    const { userId, connectionId } = this.#deps.ref
    const refs = await this.#deps.store.findRefs(userId, ids)
    for (const id of ids) {
      const orderId = refs.get(id)
      if (orderId !== undefined)
        return {
          id: orderId,
          origin: orderId.startsWith('ext.') ? 'external' : 'fillcast',
          userId,
          connectionId,
        }
    }
    return null
  }

  /**
   * The order at the broker that links this order to a record: the replaced order or the parent.
   */
  async #previous(
    order: BrokerOrder,
  ): Promise<{ order: BrokerOrder; is: 'replaced' | 'parent' } | null> {
    const { broker } = this.#deps
    if (order.replaces !== null) {
      const old = await broker.findByBrokerOrderId(order.replaces)
      if (old !== null) return { order: old, is: 'replaced' }
    }
    if (order.orderClass === 'simple') return null
    const parent = await broker.findParent(order)
    return parent === null || parent.brokerOrderId === order.brokerOrderId
      ? null
      : { order: parent, is: 'parent' }
  }

  #external({ brokerOrderId }: BrokerOrder): OrderKey {
    return { id: externalOrderId(brokerOrderId), origin: 'external', ...this.#deps.ref }
  }

  #keep({ brokerOrderId }: BrokerOrder, orderKey: OrderKey): OrderKey {
    putNewest(this.#known, brokerOrderId, orderKey, ORDER_KEYS_MAX)
    return orderKey
  }
}

type OrderKeysDeps = Readonly<{
  ref: ConnectionRef
  store: Store
  broker: Broker
  /** The connection's open orders that the session knows. */
  orders(): readonly Order[]
}>

/** A record, and the orders read on the way to it: apply those orders first. */
export type FoundKey = Readonly<{
  orderKey: OrderKey
  before: readonly BrokerOrder[]
  /** The order, with the client order id that was found for it. */
  order: BrokerOrder
}>

/** The most order keys that one session remembers; an evicted key costs a read. */
const ORDER_KEYS_MAX = 10_000
/**
 * The longest chain of orders that is followed back. An order beyond it gets a record of its own.
 */
const CHAIN_MAX = 64
