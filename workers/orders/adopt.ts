import { type BrokerOrder, clientOrderIdOf, differencesOf, intentOf, type Order, type OrderUpdate } from '#domain'
import { type Broker, BrokerError } from '../broker/index.ts'
import { apply } from '../updates/index.ts'
import { factsOf, type OrderDeps } from './deps.ts'
import { again, DONE, type JobResult } from './job.ts'

/** Another order has our id: it is looked at again after this, and somebody is told each time. */
const CONFLICT_MS = 30_000
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

/** Takes an order over that was found under our id, if it is the one that was asked for. */
export async function adoptOrder(deps: OrderDeps, order: Order, seen: BrokerOrder): Promise<JobResult> {
  const differences = differencesOf(intentOf(order), seen)
  if (differences.length > 0) {
    const { clientOrderId, brokerOrderId } = seen
    deps.log.error({ clientOrderId, brokerOrderId, differences }, 'submit.foreign_order_under_our_id')
    return again(CONFLICT_MS, `another order has this client order id: it differs in ${differences.join(', ')}`)
  }
  await apply(deps.applier, factsOf(order), viewOf(seen))
  return DONE
}

export const viewOf = (order: BrokerOrder): OrderUpdate => ({
  ...{ type: 'broker_order', order, execution: null, at: order.updatedAt },
})
