import { externalOrderId, type Order, readClientOrderId } from '#domain'
import type { Write } from '#store'

/**
 * What notes, with an order's record, which of its broker orders are named by neither their client
 * order id nor the record's id.
 */
export function refsOf(before: Order | null, { id: orderId, userId, placements }: Order): Write[] {
  const known = new Set(before?.placements.map((one) => one.brokerOrderId))
  return placements.flatMap(({ brokerOrderId, clientOrderId }) =>
    brokerOrderId === null ||
    known.has(brokerOrderId) ||
    externalOrderId(brokerOrderId) === orderId ||
    readClientOrderId(clientOrderId, userId) !== null
      ? []
      : [{ kind: 'ref', brokerOrderId, orderId } as const],
  )
}
