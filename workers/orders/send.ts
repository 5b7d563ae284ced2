import {
  type BrokerOrder,
  clientOrderIdOf,
  type Exposure,
  isPast,
  type Order,
  type OrderUpdate,
  type Refusal,
  REQUEST_MS_MAX,
} from '#domain'
import { isoTime } from '#runtime'
import type { Halt } from '#store'
import type { Broker, SubmitOutcome } from '../broker/index.ts'
import { again, DONE, type JobResult, type Run } from '../queue/index.ts'
import { type Applied, applyUpdate, FencedError } from '../state/index.ts'
import { adopt, adoptOrder, lookUpSubmission, NOT_RECORDED_MS, viewOf } from './adopt.ts'
import { EXPIRED, haltedBy, type OrderDenial, passesHalt } from './denials.ts'
import type { OrderDeps, Submission } from './deps.ts'

/** A trade that this run has claimed, with the slice that the claim committed. */
export type ClaimedSubmission = Readonly<{
  submission: Submission
  broker: Broker
  applied: Applied
  claim: string
  globalHalt: Halt | null
  /** The exposure as judged when the trade was claimed. */
  exposure: Exposure
}>

/** An unknown outcome is looked up after this. */
const LOOK_UP_MS = 500
/**
 * Pause after a refusal, ours or the broker's, that proves nothing because an earlier request may
 * have arrived. The pause is long because each further try costs requests.
 */
const REFUSED_AGAIN_MS = 10_000
/**
 * If the broker refuses a close for its quantity, the position is read again after this (POS-07).
 */
const SIZE_AGAIN_MS = 1_000
/** Pause after a rate limit that does not name its end. */
const RATE_LIMITED_MS = 5_000

/**
 * Sends one request to place the order, and records its outcome. The job's lock, the global halt
 * and the deadline are checked once more, right before.
 */
export async function send(
  deps: OrderDeps,
  claimed: ClaimedSubmission,
  run: Run,
): Promise<JobResult> {
  const { submission, broker, globalHalt, exposure } = claimed
  const { intent, isClose } = submission
  const clientOrderId = clientOrderIdOf(intent.userId, intent.tradeId)
  await deps.boundaries.reached('submit.sending')
  run.assertHeld()
  const isHalted = globalHalt !== null && !passesHalt(globalHalt, exposure)
  const denial = isHalted ? haltedBy(globalHalt) : isPast(intent, deps.clock.now()) ? EXPIRED : null
  if (denial !== null) return denyClaimed(deps, claimed, denial, run)
  const outcome = await broker.submit({ intent, clientOrderId, isClose, isBudgeted: true })
  await deps.boundaries.reached('submit.answered')
  // Clients are sent an event for each accepted order; an info line for each order would cost more
  // than the event.
  deps.log[outcome.kind === 'accepted' ? 'debug' : 'info'](
    { clientOrderId, outcome: outcome.kind },
    'submit.answered',
  )
  const result = await record(deps, claimed, outcome, run)
  await deps.boundaries.reached('submit.recorded')
  return result
}

/** Ends the trade unsent, if no request of it can have arrived. */
async function denyClaimed(
  deps: OrderDeps,
  claimed: ClaimedSubmission,
  denial: OrderDenial,
  run: Run,
): Promise<JobResult> {
  const { order } = claimed.applied.slice
  // An earlier request may have arrived: then this denial proves nothing.
  if (order === null || order.unknownSince !== null)
    return remainUnknown(deps, claimed, denial.message)
  // If the store may have lost the record of an earlier request (RDQ-04), the broker is asked for
  // the order.
  const seen = deps.mayHaveLostWrites() ? await lookUpSubmission(order, claimed.broker) : null
  if (seen?.kind === 'found')
    return adoptOrder(deps, order, seen.order, { broker: claimed.broker, run })
  const at = isoTime(deps.clock.now())
  if (seen?.kind === 'failed') {
    // The order must not look as if no request was sent: its next run has to look it up at the
    // broker before anything else.
    await write(deps, claimed, { type: 'outcome_unknown', at })
    return seen.result
  }
  // If the job ran before, absence at the broker proves nothing.
  if (seen !== null && run.isRepeat !== false) return remainUnknown(deps, claimed, denial.message)
  return endRefused(deps, claimed, { type: 'denied', ...denial, at })
}

/**
 * Ends the trade as refused. Just after a loss, an earlier request may be under way, or its order
 * may not be shown yet (RDQ-04): then the refusal is recorded as doubted, and the order is looked
 * up once more when such a request is over.
 */
async function endRefused(
  deps: OrderDeps,
  claimed: ClaimedSubmission,
  refusal: Refusal,
): Promise<JobResult> {
  const isDoubted = deps.mayHaveJustLost()
  await write(
    deps,
    claimed,
    isDoubted ? { type: 'refusal_doubted', refusal, at: refusal.at } : refusal,
  )
  return isDoubted
    ? again(REQUEST_MS_MAX, 'refused, and a request whose record the store lost may be under way')
    : DONE
}

/**
 * @param why the reason why no further request was made or accepted; this reason proves nothing
 *   about an earlier request
 */
async function remainUnknown(
  deps: OrderDeps,
  claimed: ClaimedSubmission,
  why: string,
): Promise<JobResult> {
  await write(deps, claimed, { type: 'outcome_unknown', at: isoTime(deps.clock.now()) })
  return again(REFUSED_AGAIN_MS, `${why}, and an earlier request may have arrived`)
}

async function record(
  deps: OrderDeps,
  claimed: ClaimedSubmission,
  outcome: SubmitOutcome,
  run: Run,
): Promise<JobResult> {
  const at = isoTime(deps.clock.now())
  const { submission, applied } = claimed
  const { order } = applied.slice
  switch (outcome.kind) {
    case 'accepted':
      return recordAccepted(deps, claimed, outcome.order)
    case 'duplicate':
      return adoptDuplicate(deps, claimed, run)
    case 'refused': {
      // A refusal of this request proves nothing about an earlier request that may have arrived.
      if (order?.unknownSince != null)
        return remainUnknown(deps, claimed, `refused now (${outcome.message})`)
      const { code, brokerCode, message } = outcome
      if (submission.isClose && code === 'INSUFFICIENT_QUANTITY') {
        if (order?.attemptEndedAt == null) {
          await write(deps, claimed, { type: 'not_sent', at })
          return again(SIZE_AGAIN_MS, `${message}: it is sized anew, once`)
        }
        deps.log.error({ tradeId: submission.intent.tradeId, message }, 'close.refused_twice')
      }
      return refuse(deps, claimed, { type: 'refused', code, brokerCode, message, at }, run)
    }
    case 'rate_limited':
    case 'not_sent': {
      await write(deps, claimed, { type: 'not_sent', at })
      const why = outcome.kind === 'not_sent' ? outcome.why : 'rate limited'
      if (outcome.kind === 'not_sent' && order?.unknownSince == null)
        await deps.parked.note(submission.intent, why)
      return again(outcome.retryAfterMs ?? RATE_LIMITED_MS, why)
    }
    case 'unknown':
      await write(deps, claimed, { type: 'outcome_unknown', at })
      return again(LOOK_UP_MS, `unknown outcome: ${outcome.cause}`)
  }
}

/**
 * The broker refused the request. If the store may have lost the record of an earlier request
 * (RDQ-04), that earlier request may have been accepted: the broker is asked for the order. If the
 * job ran before, absence at the broker proves nothing.
 */
async function refuse(
  deps: OrderDeps,
  claimed: ClaimedSubmission,
  refused: Extract<OrderUpdate, { type: 'refused' }>,
  run: Run,
): Promise<JobResult> {
  const { order } = claimed.applied.slice
  const seen =
    order !== null && deps.mayHaveLostWrites()
      ? await lookUpSubmission(order, claimed.broker)
      : null
  if (order !== null && seen?.kind === 'found')
    return adoptOrder(deps, order, seen.order, { broker: claimed.broker, run })
  if (seen?.kind === 'failed' || (seen !== null && run.isRepeat !== false))
    return remainUnknown(deps, claimed, `refused (${refused.message})`)
  return endRefused(deps, claimed, refused)
}

/**
 * The order is ours, even if its terms in the answer differ. The job is done only once the record
 * shows the order.
 */
async function recordAccepted(
  deps: OrderDeps,
  claimed: ClaimedSubmission,
  accepted: BrokerOrder,
): Promise<JobResult> {
  const { status } = await write(deps, claimed, { ...viewOf(accepted), isAnswer: true })
  if (status !== 'submitting') return DONE
  const { clientOrderId, brokerOrderId } = accepted
  deps.log.error({ clientOrderId, brokerOrderId }, 'submit.answer_not_recorded')
  await write(deps, claimed, { type: 'outcome_unknown', at: isoTime(deps.clock.now()) })
  return again(
    NOT_RECORDED_MS,
    'the broker accepted the order, and the answer could not be recorded',
  )
}

/** The client order id is taken: an earlier request was accepted, or a foreign order has our id. */
async function adoptDuplicate(
  deps: OrderDeps,
  claimed: ClaimedSubmission,
  run: Run,
): Promise<JobResult> {
  await write(deps, claimed, { type: 'outcome_unknown', at: isoTime(deps.clock.now()) })
  const { order } = claimed.applied.slice
  return order === null ? DONE : adopt(deps, order, { broker: claimed.broker, run })
}

/**
 * Applies the update to the slice that the claim committed, without loading it; if another commit
 * came first, the slice is loaded.
 * @throws {FencedError} the claim does not hold any more, or is gone together with the record
 */
async function write(
  { writer }: OrderDeps,
  { submission: { intent }, applied, claim }: ClaimedSubmission,
  update: OrderUpdate,
): Promise<Order> {
  const { userId, connectionId, tradeId, symbol } = intent
  const orderKey = { id: tradeId, origin: 'fillcast', userId, connectionId } as const
  const target = { orderKey, symbol, fence: { kind: 'claim', tradeId, claim } } as const
  const { slice } = await applyUpdate(writer, target, update, applied)
  if (slice.order === null) throw new FencedError(tradeId)
  return slice.order
}
