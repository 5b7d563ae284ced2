import {
  type BrokerOrder,
  clientOrderIdOf,
  differencesOf,
  intentOf,
  isForeign,
  type Order,
  type OrderUpdate,
} from '#domain'
import { isoTime } from '#runtime'
import { type Broker, BrokerError } from '../broker/index.ts'
import { applyWith } from '../updates/index.ts'
import { factsOf, type OrderDeps } from './deps.ts'
import { again, DONE, type JobResult } from './job.ts'

/** An order that is there could not be taken into its record. */
export const NOT_RECORDED_MS = 30_000
/** The id is taken and its order is not visible yet. */
const NOT_VISIBLE_MS = 1_000

/** What the broker knows under an id, or what to do when it cannot be asked. */
export type LookUp =
  | Readonly<{ kind: 'found'; order: BrokerOrder }>
  | Readonly<{ kind: 'absent' }>
  | Readonly<{ kind: 'failed'; result: JobResult }>

export async function lookUp(ask: () => Promise<BrokerOrder | null>): Promise<LookUp> {
  try {
    const order = await ask()
    return order === null ? { kind: 'absent' } : { kind: 'found', order }
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error
    return { kind: 'failed', result: again(error.retryAfterMs, `the look-up failed: ${error.message}`) }
  }
}

/** Looks a submission up under its client order id. */
export const lookUpSubmission = (order: Order, broker: Broker): Promise<LookUp> =>
  lookUp(() => broker.findByClientOrderId(clientOrderIdOf(order.userId, order.id)))

/** The broker has the id: takes the order over, once it is there to be seen. */
export async function adopt(deps: OrderDeps, order: Order, broker: Broker): Promise<JobResult> {
  const seen = await lookUpSubmission(order, broker)
  if (seen.kind === 'failed') return seen.result
  if (seen.kind === 'absent') return again(NOT_VISIBLE_MS, 'the id is taken, and its order is not visible yet')
  return adoptOrder(deps, order, seen.order)
}

/**
 * Takes an order over that was found under our id, if it is the order that was asked for. An order that is another one is left alone,
 * and ours is set aside: nothing more is sent for it, and a halt does not wait for it.
 */
export async function adoptOrder(deps: OrderDeps, order: Order, seen: BrokerOrder): Promise<JobResult> {
  const { slice } = await applyWith(deps.applier, factsOf(order), ({ slice: { order: now } }) => {
    const isOther = now !== null && isForeign(now, seen)
    return [isOther ? { type: 'set_aside', at: isoTime(deps.clock.now()) } : viewOf(seen)]
  })
  if (slice.order?.status !== 'submitting') return DONE
  const { clientOrderId, brokerOrderId } = seen
  if (!isForeign(slice.order, seen)) {
    deps.log.error({ clientOrderId, brokerOrderId }, 'submit.view_not_recorded')
    return again(NOT_RECORDED_MS, 'the order was found at the broker, and could not be recorded')
  }
  const differences = differencesOf(intentOf(slice.order), seen)
  deps.log.error({ clientOrderId, brokerOrderId, differences }, 'submit.foreign_order_under_our_id')
  return DONE
}

export const viewOf = (order: BrokerOrder): Extract<OrderUpdate, { type: 'broker_order' }> => ({
  ...{ type: 'broker_order', order, execution: null, at: order.updatedAt },
})
