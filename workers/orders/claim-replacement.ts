import {
  askedSizeOf,
  assess,
  becomes,
  correctionRefusalOf,
  type Decimal,
  type Exposure,
  exposureOf,
  isEnlarging,
  isShrinking,
  type Order,
  replacedBy,
  type ReplaceRequest,
  sizeRefusalOf,
} from '#domain'
import { isoTime } from '#runtime'
import type { LoadedSlice } from '#store'
import type { Opened } from '../broker/index.ts'
import { claimOrder, type ClaimResult, type Decision } from '../state/index.ts'
import { haltedBy, passesHalt, tooMany } from './denials.ts'
import { loadTrade, type OrderDeps, orderKeyOf } from './deps.ts'
import { paceOf } from './risk-facts.ts'

/**
 * Leave to send a replacement. It is judged as the order that it makes of the old one, in the step
 * that notes that it leaves: by halts, limits, credentials and budget, as a new order is in the
 * step that claims it. The halt of everybody is read after that step.
 */
export type ReplacementClaim =
  /** `quantity`: what the new order is asked to be sized at; `null`: as the old one. */
  | Readonly<{ kind: 'given'; quantity: Decimal | null }>
  | Readonly<{ kind: 'later'; delayMs: number; why: string }>
  /** Nothing was sent by this run. */
  | Readonly<{ kind: 'refused'; message: string }>

/** Pause before a replacement looks again that found its order changed. */
const CHANGED_MS = 500
/** Pause before it is asked again whether the credentials are verified. */
const UNVERIFIED_MS = 2_000

/** What was found when it was last decided. */
type Found = { message: string | null; exposure: Exposure; quantity: Decimal | null }

/**
 * Notes that the request leaves; only the next in line does, and none that a cancel has overtaken.
 */
export async function claimReplacement(
  deps: OrderDeps,
  order: Order,
  request: ReplaceRequest,
  { broker, revision }: Opened,
): Promise<ReplacementClaim> {
  const { id: tradeId, connectionId, symbol } = order
  const found: Found = { message: null, exposure: 'adds', quantity: null }
  const decide = async (now: LoadedSlice): Promise<Decision> => {
    found.message = null
    const asked = now.slice.order
    const head = asked === null ? null : replacedBy(asked, request)
    if (
      asked?.replaces[0]?.commandId !== request.commandId ||
      asked.cancel !== null ||
      head === null
    )
      return null
    found.message = sizeRefusalOf(asked, request) ?? correctionRefusalOf(asked, head, request)
    if (found.message !== null) return null
    found.quantity = askedSizeOf(asked, head, request)
    const judged = becomes(asked, request)
    const facts = await deps.loadRiskFacts(judged.intent, now, broker)
    if (facts === 'stale') return facts
    const shrinks = isShrinking(asked, head, request)
    found.exposure = shrinks ? 'shrinks' : exposureOf(judged, facts)
    const denial = shrinks ? null : assess(judged, facts)
    if (denial !== null) {
      found.message = denial.message
      return null
    }
    const isCounted = found.exposure === 'adds' && isEnlarging(asked, request)
    const { exposure } = found
    return {
      fence: {
        kind: 'change',
        tradeId,
        connectionId,
        revision,
        exposure,
        budget: true,
        pace: isCounted ? paceOf(facts) : null,
      },
      updates: [{ type: 'replace_sent', commandId: request.commandId, at: isoTime(facts.nowMs) }],
    }
  }
  const known = await loadTrade(deps, { ...order, tradeId })
  return replacementClaimOf(
    await claimOrder(deps.writer, orderKeyOf(order), symbol, decide, known),
    found,
  )
}

function replacementClaimOf(
  taken: ClaimResult,
  { message, exposure, quantity }: Found,
): ReplacementClaim {
  switch (taken.kind) {
    case 'taken': {
      const { globalHalt } = taken
      if (globalHalt === null || passesHalt(globalHalt, exposure))
        return { kind: 'given', quantity }
      return { kind: 'refused', message: haltedBy(globalHalt).message }
    }
    case 'left':
      if (message !== null) return { kind: 'refused', message }
      return { kind: 'later', delayMs: CHANGED_MS, why: 'the order has changed in the meantime' }
    case 'halted':
      return { kind: 'refused', message: haltedBy(taken.halt).message }
    case 'over_pace':
      return { kind: 'refused', message: tooMany(taken).message }
    case 'archived':
    case 'ended':
      return { kind: 'refused', message: 'The order has ended' }
    case 'unusable':
      return {
        kind: 'later',
        delayMs: UNVERIFIED_MS,
        why: 'the credentials of the connection are not verified',
      }
    case 'over_budget':
      return {
        kind: 'later',
        delayMs: taken.retryAfterMs,
        why: 'the request budget of the account is spent',
      }
  }
}
