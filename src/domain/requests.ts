import { endedCancel, isOver, withEnded } from './commands.ts'
import { livePlacements } from './order-status.ts'
import {
  type CancelRequest,
  type Order,
  type Placement,
  type ReplaceRequest,
  type ReplaceResult,
  REPLACES_MAX,
  REPLACES_WAITING_MAX,
} from './order.ts'
import type { Change, OrderUpdate, Slice } from './updates.ts'

// Changes of an order's record by our own requests, before the broker has shown any effect.

/**
 * A request to place the order begins. If all earlier requests failed, the order's claim time
 * starts anew.
 */
export function attempted(
  { status, attemptedAt, claimedAt, quantity, placements }: Order,
  { quantity: anew, at }: Extract<OrderUpdate, { type: 'attempted' }>,
): Partial<Order> {
  if (status !== 'submitting') return {}
  return {
    attemptedAt: at,
    claimedAt: attemptedAt === null ? at : claimedAt,
    quantity: anew ?? quantity,
    placements: placements.map((one) => ({ ...one, quantity: anew ?? one.quantity })),
  }
}

/**
 * A request ended. Once a request may have arrived, no later request can prove that the order is
 * absent at the broker.
 */
export function attemptEnded(
  { status, unknownSince }: Order,
  update: Extract<OrderUpdate, { type: 'not_sent' | 'outcome_unknown' | 'refusal_doubted' }>,
): Partial<Order> {
  const { type, at } = update
  if (status !== 'submitting') return {}
  if (type === 'not_sent' && unknownSince === null) return { attemptedAt: null, attemptEndedAt: at }
  if (type === 'refusal_doubted' && unknownSince === null)
    return {
      attemptedAt: null,
      attemptEndedAt: at,
      unknownSince: at,
      doubtedRefusal: update.refusal,
    }
  return { unknownSince: unknownSince ?? at, attemptEndedAt: at }
}

/**
 * Quarantines an order, and reports it once. If the order may be at the broker, its outcome is
 * unknown from now on.
 */
export function setAside(slice: Slice, at: string): { slice: Slice; changes: readonly Change[] } {
  const { order } = slice
  if (order === null || order.setAsideAt != null) return { slice, changes: [] }
  const unknownSince =
    order.status === 'submitting' ? (order.unknownSince ?? at) : order.unknownSince
  return {
    slice: { ...slice, order: { ...order, unknownSince, setAsideAt: at } },
    changes: [{ type: 'anomaly', orderId: order.id, what: 'set_aside' }],
  }
}

/**
 * The first cancel counts. A cancel after the order's end is for exits that are still open. The
 * result of any other cancel is noted and does not change later.
 */
export function cancelRequested(order: Order, request: CancelRequest): Partial<Order> {
  if (isOver(order, request)) return {}
  const isOpen = order.endedAt === null || livePlacements(order).length > 0
  const isNew = order.cancel === null || order.endedAt !== null
  if (isOpen && isNew) return { cancel: request, ...takenUpAgain(order) }
  if (order.cancel?.commandId === request.commandId) return {}
  return withEnded(order, endedCancel(order, request.commandId, request.requestedAt)) ?? {}
}

/**
 * Appends a replacement; its number follows from the earlier replacements. A canceled order is not
 * replaced any more.
 */
export function replaceRequested(
  order: Order,
  asked: Omit<ReplaceRequest, 'replacement' | 'sentAt'>,
): Partial<Order> {
  const { cancel, replaces, placements, replaceResults } = order
  const isRepeat = [...replaces, ...replaceResults].some((one) => one.commandId === asked.commandId)
  const isFull =
    replaces.length >= REPLACES_WAITING_MAX ||
    replaces.length + replaceResults.length >= REPLACES_MAX
  if (isRepeat || isFull || cancel !== null) return {}
  const used = [...placements, ...replaces, ...replaceResults]
    .filter(({ leg }) => leg === asked.leg)
    .map((one) => one.replacement)
  const replacement = Math.max(0, ...used) + 1
  return {
    replaces: [...replaces, { ...asked, replacement, sentAt: null }],
    ...takenUpAgain(order),
  }
}

/** @param sentAt `null`: the request was not sent */
export const replaceSent = (
  { replaces }: Order,
  commandId: string,
  sentAt: string | null,
): Partial<Order> => ({
  replaces: replaces.map((one) => (one.commandId === commandId ? { ...one, sentAt } : one)),
})

/**
 * Ends a quarantine: a user or operator who requests a new command has looked at the order. If work
 * on it crashes again, the order is quarantined again.
 */
const takenUpAgain = ({ setAsideAt }: Order): Partial<Order> =>
  setAsideAt == null ? {} : { setAsideAt: null }

/** A replacement ended; outcome `replaced` if it took place. */
export function replaceEnded(
  { replaces, replaceResults }: Order,
  { commandId, outcome, message, at }: Omit<ReplaceResult, 'leg' | 'replacement' | 'terms'>,
): Partial<Order> {
  const ended = replaces.find((one) => one.commandId === commandId)
  if (ended === undefined) return {}
  const { leg, replacement, terms } = ended
  return {
    replaces: replaces.filter((one) => one !== ended),
    replaceResults: [
      ...replaceResults,
      { commandId, leg, replacement, outcome, message, terms, at },
    ],
  }
}

type Place = Pick<Placement, 'leg' | 'replacement'>
const isAt =
  ({ leg, replacement }: Place) =>
  (one: Place): boolean =>
    one.leg === leg && one.replacement === replacement

/**
 * The requested terms of the replacement that created a placement; `undefined`: the replacement was
 * not requested here.
 */
export function termsAskedFor(order: Order, at: Place): Pick<ReplaceRequest, 'terms'> | undefined {
  const asked = order.replaces.find(isAt(at)) ?? order.replaceResults.find(isAt(at))
  return asked?.terms === undefined ? undefined : { terms: asked.terms }
}

/** Reports if the replacement that created a placement was requested here. */
export const isAskedFor = ({ replaces, replaceResults }: Order, at: Place): boolean =>
  [...replaces, ...replaceResults].some(isAt(at))

/**
 * The order that a replacement takes the place of: the newest earlier placement of its leg. A
 * failed replacement has used up its number and is skipped. `null`: the result of an earlier number
 * is unknown.
 */
export function predecessorOf(order: Order, { leg, replacement }: Place): Placement | null {
  for (let number = replacement - 1; number >= 0; number -= 1) {
    const at = isAt({ leg, replacement: number })
    const result = order.replaceResults.find(at)
    const placement = order.placements.find(at)
    const cameToNothing =
      placement?.agreed !== true && result !== undefined && result.outcome !== 'replaced'
    if (!cameToNothing) return placement ?? null
  }
  return null
}

/**
 * The broker shows that a replacement took place, even if its request was refused before or counted
 * as lost.
 */
export function replaceTookPlace(order: Order, placement: Place, at: string): Partial<Order> {
  const asked = order.replaces.find(isAt(placement))
  if (asked !== undefined)
    return replaceEnded(order, {
      commandId: asked.commandId,
      outcome: 'replaced',
      message: null,
      at,
    })
  const { replaceResults } = order
  if (!replaceResults.some(isAt(placement))) return {}
  return {
    replaceResults: replaceResults.map((one) =>
      isAt(placement)(one) ? { ...one, outcome: 'replaced', message: null, at } : one,
    ),
  }
}
