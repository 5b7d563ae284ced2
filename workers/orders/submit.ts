import { parametersHash } from '#contract'
import {
  assess,
  clientOrderIdOf,
  type Exposure,
  exposureOf,
  isQuarantined,
  newOrder,
  type Order,
  type OrderIntent,
  type OrderKey,
  type OrderUpdate,
  REQUEST_MS_MAX,
  type RiskFacts,
} from '#domain'
import { isoTime } from '#runtime'
import type { Fence, LoadedSlice } from '#store'
import {
  type Broker,
  ConnectionUnusableError,
  type Opened,
  UnverifiedError,
} from '../broker/index.ts'
import { again, DONE, type JobResult, type Run, STORE_LOST } from '../queue/index.ts'
import {
  applyUpdates,
  claimOrder,
  type ClaimResult,
  type Decision,
  FencedError,
} from '../state/index.ts'
import {
  disconnected,
  EXPIRED,
  haltedBy,
  isParkedTooLong,
  isPast,
  type OrderDenial,
  PARKED_MS_MAX,
  tooMany,
} from './denials.ts'
import { isGone, loadTrade, type OrderDeps, type Submission } from './deps.ts'
import { FREEING_MS_MAX } from './freed.ts'
import { findLost, leaveOrRepeat } from './lost.ts'
import { assertSame } from './refusal.ts'
import { resumeSubmission } from './resolve.ts'
import { paceOf } from './risk-facts.ts'
import { send } from './send.ts'
import { sizedFor } from './sizing.ts'

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

/** Ends a parked order by the cancel that waits for it. */
async function withdraw(deps: OrderDeps, submission: Submission): Promise<JobResult> {
  const at = isoTime(deps.clock.now())
  const { intent } = submission
  const target = {
    orderKey: orderKeyOf(intent),
    symbol: intent.symbol,
    fence: { kind: 'version' },
  } as const
  await applyUpdates(deps.writer, target, ({ slice: { order }, tombstone, cancelMark }) => {
    if (order !== null || tombstone !== null || cancelMark === null) return []
    return [
      claimedUpdate(submission, at),
      { type: 'cancel_requested', request: cancelMark },
      { type: 'withdrawn', at },
    ]
  })
  return DONE
}

/**
 * The claim. A limit that counts orders, or sums their remaining exposure, is checked against the
 * very version on top of which the claim is committed.
 * Results without a claim:
 * - `left` without an order: the trade would end unsent, so its order has to be looked up at the
 *   broker first.
 * - `unread`: positions and cash start from a first reading of the account; an order that executed
 *   before that reading would be booked twice.
 * - `freeing`: an order is being canceled whose end leaves more to close, and there is time to wait
 *   for it.
 */
async function claim(
  deps: OrderDeps,
  submission: Submission,
  loaded: LoadedSlice,
  opened: Opened,
  isAbsent: boolean,
  mayWait: boolean,
): Promise<Claimed | 'unread' | 'freeing'> {
  const { intent } = submission
  const found: { first: FirstClaim | null; isFreeing: boolean } = { first: null, isFreeing: false }
  const decide = async (now: LoadedSlice): Promise<Decision> => {
    found.first = null
    if (now.slice.order !== null || now.slice.account === null) return null
    const facts = await deps.loadRiskFacts(intent, now, opened.broker)
    if (facts === 'stale') return facts
    found.isFreeing = mayWait && now.cancelMark === null && sizedFor(submission, facts).waits
    if (found.isFreeing) return null
    found.first = firstClaim(deps, submission, now, facts, opened.revision)
    return !isAbsent && found.first.updates.length > 1 ? null : found.first
  }
  const taken = await claimOrder(deps.writer, orderKeyOf(intent), intent.symbol, decide, loaded)
  if (found.isFreeing) return 'freeing'
  if (taken.kind === 'left' && taken.loaded.slice.order === null && found.first === null)
    return 'unread'
  return { taken, ...judgedOf(submission, found.first) }
}

/** The result of a claim, and the submission and exposure that were decided with it. */
type Claimed = Readonly<{ taken: ClaimResult; submission: Submission; exposure: Exposure }>
type FirstClaim = Readonly<{
  fence: TakeFence
  updates: readonly OrderUpdate[]
  intent: OrderIntent
}>
type TakeFence = Extract<Fence, { kind: 'take' }>

const judgedOf = (submission: Submission, decided: FirstClaim | null): Omit<Claimed, 'taken'> =>
  decided === null
    ? { submission, exposure: 'adds' }
    : { submission: { ...submission, intent: decided.intent }, exposure: decided.fence.exposure }

function firstClaim(
  deps: OrderDeps,
  submission: Submission,
  loaded: LoadedSlice,
  facts: RiskFacts,
  revision: string,
): FirstClaim {
  const { tradeId, connectionId } = submission.intent
  const at = isoTime(facts.nowMs)
  const by = deps.random.id(12)
  const request = loaded.cancelMark
  // `first` would make any record or cancel mark of the trade a conflict. A mark was loaded
  // together with the rest of the trade, so the version is enough.
  const taking = {
    kind: 'take',
    tradeId,
    by,
    connectionId,
    revision,
    first: request === null,
  } as const
  const unsent = { ...taking, exposure: 'reduces', budget: false, pace: null } as const
  if (request !== null) {
    const updates: OrderUpdate[] = [
      claimedUpdate(submission, at),
      { type: 'cancel_requested', request },
      { type: 'withdrawn', at },
    ]
    return { fence: unsent, updates, intent: submission.intent }
  }
  const sized = sizedFor(submission, facts)
  const { intent } = sized
  const denial = isPast(intent, facts.nowMs)
    ? EXPIRED
    : (sized.denial ?? assess(newOrder(intent), facts))
  const claimed = claimedUpdate({ ...submission, intent }, at)
  if (denial !== null)
    return { fence: unsent, updates: [claimed, { type: 'denied', ...denial, at }], intent }
  const exposure = exposureOf(newOrder(intent), facts)
  const pace = exposure === 'adds' ? paceOf(facts) : null
  return { fence: { ...taking, exposure, budget: true, pace }, updates: [claimed], intent }
}

const claimedUpdate = (
  { intent, hash, isClose, askedAt, closeCommandId }: Submission,
  at: string,
): Extract<OrderUpdate, { type: 'claimed' }> => ({
  type: 'claimed',
  intent,
  clientOrderId: clientOrderIdOf(intent.userId, intent.tradeId),
  parametersHash: hash,
  closes: isClose,
  askedAt,
  ...(closeCommandId === undefined ? {} : { closeCommandId }),
  at,
})

/**
 * Refuses a trade of which no request was sent. The claim and its denial are one commit. The trade
 * is loaded anew, with the archive: a repeat of a trade that ended on an earlier day is not
 * refused, but done (RDQ-03).
 * @throws {TradeConflictError}
 */
export async function denyOrder(
  deps: OrderDeps,
  submission: Submission,
  denial: OrderDenial,
): Promise<JobResult> {
  const at = isoTime(deps.clock.now())
  const target = {
    orderKey: orderKeyOf(submission.intent),
    symbol: submission.intent.symbol,
    fence: { kind: 'version' },
  } as const
  await applyUpdates(deps.writer, target, ({ slice: { order }, tombstone }) => {
    const known =
      order ?? (tombstone === null ? null : { ...tombstone, id: submission.intent.tradeId })
    if (known === null) return [claimedUpdate(submission, at), { type: 'denied', ...denial, at }]
    assertSame(known, submission.hash)
    return []
  })
  return DONE
}

const orderKeyOf = ({ userId, connectionId, tradeId: id }: OrderIntent): OrderKey => ({
  id,
  origin: 'fillcast',
  userId,
  connectionId,
})
