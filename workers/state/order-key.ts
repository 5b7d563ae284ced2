import { externalOrderId, type Order, readClientOrderId } from '#domain'
import type { Write } from '#store'

/**
 * Writes that store, with an order's record, a reference from each new broker order to the record.
 * A broker order needs none if its client order id or the record's id names it.
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
