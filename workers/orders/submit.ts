import { parametersHash } from '#contract'
import { isPast, isQuarantined, type Order, type OrderIntent, REQUEST_MS_MAX } from '#domain'
import { isoTime } from '#runtime'
import type { LoadedSlice } from '#store'
import {
  type Broker,
  ConnectionUnusableError,
  type Opened,
  UnverifiedError,
} from '../broker/index.ts'
import { again, DONE, type JobResult, type Run, STORE_LOST } from '../queue/index.ts'
import { FencedError } from '../state/index.ts'
import { claim, type Claimed, claimedUpdate, denyOrder, withdraw } from './claim-submission.ts'
import {
  disconnected,
  EXPIRED,
  haltedBy,
  isParkedTooLong,
  PARKED_MS_MAX,
  tooMany,
} from './denials.ts'
import { isGone, loadTrade, type OrderDeps, type Submission } from './deps.ts'
import { FREEING_MS_MAX } from './freed.ts'
import { findLost, leaveOrRepeat } from './lost.ts'
import { assertSame } from './refusal.ts'
import { resumeSubmission } from './resolve.ts'
import { send } from './send.ts'

/**
 * Carries one intent to the broker, at most once.
 *
 *   load --> claim (state: submitting) --> POST --> accepted | refused | unknown | not sent
 *     |        denied: halted, a limit, too late, canceled already           |        |
 *     there already --> see resolve.ts  <------------------------------------+--------+
 *
 * If the cache does not hold the trade's slice, one round trip loads it. One commit claims, one
 * commit records the answer.
 * Invariant:
 * - A request is sent only after its claim is written, and only by the holder of the latest claim.
 * - The client order id is a function of user and trade, so that even two POSTs make one order.
 * - Only the broker's definitive answer rejects (P1, P2).
 */

/** If another run has claimed the trade, a submission runs again after this. */
const IN_HAND_MS = 1_000
/**
 * Pause before a submission checks again whether the account has been read, or its credentials
 * verified.
 */
const NOT_READY_MS = 500

/** @throws {TradeConflictError} */
export async function submitOrder(
  deps: OrderDeps,
  intent: OrderIntent,
  run: Run,
): Promise<JobResult> {
  const result = await carryOut(deps, intent, run)
  // Only a job that ran before can have been parked by an earlier run.
  if (result.kind === 'done' && run.isRepeat !== false)
    await deps.parked.clear(intent.userId, intent.tradeId)
  return result
}

async function carryOut(deps: OrderDeps, intent: OrderIntent, run: Run): Promise<JobResult> {
  await deps.boundaries.reached('submit.dequeued')
  const submission: Submission = {
    intent,
    hash: parametersHash(intent),
    isClose: false,
    askedAt: isoTime(run.queuedAtMs),
  }
  const { userId, connectionId, tradeId: orderId, symbol } = intent
  const opening = deps.brokers.recall(intent)
  opening.catch(() => {}) // `submitNew` awaits it and handles its error
  const cache = deps.writer.cache.slice({ userId, orderId, connectionId, symbol }, true)
  if (cache !== null) return submitNew(deps, submission, cache, run, opening)
  const loaded = await loadTrade(deps, intent)
  const { order } = loaded.slice
  return order === null
    ? submitNew(deps, submission, loaded, run, opening)
    : handleExisting(deps, submission, order, run)
}

/** The trade has a record: the job is a repeat, or an earlier run of the job did not finish. */
export async function handleExisting(
  deps: OrderDeps,
  { hash }: Submission,
  order: Order,
  run: Run,
): Promise<JobResult> {
  assertSame(order, hash)
  return order.status === 'submitting' && !isQuarantined(order)
    ? resumeSubmission(deps, order, run)
    : DONE
}

/**
 * Claims a trade that has no record yet, and sends its order.
 * @param opening the connection's broker, if the caller has already asked for it
 */
export async function submitNew(
  deps: OrderDeps,
  submission: Submission,
  loaded: LoadedSlice,
  run: Run,
  opening: Promise<Opened> = deps.brokers.recall(submission.intent),
): Promise<JobResult> {
  let opened: Opened
  try {
    opened = await opening
  } catch (error) {
    if (error instanceof UnverifiedError) return wait(deps, submission, run, error.message)
    if (!(error instanceof ConnectionUnusableError)) throw error
    if (!(await isGone(deps, submission.intent))) return again(NOT_READY_MS, STORE_LOST)
    return denyGone(deps, submission, error.message, run)
  }
  try {
    return await claimAndSend(deps, submission, loaded, opened, run)
  } catch (error) {
    if (error instanceof FencedError) return leaveOrRepeat(deps, submission.intent)
    throw error
  }
}

/**
 * Refuses a trade whose connection is gone. If the store may have lost writes, an earlier run may
 * have sent the order and its record may be lost. Without its connection the order cannot be looked
 * up, so no rejection is proved: the trade is only logged. If the store lost everything, this holds
 * even for a job that never ran before, because an earlier job of the same trade may be lost as
 * well.
 */
export async function denyGone(
  deps: OrderDeps,
  submission: Submission,
  message: string,
  run: Run,
): Promise<JobResult> {
  if (run.isRepeat === false ? deps.hasLostAll() : deps.mayHaveLostWrites()) {
    const { userId, connectionId, tradeId } = submission.intent
    deps.log.error({ userId, connectionId, tradeId }, 'submit.outcome_unknown')
    return DONE
  }
  return denyOrder(deps, submission, { code: 'BROKER_DISCONNECTED', message })
}

/**
 * Claims the trade and sends its order. A store that lost its last writes may hold no record of an
 * order that is at the broker (RDQ-04). Sending that order again is harmless: the broker refuses a
 * client order id that is taken. But before such a trade ends unsent, its order is looked up.
 * @param isAbsent true if the broker has no such order, or if no look-up is needed because the
 *   store has lost no writes
 */
async function claimAndSend(
  deps: OrderDeps,
  submission: Submission,
  loaded: LoadedSlice,
  opened: Opened,
  run: Run,
  isAbsent = !deps.mayHaveLostWrites(),
): Promise<JobResult> {
  const mayWait = deps.clock.now() - run.queuedAtMs < FREEING_MS_MAX
  const claimed = await claim(deps, submission, loaded, opened, isAbsent, mayWait)
  if (claimed === 'unread')
    return wait(deps, submission, run, 'the account has not been read yet', opened.broker)
  if (claimed === 'freeing')
    return again(NOT_READY_MS, 'orders that close part of the position are being canceled')
  const { taken } = claimed
  const isRefused = taken.kind === 'halted' || taken.kind === 'over_pace'
  const endsUnsent = isRefused || (taken.kind === 'left' && taken.loaded.slice.order === null)
  if (isAbsent || !endsUnsent) return afterClaim(deps, claimed, opened, run)
  const notAbsent = await findUntilAbsent(deps, submission, opened.broker, run)
  return (
    notAbsent ??
    claimAndSend(deps, submission, await loadTrade(deps, submission.intent), opened, run, true)
  )
}

/**
 * Looks for the order of a trade whose record the store may have lost (RDQ-04). Absence at the
 * broker proves nothing while an earlier request may be under way: a request of an earlier run, or,
 * just after a loss, a request of another job. The order is looked up once more when such a request
 * is over, and not in between: many orders may wait, and each look-up is a request.
 * @returns `null`: there is no such order at the broker
 */
export async function findUntilAbsent(
  deps: OrderDeps,
  submission: Submission,
  broker: Broker,
  run: Run,
): Promise<JobResult | null> {
  const found = await findLost(
    deps,
    claimedUpdate(submission, isoTime(deps.clock.now())),
    broker,
    run,
  )
  if (found !== null) return found
  const why = 'an earlier request may be under way'
  if (run.isRepeat === false && !deps.mayHaveJustLost()) return null
  const leftMs = REQUEST_MS_MAX - (await deps.parked.note(submission.intent, why))
  return leftMs > 0 ? again(leftMs, why) : null
}

async function afterClaim(
  deps: OrderDeps,
  { taken, submission, exposure }: Claimed,
  { broker }: Opened,
  run: Run,
): Promise<JobResult> {
  switch (taken.kind) {
    case 'taken': {
      await deps.boundaries.reached('submit.claimed')
      const { applied, claim: token, globalHalt } = taken
      if (applied.slice.order?.status !== 'submitting') return DONE // denied, or canceled before it came
      return send(deps, { submission, broker, applied, claim: token, globalHalt, exposure }, run)
    }
    case 'left': {
      const { order } = taken.loaded.slice
      if (order !== null) assertSame(order, submission.hash)
      return order?.status === 'submitting' ? again(IN_HAND_MS, 'another run has it in hand') : DONE
    }
    case 'archived':
      assertSame(taken.order, submission.hash)
      return DONE
    case 'ended':
      assertSame({ ...taken.tombstone, id: submission.intent.tradeId }, submission.hash)
      return DONE
    case 'halted':
      return denyOrder(deps, submission, haltedBy(taken.halt))
    case 'over_pace':
      return denyOrder(deps, submission, tooMany(taken))
    case 'unusable': {
      if (!taken.isLinked) {
        if (!(await isGone(deps, submission.intent))) return again(NOT_READY_MS, STORE_LOST)
        return denyGone(
          deps,
          submission,
          disconnected('there is no such broker connection').message,
          run,
        )
      }
      return wait(deps, submission, run, 'the credentials of the connection are not verified')
    }
    case 'over_budget':
      return again(taken.retryAfterMs, 'the request budget of the account is spent')
  }
}

/**
 * Parks the order: only a note that shows the order is written, and a cancel ends the wait. While
 * the store may have lost writes, a parked order does not end: its claim after the wait asks the
 * broker. A loss that is longer ago is not noticed any more, so the broker is asked before a parked
 * order ends, too.
 * @param broker `null`: the broker cannot be asked
 */
async function wait(
  deps: OrderDeps,
  submission: Submission,
  run: Run,
  why: string,
  broker: Broker | null = null,
): Promise<JobResult> {
  const { intent } = submission
  const nowMs = deps.clock.now()
  const parkedMs = await deps.parked.note(intent, why)
  const isLate =
    nowMs - run.queuedAtMs > PARKED_MS_MAX || isParkedTooLong(intent, parkedMs, deps.parkedMarketMs)
  const denial = isPast(intent, nowMs) ? EXPIRED : isLate ? disconnected(why) : null
  const isCanceled = (await loadTrade(deps, intent)).cancelMark !== null
  if ((denial === null && !isCanceled) || deps.mayHaveLostWrites()) return again(NOT_READY_MS, why)
  const found =
    broker === null
      ? null
      : await findLost(deps, claimedUpdate(submission, isoTime(nowMs)), broker, run)
  // Only the job holds the trade, so a failed look-up must not use up the tries of the job.
  if (found?.kind === 'again') return again(found.delayMs ?? NOT_READY_MS, found.why)
  return (
    found ??
    (denial === null || isCanceled
      ? withdraw(deps, submission)
      : denyOrder(deps, submission, denial))
  )
}
