import {
  assess,
  clientOrderIdOf,
  type Decimal,
  exposureOf,
  intentOf,
  isNotReceived,
  isPast,
  newOrder,
  nextStep,
  type Order,
  type OrderIntent,
  type OrderUpdate,
  REQUEST_MS_MAX,
  stepIfAbsent,
  submissionOf,
  type SubmissionState,
} from '#domain'
import { InvariantError, isoTime } from '#runtime'
import type { Fence, LoadedSlice } from '#store'
import { type Broker, type Opened, UnverifiedError } from '../broker/index.ts'
import { again, DONE, type JobResult, type Run } from '../queue/index.ts'
import {
  applyUpdate,
  applyUpdates,
  claimOrder,
  type ClaimResult,
  type Decision,
  FencedError,
} from '../state/index.ts'
import { adoptOrder, CLOCK_SKEW_MS, lookUp, lookUpSubmission } from './adopt.ts'
import {
  disconnected,
  EXPIRED,
  haltedBy,
  isParkedTooLong,
  type OrderDenial,
  PARKED_MS_MAX,
  tooMany,
} from './denials.ts'
import { factsOf, loadTrade, type OrderDeps, orderKeyOf } from './deps.ts'
import { leaveOrRepeat } from './lost.ts'
import { send } from './send.ts'
import { nothingToClose, promised, sizedFor } from './sizing.ts'

/**
 * Resolves the submission of a claimed trade, from its record alone.
 *
 *   no request can have arrived (parked)  --> send it, unless it has become too late
 *   a request may be under way            --> wait for its end
 *   a request may have arrived            --> look its id up --> found: adopt
 *                                                 --> absent, fresh: send again under the same id
 *                                                 --> absent, not fresh: keep looking; never send
 *                          --> absent from a complete list, a quarter of an hour after: close it
 *
 * The broker's ids stay taken, so that an order that is sent again only collides with the first
 * request. But it is not known whether ids stay taken for ever, so an order is sent again only
 * while it is fresh (SUB-04, SUB-05).
 */

const UNDER_WAY_MS = 1_000
/** Pause between look-ups of an order that is not sent again. */
const LOOK_AGAIN_MS = 30_000

/**
 * @param size sizes a parked close by the broker's own figure before it is sent; `null`: the order
 *   keeps its size
 */
export async function resumeSubmission(
  deps: OrderDeps,
  order: Order,
  run: Run,
  size: Size | null = null,
): Promise<JobResult> {
  await deps.boundaries.reached('resolve.dequeued')
  const state = submissionOf(order, deps.clock.now())
  if (state.kind === 'settled') return DONE
  if (state.kind === 'sending') return again(UNDER_WAY_MS, 'a request may be under way')
  let denial = state.kind === 'parked' ? await latenessOf(deps, order, run) : null
  let opened: Opened
  try {
    opened = await deps.brokers.find(order)
  } catch (error) {
    if (!(error instanceof UnverifiedError) || state.kind !== 'parked') throw error
    return parkUnverified(deps, order, denial, error.message)
  }
  const { broker } = opened
  if (nextStep(state, denial === null && order.cancel === null) === 'send') {
    // An order that may have arrived keeps its size.
    const sized = size === null || order.unknownSince !== null ? null : await size(broker)
    const sent =
      sized === null || 'quantity' in sized
        ? await resend(deps, order, opened, run, sized?.quantity ?? null)
        : sized
    if ('kind' in sent) return sent
    denial = sent
  }
  const seen = await lookUpSubmission(order, broker)
  await deps.boundaries.reached('resolve.looked_up')
  if (seen.kind === 'failed') return seen.result
  const result =
    seen.kind === 'found'
      ? await adoptOrder(deps, order, seen.order, { broker, run })
      : await goOnAbsent(deps, order, state, { opened, denial, run })
  await deps.boundaries.reached('resolve.recorded')
  return result
}

/** Pause before a parked order looks again whether its credentials are verified. */
const UNVERIFIED_MS = 2_000

/**
 * The broker cannot be asked. If the record shows that no request was sent, and the store has lost
 * no writes, the order may end all the same.
 */
async function parkUnverified(
  deps: OrderDeps,
  order: Order,
  denial: OrderDenial | null,
  why: string,
): Promise<JobResult> {
  await deps.parked.note(intentOf(order), why)
  const isOver = denial !== null || order.cancel !== null
  if (!isOver || order.unknownSince !== null || deps.mayHaveLostWrites())
    return again(UNVERIFIED_MS, why)
  return closeUnsent(deps, order, denial)
}

/** Goes on with an order that the look-up did not find at the broker. */
async function goOnAbsent(
  deps: OrderDeps,
  order: Order,
  state: Extract<SubmissionState, { kind: 'parked' | 'unknown' }>,
  { opened, denial, run }: Readonly<{ opened: Opened; denial: OrderDenial | null; run: Run }>,
): Promise<JobResult> {
  const nowMs = deps.clock.now()
  const mayHaveLostWrites = deps.mayHaveLostWrites()
  switch (stepIfAbsent(order, state, { nowMs, mayHaveLostWrites })) {
    case 'close':
      return closeUnsent(deps, order, denial)
    case 'confirm':
      if (order.unknownSince === null) await noteUnknown(deps, order)
      return again(REQUEST_MS_MAX, 'a request whose record the store lost may be under way')
    case 'resend': {
      const sent = await resend(deps, order, opened, run, null)
      return 'kind' in sent ? sent : watch(deps, order, opened.broker, run)
    }
    case 'watch':
      return watch(deps, order, opened.broker, run)
  }
}

const noteUnknown = (deps: OrderDeps, order: Order) =>
  applyUpdate(deps.writer, factsOf(order), {
    type: 'outcome_unknown',
    at: isoTime(deps.clock.now()),
  })

/**
 * The quantity of a close by the current position, or the reason why no quantity is left. @throws
 * {BrokerError}
 */
export type Size = (broker: Broker) => Promise<Readonly<{ quantity: Decimal }> | OrderDenial>

/**
 * The reason why an order of which no request was sent must not be sent any more; `null`: there is
 * none.
 */
async function latenessOf(
  deps: OrderDeps,
  order: Order,
  { queuedAtMs }: Run,
): Promise<OrderDenial | null> {
  const nowMs = deps.clock.now()
  if (isPast(order, nowMs)) return EXPIRED
  const isLate =
    nowMs - queuedAtMs > PARKED_MS_MAX ||
    isParkedTooLong(order, await deps.parked.waitingMs(order.userId, order.id), deps.parkedMarketMs)
  return isLate ? disconnected('the broker could not be reached in time') : null
}

/**
 * Ends an order of which no request is at the broker, unless another run has begun to send it. The
 * callers have asked the broker, if that was possible. The first that exists decides the outcome:
 * the cancel that waits for the order, the recorded refusal in doubt, `denial`.
 */
async function closeUnsent(
  deps: OrderDeps,
  seen: Order,
  denial: OrderDenial | null,
): Promise<JobResult> {
  const at = isoTime(deps.clock.now())
  const denied: OrderUpdate =
    denial === null ? { type: 'withdrawn', at } : { type: 'denied', ...denial, at }
  const refused = seen.doubtedRefusal === undefined ? denied : { ...seen.doubtedRefusal, at }
  const update: OrderUpdate = seen.cancel === null ? refused : { type: 'withdrawn', at }
  await applyUpdates(deps.writer, factsOf(seen), ({ slice: { order } }) =>
    order?.attemptedAt === seen.attemptedAt ? [update] : [],
  )
  return DONE
}

/**
 * Claims the trade anew and sends its order, unless the trade has changed in the meantime. The
 * order is judged like a new order; only an order that may be at the broker already keeps its size.
 * @param quantity the quantity of a close by the current position; `null`: unchanged
 * @returns a denial: the order may not be sent; the denial proves nothing about earlier requests
 */
async function resend(
  deps: OrderDeps,
  seen: Order,
  opened: Opened,
  run: Run,
  quantity: Decimal | null,
): Promise<JobResult | OrderDenial> {
  const { userId, connectionId, id: tradeId, symbol } = seen
  try {
    const found: { resent: Resent | null } = { resent: null }
    const decide = async (now: LoadedSlice): Promise<Decision> => {
      const resent = await resendOf(deps, seen, opened, quantity, now)
      if (resent === 'stale') return resent
      found.resent = resent
      return resent?.denial === null ? resent : null
    }
    const known = await loadTrade(deps, { userId, connectionId, tradeId, symbol })
    const taken = await claimOrder(deps.writer, orderKeyOf(seen), symbol, decide, known)
    return await afterReclaim(deps, seen, taken, found.resent, opened, run)
  } catch (error) {
    if (error instanceof FencedError)
      return leaveOrRepeat(deps, { userId, connectionId, tradeId, symbol })
    throw error
  }
}

type TakeFence = Extract<Fence, { kind: 'take' }>
/** The order as it is sent again; `denial`: the reason why it is not sent. */
type Resent = Readonly<{
  fence: TakeFence
  updates: readonly OrderUpdate[]
  intent: OrderIntent
  isClose: boolean
  denial: OrderDenial | null
}>

async function resendOf(
  deps: OrderDeps,
  seen: Order,
  { broker, revision }: Opened,
  quantity: Decimal | null,
  now: LoadedSlice,
): Promise<Resent | 'stale' | null> {
  const { connectionId, id: tradeId, attemptedAt } = seen
  const { order } = now.slice
  if (order?.status !== 'submitting' || order.attemptedAt !== attemptedAt || order.cancel !== null)
    return null
  const asked = intentOf(quantity === null ? seen : { ...seen, quantity })
  const facts = await deps.loadRiskFacts(asked, now, broker)
  if (facts === 'stale') return facts
  const isParked = attemptedAt === null && order.unknownSince === null
  const isClose = seen.closes === true || quantity !== null
  const sized = sizedFor({ intent: asked, isClose }, facts)
  const isSmaller = sized.intent.quantity !== asked.quantity
  const tooLarge = isSmaller && !isParked ? nothingToClose(promised(asked.symbol)) : null
  const denial = sized.denial ?? tooLarge ?? assess(newOrder(sized.intent), facts)
  const exposure = exposureOf(newOrder(sized.intent), facts)
  const by = deps.random.id(12)
  // The order was counted when it was first claimed.
  const fence = {
    kind: 'take',
    tradeId,
    by,
    connectionId,
    revision,
    exposure,
    budget: true,
    pace: null,
    first: false,
  } as const
  const at = isoTime(facts.nowMs)
  // An earlier request that was not known to fail may have arrived: from here on a refusal proves
  // nothing.
  const doubt: OrderUpdate[] = isParked ? [] : [{ type: 'outcome_unknown', at }]
  const anew = isClose && isParked ? sized.intent.quantity : null
  return {
    fence,
    updates: [...doubt, { type: 'attempted', quantity: anew, at }],
    intent: sized.intent,
    isClose,
    denial,
  }
}

async function afterReclaim(
  deps: OrderDeps,
  seen: Order,
  taken: ClaimResult,
  resent: Resent | null,
  { broker }: Opened,
  run: Run,
): Promise<JobResult | OrderDenial> {
  switch (taken.kind) {
    case 'taken': {
      const { applied, claim, globalHalt } = taken
      if (resent === null)
        throw new InvariantError('a trade was taken that nobody had decided to send')
      const { intent, isClose, fence } = resent
      const askedAt = seen.askedAt ?? isoTime(run.queuedAtMs)
      const submission = { intent, hash: seen.parametersHash ?? '', isClose, askedAt }
      await deps.boundaries.reached('submit.claimed')
      return await send(
        deps,
        { submission, broker, applied, claim, globalHalt, exposure: fence.exposure },
        run,
      )
    }
    case 'left':
      return resent?.denial ?? again(UNDER_WAY_MS, 'another run has it in hand')
    case 'archived':
    case 'ended':
      return DONE
    case 'over_budget':
      return again(taken.retryAfterMs, 'the request budget of the account is spent')
    case 'over_pace':
      return tooMany(taken)
    case 'halted':
      return haltedBy(taken.halt)
    case 'unusable':
      return again(LOOK_AGAIN_MS, 'the credentials of the connection are not verified')
  }
}

/** The order is not sent again: it turns up at the broker, or its absence is proved. */
async function watch(deps: OrderDeps, order: Order, broker: Broker, run: Run): Promise<JobResult> {
  const nowMs = deps.clock.now()
  const at = isoTime(nowMs)
  if (order.unknownSince === null) await noteUnknown(deps, order)
  const clientOrderId = clientOrderIdOf(order.userId, order.id)
  deps.log.error({ clientOrderId, unknownSince: order.unknownSince }, 'submit.unresolved')
  const state = submissionOf(order, nowMs)
  if (state.kind !== 'unknown' || !isNotReceived(state, nowMs))
    return again(LOOK_AGAIN_MS, 'not found at the broker, and too old to be sent again')
  const since = isoTime(Date.parse(order.claimedAt ?? at) - CLOCK_SKEW_MS)
  const listed = await lookUp(async () => {
    const orders = await broker.listOrders({ status: 'all', since })
    return orders.find((one) => one.clientOrderId === clientOrderId) ?? null
  })
  if (listed.kind === 'failed') return listed.result
  if (listed.kind === 'found') return adoptOrder(deps, order, listed.order, { broker, run })
  deps.log.error({ clientOrderId }, 'submit.not_received')
  const message = 'The broker never received the order. Send it again under a new trade id'
  return closeUnsent(deps, order, { code: 'NOT_RECEIVED', message })
}
