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
 * One round trip loads what is not remembered, one commit claims, one commit records the answer.
 * Kept true: nothing is sent before the claim is written, nor by anybody but the holder of the
 * latest claim; the client order id is a function of user and trade, so that even two POSTs make
 * one order; only the broker's definitive answer rejects (P1, P2).
 */

/** A submission that finds another run at work looks again after this. */
const IN_HAND_MS = 1_000
/**
 * Pause before a submission looks again whether the account has been read, or its credentials
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
  // What never came back has never been parked.
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
  opening.catch(() => {}) // whoever needs it hears of it below
  const cache = deps.writer.cache.slice({ userId, orderId, connectionId, symbol }, true)
  if (cache !== null) return submitNew(deps, submission, cache, run, opening)
  const loaded = await loadTrade(deps, intent)
  const { order } = loaded.slice
  return order === null
    ? submitNew(deps, submission, loaded, run, opening)
    : handleExisting(deps, submission, order, run)
}

/** The trade is there already: a repeat, or a run before this one that did not come to its end. */
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
 * Claims a trade that nobody has seen before, and sends it.
 * @param opening the connection's broker, where it was asked for already
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
 * Refuses a trade whose connection is gone. An earlier run may have sent it, and its record may be
 * lost: nobody can look it up any more, and nothing proves a rejection. Of a store that lost
 * everything, no job is known to be the first of its trade either.
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
 * A store that lost its last writes may know nothing of a trade that is at the broker (RDQ-04).
 * Sending it again can only meet it; but before it is told as ended unsent, it is looked up.
 * @param isAbsent there is no such order at the broker, as far as that has to be known
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
 * Looks for a trade whose record the store may have lost (RDQ-04). What the broker does not show
 * proves nothing while an earlier request may be on its way: one that an earlier run made, or, just
 * after a loss, that came of another job. It is looked up once more when that is over, and not in
 * between: many orders may wait, and each look-up is a request.
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
 * Parked: nothing is written but a note that shows it, and a cancel ends it. Nor does it end while
 * the store may have lost what it knew of the trade: the claim after the wait asks the broker. Of
 * what was lost longer ago nobody knows any more that it was: so the broker is asked before the end
 * as well.
 * @param broker where it can be asked
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
  // Nobody but the job knows of the trade: it must not use up its tries.
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
 * The claim. Whatever counts orders, or sums what they may still do, holds against what is there in
 * the very step that adds one. Left without an order: the trade would end unsent, and whether it is
 * at the broker has to be known first. `unread`: positions and cash start from a first reading of
 * the account; an order that executed before it would be booked twice. `freeing`: an order that
 * leaves more to close is being canceled, and there is time to wait for it.
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

/** A claim, and what it was decided to send. */
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
  // A mark was loaded, and with it what there is of the trade.
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
 * Refuses what was never sent. The claim and its denial are one step. Loaded anew, with the
 * archive: a repeat of what ended on an earlier day is not refused, it is done (RDQ-03).
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
