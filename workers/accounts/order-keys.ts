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
 * Which record a broker order belongs to.
 *
 *   our client order id ----------------------------------> the trade that the id names
 *   known here, or by a reference of the store -----------> that record
 *   no client order id -----------------------------------> the open record that has it, or the
 *     client order id that the broker shows for this order alone
 *   took the place of another order ----------------------> the record of that order, read at
 *     the broker if need be
 *   of a class with exits, and has a parent at the broker -> the parent's trade, if it is ours
 *   everything else --------------------------------------> a record of its own, external
 *
 * Kept true: an order is called external only after the broker has answered; a failed question
 * throws, and the order is met again by the next poll. The same order always lands on the same
 * record, whatever is seen first: chains are followed to their first order, and what was read on
 * the way is handed back to be applied before it.
 */
export class OrderKeys {
  readonly #deps: OrderKeysDeps
  readonly #known = new Map<string, OrderKey>()

  constructor(deps: OrderKeysDeps) {
    this.#deps = deps
  }

  /** @throws {BrokerError} the broker could not be asked */
  async of(report: BrokerOrder): Promise<FoundKey> {
    const before: BrokerOrder[] = []
    const orderKey = this.#openRecordOf(report)
    if (orderKey !== null) return { orderKey, before, order: report }
    const order = await this.#named(report)
    return { orderKey: await this.#find(order, before, 0), before, order }
  }

  /**
   * The first order of a trade of ours; `null`: the broker does not know it.
   * @throws {BrokerError} it could not be asked
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

  /**
   * The record of a view that has no client order id, where it is of an order that is known to be
   * open here.
   */
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
   * The order with the client order id that the broker tells for it alone, where this view has
   * none.
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

  /** The order at the broker through which this one belongs to a record. */
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
  /** Orders of the connection that are open, as the session knows them. */
  orders(): readonly Order[]
}>

/** A record, and the orders that were read on the way to it: they are to be applied first. */
export type FoundKey = Readonly<{
  orderKey: OrderKey
  before: readonly BrokerOrder[]
  /** The order itself, by the client order id that it turned out to have. */
  order: BrokerOrder
}>

/** Landings remembered by one session; one that was forgotten costs a read. */
const ORDER_KEYS_MAX = 10_000
/** Orders followed backwards in one chain. What is longer starts a record of its own. */
const CHAIN_MAX = 64
