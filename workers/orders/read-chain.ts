import { type BrokerOrder, headOf, type Order, type Placement, unendedBefore } from '#domain'
import type { Broker } from '../broker/index.ts'
import { applyUpdate } from '../state/index.ts'
import { viewOf } from './adopt.ts'
import { factsOf, loadTrade, type OrderDeps } from './deps.ts'

/** Replacements followed in one go; a longer chain is followed further by the next run. */
const HOPS_MAX = 8

/**
 * Reads a broker order, and every order that replaced it, into the record. Commands go to the last
 * order of the chain: the head in the record may have been replaced without a report of it
 * (CAN-06).
 * @returns the last order; `null` when the broker does not know the first
 * @throws {BrokerError}
 */
export async function readChain(
  deps: OrderDeps,
  order: Order,
  brokerOrderId: string,
  broker: Broker,
): Promise<BrokerOrder | null> {
  let next: string | null = brokerOrderId
  let last: BrokerOrder | null = null
  for (let hops = 0; next !== null && hops < HOPS_MAX; hops += 1) {
    const seen = await broker.findByBrokerOrderId(next)
    if (seen === null) return last
    await applyUpdate(deps.writer, factsOf(order), viewOf(seen))
    last = seen
    next = seen.replacedBy
  }
  return last
}

/**
 * The order after all replaced orders were read into its record: only the broker knows all their
 * executions, and the newest order is sized by these executions.
 */
export async function withOldRead(deps: OrderDeps, order: Order): Promise<Order> {
  const ids = unendedBeforeHead(order).flatMap(({ brokerOrderId }) => brokerOrderId ?? [])
  if (ids.length === 0) return order
  const broker = await deps.brokers.get(order)
  for (const id of ids) await readChain(deps, order, id, broker)
  return (await loadTrade(deps, { ...order, tradeId: order.id })).slice.order ?? order
}

function unendedBeforeHead(order: Order): Placement[] {
  const head = headOf(order, 'entry')
  return head === null ? [] : unendedBefore(order, head)
}
