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
 * Leave to send a replacement. The order that results from the replacement is judged in the commit
 * that notes the request as sent, by halts, limits, credentials and budget, just as a new order is
 * judged in the commit that claims it. The global halt is read after that commit.
 */
export type ReplacementClaim =
  /**
   * `quantity`: the quantity to request for the new order; `null`: the quantity of the old order.
   */
  | Readonly<{ kind: 'given'; quantity: Decimal | null }>
  | Readonly<{ kind: 'later'; delayMs: number; why: string }>
  /** This run has sent no request. */
  | Readonly<{ kind: 'refused'; message: string }>

/** Pause of a replacement that found its order changed. */
const CHANGED_MS = 500
/** Pause before a replacement checks again whether the credentials are verified. */
const UNVERIFIED_MS = 2_000

/** The findings of the last decision. */
type Found = { message: string | null; exposure: Exposure; quantity: Decimal | null }

/**
 * Notes the request as sent. Only the first waiting replacement of an order is sent, and none that
 * a cancel has overtaken.
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
