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

/** Pause after an order was found at the broker and could not be recorded. */
export const NOT_RECORDED_MS = 30_000
/** How far the broker's clock may be from ours. */
export const CLOCK_SKEW_MS = 5 * 60_000
/** Pause while an id is taken and its order is not visible yet. */
const NOT_VISIBLE_MS = 1_000

/**
 * The broker's order under an id; `failed`: the broker could not be asked, and the job ends with
 * `result`.
 */
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

/** The broker has the id: adopts the order as soon as the broker shows it. */
export async function adopt(deps: OrderDeps, order: Order, at: AdoptedAt): Promise<JobResult> {
  const seen = await lookUpSubmission(order, at.broker)
  if (seen.kind === 'failed') return seen.result
  if (seen.kind === 'absent')
    return again(NOT_VISIBLE_MS, 'the id is taken, and its order is not visible yet')
  return adoptOrder(deps, order, seen.order, at)
}

type AdoptedAt = Readonly<{ broker: Broker; run: Run }>

/**
 * Adopts an order that was found under our id, if it is the order that was asked for. If it is a
 * foreign order, it is left alone, and our order is quarantined: no more requests are sent for it,
 * and a halt does not wait for it. If the order found was over before this trade was claimed, it is
 * only recorded.
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
 * True if an order was at the broker before its trade was first claimed here, and before its job
 * was queued. False while the store may have lost an earlier claim, because then the first claim is
 * not known (RDQ-04).
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
 * The order and all orders that replaced it; `null`: part of it is still open, and it is followed
 * like any other order.
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
 * The trade id was used long ago, and its record is gone. The executions of that time are in the
 * positions already, and clients were sent their events at that time. If the parameters differ from
 * the order found, this trade is refused: no request was sent for it, and its id is taken.
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
