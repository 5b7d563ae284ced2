import { clientOrderIdOf, type Order, type OrderUpdate } from '#domain'
import type { Broker } from '../broker/index.ts'
import { applyWith } from '../updates/index.ts'
import { adoptOrder, lookUp } from './adopt.ts'
import type { OrderDeps } from './deps.ts'
import type { JobResult } from './job.ts'

type Claimed = Extract<OrderUpdate, { type: 'claimed' }>

/** What became of the look: the record, which may have been there all along, or what is to become of the job. */
type Found = Readonly<{ kind: 'order'; order: Order } | { kind: 'job'; result: JobResult }>

/**
 * Takes an order over whose record the store lost (RDQ-04): it is claimed as one of which a request may have arrived, with the cancel
 * that waits for it, and followed from there. `null`: the broker has no such order.
 */
export async function findLost(deps: OrderDeps, claimed: Claimed, broker: Broker): Promise<Found | null> {
  const { userId, connectionId, tradeId, symbol } = claimed.intent
  const seen = await lookUp(() => broker.findByClientOrderId(clientOrderIdOf(userId, tradeId)))
  if (seen.kind === 'absent') return null
  if (seen.kind === 'failed') return { kind: 'job', result: seen.result }
  const landing = { id: tradeId, origin: 'fillcast', userId, connectionId } as const
  const target = { landing, symbol, fence: { kind: 'version' } } as const
  const applied = await applyWith(deps.applier, target, ({ slice, cancelMark }) => {
    if (slice.order !== null) return []
    const cancel: OrderUpdate[] = cancelMark === null ? [] : [{ type: 'cancel_requested', request: cancelMark }]
    return [claimed, { type: 'outcome_unknown', at: claimed.at }, ...cancel]
  })
  const { order } = applied.slice
  if (order === null) return null
  if (order.status !== 'submitting') return { kind: 'order', order }
  const result = await adoptOrder(deps, order, seen.order)
  if (order.cancel !== null) await deps.ask.resolve({ userId, connectionId, tradeId })
  return { kind: 'job', result }
}
