import {
  clientOrderIdOf,
  isTerminal,
  LEGS,
  type Order,
  type Placement,
  predecessorOf,
  type ReplaceRequest,
  REQUEST_MS_MAX,
  standingHeadOf,
} from '#domain'
import { isoTime, isWithin } from '#runtime'
import type { Broker } from '../broker/index.ts'
import { applyUpdate } from '../state/index.ts'
import { viewOf } from './adopt.ts'
import { factsOf, loadTrade, type OrderDeps } from './deps.ts'
import { readChain } from './read-chain.ts'

export const READ_AFTER_MS = 2_000
export const isSince = ({ clock }: OrderDeps, at: string, forMs: number): boolean =>
  isWithin(clock.now(), Date.parse(at), forMs)

export const placementOf = (
  { placements }: Order,
  { leg, replacement }: ReplaceRequest,
): Placement | undefined =>
  placements.find((one) => one.leg === leg && one.replacement === replacement)

export const stepOf = ({ leg, replacement }: ReplaceRequest): string =>
  `${LEGS.indexOf(leg)}.${replacement}`

/**
 * Brings a replacement that was sent to its outcome, as far as the broker shows one. For callers
 * that need the whole chain.
 * @throws {BrokerError}
 */
export async function settleReplace(deps: OrderDeps, order: Order, broker: Broker): Promise<Order> {
  const [request] = order.replaces
  if (request?.sentAt == null) return order
  const followed = await follow(deps, order, request, broker)
  const old = predecessorOf(followed, request)
  const isLost =
    placementOf(followed, request) === undefined && !isSince(deps, request.sentAt, REQUEST_MS_MAX)
  // The old order is canceled and not replaced, and the new order never came: there will be no new
  // order.
  if (!isLost || old?.final == null || old.final.status === 'replaced') return followed
  const ended = endedUpdate(deps, request, 'refused', 'The broker did not take the replacement')
  return (await applyUpdate(deps.writer, factsOf(followed), ended)).slice.order ?? followed
}

/**
 * Reads the new order and the old order into the record, unless the record shows them already. If
 * the new order ended without replacing the old order, the replacement ends as refused.
 */
export async function follow(
  deps: OrderDeps,
  noted: Order,
  request: ReplaceRequest,
  broker: Broker,
): Promise<Order> {
  let order = noted
  if (
    placementOf(order, request) === undefined ||
    !isSince(deps, request.sentAt ?? '', READ_AFTER_MS)
  ) {
    const seen = await broker.findByClientOrderId(
      clientOrderIdOf(order.userId, order.id, stepOf(request)),
    )
    if (seen !== null)
      order = (await applyUpdate(deps.writer, factsOf(order), viewOf(seen))).slice.order ?? order
    const old = order.placements.find(
      (one) => one.leg === request.leg && one.brokerOrderId === (seen?.replaces ?? null),
    )
    const oldId = old?.brokerOrderId ?? standingHeadOf(noted, request.leg)?.brokerOrderId ?? null
    if (oldId !== null) await readChain(deps, order, oldId, broker)
    order = (await loadTrade(deps, { ...order, tradeId: order.id })).slice.order ?? order
  }
  const one = placementOf(order, request)
  if (
    one === undefined ||
    one.agreed ||
    !isTerminal(one.status) ||
    order.replaces[0]?.commandId !== request.commandId
  )
    return order
  const message = `The replacement is ${one.status}: the order it was to replace goes on, or had ended before`
  const ended = endedUpdate(deps, request, 'refused', message)
  return (await applyUpdate(deps.writer, factsOf(order), ended)).slice.order ?? order
}

export const endedUpdate = (
  { clock }: OrderDeps,
  { commandId }: ReplaceRequest,
  outcome: 'refused' | 'overtaken',
  message: string,
) => ({ type: 'replace_ended', commandId, outcome, message, at: isoTime(clock.now()) }) as const
