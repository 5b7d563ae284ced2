import {
  adoptOrder as recordOf,
  type BrokerOrder,
  clientOrderIdOf,
  differencesOf,
  intentOf,
  isForeign,
  isOpenOrder,
  type Order,
  type OrderUpdate,
  PLACEMENTS_MAX,
} from '#domain'
import { isoTime } from '#runtime'
import { type Broker, BrokerError } from '../broker/index.ts'
import { again, DONE, type JobResult, type Run } from '../queue/index.ts'
import { applyUpdate, applyUpdates } from '../state/index.ts'
import { factsOf, type OrderDeps, orderKeyOf } from './deps.ts'

/** An order that is there could not be taken into its record. */
export const NOT_RECORDED_MS = 30_000
/** How far the broker's clock may be from ours. */
export const CLOCK_SKEW_MS = 5 * 60_000
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
    return {
      kind: 'failed',
      result: again(error.retryAfterMs, `the look-up failed: ${error.message}`),
    }
  }
}

/** Looks a submission up under its client order id. */
export const lookUpSubmission = (order: Order, broker: Broker): Promise<LookUp> =>
  lookUp(() => broker.findByClientOrderId(clientOrderIdOf(order.userId, order.id)))

/** The broker has the id: takes the order over, once it is there to be seen. */
export async function adopt(deps: OrderDeps, order: Order, at: AdoptedAt): Promise<JobResult> {
  const seen = await lookUpSubmission(order, at.broker)
  if (seen.kind === 'failed') return seen.result
  if (seen.kind === 'absent')
    return again(NOT_VISIBLE_MS, 'the id is taken, and its order is not visible yet')
  return adoptOrder(deps, order, seen.order, at)
}

type AdoptedAt = Readonly<{ broker: Broker; run: Run }>

/**
 * Takes an order over that was found under our id, if it is the order that was asked for. An order
 * that is another one is left alone, and ours is set aside: nothing more is sent for it, and a halt
 * does not wait for it. An order that was over before is only recorded.
 */
export async function adoptOrder(
  deps: OrderDeps,
  order: Order,
  seen: BrokerOrder,
  { broker, run }: AdoptedAt,
): Promise<JobResult> {
  const past = isOlder(deps, order, seen, run) ? await pastOf(order, seen, broker) : null
  if (past !== null) return recordPast(deps, order, past)
  const { slice, isArchived } = await applyUpdates(
    deps.writer,
    factsOf(order),
    ({ slice: { order: now } }) => {
      const isOther = now !== null && isForeign(now, seen)
      return [isOther ? { type: 'set_aside', at: isoTime(deps.clock.now()) } : viewOf(seen)]
    },
  )
  if (isArchived || slice.order?.status !== 'submitting') return DONE
  const { clientOrderId, brokerOrderId } = seen
  if (!isForeign(slice.order, seen)) {
    deps.log.error({ clientOrderId, brokerOrderId }, 'submit.view_not_recorded')
    return again(NOT_RECORDED_MS, 'the order was found at the broker, and could not be recorded')
  }
  const differences = differencesOf(intentOf(slice.order), seen)
  deps.log.error({ clientOrderId, brokerOrderId, differences }, 'submit.foreign_order_under_our_id')
  return DONE
}

/**
 * Whether an order was at the broker before its trade was first claimed here, and before its job
 * was queued. While the store may have lost an earlier claim, nobody can say (RDQ-04).
 */
const isOlder = (
  deps: OrderDeps,
  { claimedAt }: Order,
  { submittedAt }: BrokerOrder,
  run: Run,
): boolean =>
  !deps.mayHaveLostWrites() &&
  Date.parse(submittedAt) < Math.min(Date.parse(claimedAt ?? ''), run.queuedAtMs) - CLOCK_SKEW_MS

/**
 * An order and all that took its place; `null` when something of it is still at work: then it is
 * followed like any other.
 */
async function pastOf(
  order: Order,
  seen: BrokerOrder,
  broker: Broker,
): Promise<readonly BrokerOrder[] | null> {
  const views = [seen]
  for (let next = seen.replacedBy; next !== null && views.length < PLACEMENTS_MAX;) {
    const successor = await broker.findByBrokerOrderId(next)
    if (successor === null) break
    views.push(successor)
    next = successor.replacedBy
  }
  return isOpenOrder(recordOf(views, orderKeyOf(order))) ? null : views
}

/**
 * The trade id was used long ago, and nothing is left of its record. What executed then is in the
 * positions already, and was told then. Where other parameters are asked for by now, this trade is
 * none: nothing was sent for it, and the id is taken.
 */
async function recordPast(
  deps: OrderDeps,
  order: Order,
  views: readonly BrokerOrder[],
): Promise<JobResult> {
  const differences = views
    .slice(0, 1)
    .flatMap((first) => (isForeign(order, first) ? fieldsThatDiffer(order, first) : []))
  deps.log.warn(
    { tradeId: order.id, submittedAt: views[0]?.submittedAt, differences },
    'submit.trade_id_used_before',
  )
  const message = `The trade id was used before, with another ${differences.join(', ')}. Send it again under a new trade id`
  const update: OrderUpdate =
    differences.length === 0
      ? { type: 'past_order', views }
      : {
          type: 'refused',
          code: 'BROKER_REJECTED',
          brokerCode: null,
          message,
          at: isoTime(deps.clock.now()),
        }
  await applyUpdate(deps.writer, factsOf(order), update)
  return DONE
}

const fieldsThatDiffer = (order: Order, seen: BrokerOrder): string[] =>
  differencesOf(intentOf(order), seen).map(({ field }) => field)

export const viewOf = (order: BrokerOrder): Extract<OrderUpdate, { type: 'broker_order' }> => ({
  type: 'broker_order',
  order,
  execution: null,
  at: order.updatedAt,
})
