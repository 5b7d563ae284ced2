import {
  assess,
  clientOrderIdOf,
  type Exposure,
  exposureOf,
  isPast,
  newOrder,
  type OrderIntent,
  type OrderKey,
  type OrderUpdate,
  type RiskFacts,
} from '#domain'
import { isoTime } from '#runtime'
import type { Fence, LoadedSlice } from '#store'
import type { Opened } from '../broker/index.ts'
import { DONE, type JobResult } from '../queue/index.ts'
import { applyUpdates, claimOrder, type ClaimResult, type Decision } from '../state/index.ts'
import { EXPIRED, type OrderDenial } from './denials.ts'
import type { OrderDeps, Submission } from './deps.ts'
import { assertSame } from './refusal.ts'
import { paceOf } from './risk-facts.ts'
import { sizedFor } from './sizing.ts'

// The commits that make the first record of a trade: its claim, its denial, its withdrawal.

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
export async function claim(
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
export type Claimed = Readonly<{ taken: ClaimResult; submission: Submission; exposure: Exposure }>

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

export const claimedUpdate = (
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

/** Ends a parked order by the cancel that waits for it. */
export async function withdraw(deps: OrderDeps, submission: Submission): Promise<JobResult> {
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

const orderKeyOf = ({ userId, connectionId, tradeId: id }: OrderIntent): OrderKey => ({
  id,
  origin: 'fillcast',
  userId,
  connectionId,
})
