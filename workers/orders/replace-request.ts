import type { z } from 'zod'
import { contentHash, type replaceOrderSchema } from '#contract'
import {
  isTerminal,
  type Leg,
  type Order,
  type ReplaceRequest,
  type ReplaceTerms,
  sizeRefusalOf,
  standingHeadOf,
} from '#domain'
import { isoTime } from '#runtime'
import { applyUpdate } from '../state/index.ts'
import { factsOf, type OrderDeps } from './deps.ts'
import { CommandRefusedError } from './refusal.ts'

// A request for a replacement, from its command into the record of its order.

export type ReplaceCommand = z.output<typeof replaceOrderSchema>

export const OVER = 'The order has ended, on an earlier trading day'

/**
 * The executed quantity decides about a new quantity, and about a change of an exit. A request that
 * was sent already is only followed, and does not depend on it.
 */
export const dependsOnHolding = (
  { replaces }: Order,
  { commandId, leg, quantity }: ReplaceCommand,
): boolean =>
  (quantity !== null || leg !== 'entry') &&
  !replaces.some((one) => one.commandId === commandId && one.sentAt !== null)

export async function note(deps: OrderDeps, order: Order, command: ReplaceCommand): Promise<Order> {
  const { commandId, leg, quantity, limitPrice, stopPrice, trail, timeInForce } = command
  const terms: ReplaceTerms = { quantity, limitPrice, stopPrice, trail, timeInForce }
  const known = [...order.replaces, ...order.replaceResults].find(
    (one) => one.commandId === commandId,
  )
  if (known?.terms !== undefined && !asksForSame({ ...known, terms: known.terms }, leg, terms))
    throw new CommandRefusedError(
      `commandId: ${commandId} was already used for something else; use a new commandId`,
    )
  if (known !== undefined) return order
  const ended = (order.endedCommands ?? []).find(
    (one) => one.kind === 'replace' && one.commandId === commandId,
  )
  const problem = ended === undefined ? problemOf(order, leg, terms) : (ended.message ?? OVER)
  if (problem !== null) throw new CommandRefusedError(problem)
  const request = { commandId, leg, terms, requestedAt: isoTime(deps.clock.now()) }
  const { slice, isArchived } = await applyUpdate(deps.writer, factsOf(order), {
    type: 'replace_requested',
    request,
  })
  if (isArchived) throw new CommandRefusedError(OVER)
  if (slice.order?.replaces.some((one) => one.commandId === commandId) === true) return slice.order
  throw new CommandRefusedError('The order takes no more replacements. Cancel it and place another')
}

const asksForSame = (
  known: Pick<ReplaceRequest, 'leg' | 'terms'>,
  leg: Leg,
  terms: ReplaceTerms,
): boolean => contentHash({ leg: known.leg, terms: known.terms }) === contentHash({ leg, terms })

/** The reason, found in the record alone, why a replacement is refused; `null`: there is none. */
function problemOf(order: Order, leg: Leg, terms: ReplaceTerms): string | null {
  const head = standingHeadOf(order, leg)
  if (order.cancel !== null) return 'The order is being canceled'
  if (order.notional !== null)
    return 'An order sized in money cannot be replaced. Cancel it and place another'
  if (leg === 'entry' && order.endedAt !== null) return `The order has ended: it is ${order.status}`
  if (leg !== 'entry' && order.orderClass === 'simple') return `leg: a simple order has no ${leg}`
  if (head !== null && isTerminal(head.status) && head.status !== 'replaced')
    return `The ${leg} has ended: it is ${head.status}`
  if (terms.quantity !== null && order.orderClass !== 'simple')
    return `quantity: of ${order.orderClass} orders only prices can be replaced`
  return sizeRefusalOf(order, { terms })
}
