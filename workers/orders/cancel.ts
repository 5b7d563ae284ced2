import type { z } from 'zod'
import type { cancelOrderSchema } from '#contract'
import { type CancelRequest, headOf, isTerminal, type Landing, type Order } from '#domain'
import { isoTime } from '#runtime'
import type { CancelMark } from '#store'
import { BrokerError } from '../broker/index.ts'
import { apply, CLASHES_MAX, ContentionError } from '../updates/index.ts'
import type { SubmitDeps, SubmitResult } from './submit.ts'

export type CancelCommand = z.output<typeof cancelOrderSchema>

/** Pause before a cancel looks again at a trade that is on its way to the broker. */
const IN_FLIGHT_MS = 250

/**
 * Asks the broker to cancel what is left of a trade. The answer to the request never ends the trade: only the order itself does
 * (FIL-08). A cancel that is faster than its trade leaves a mark, which the submission meets (CAN-03).
 */
export async function cancelOrder(deps: SubmitDeps, command: CancelCommand): Promise<SubmitResult> {
  const order = await recordRequest(deps, command)
  if (order === null || isTerminal(order.status)) return { kind: 'done' }
  const head = headOf(order, 'entry')
  if (head === null || head.brokerOrderId === null)
    return { kind: 'again', delayMs: IN_FLIGHT_MS, why: 'the order is on its way to the broker' }
  const broker = await deps.brokers.get(order)
  const outcome = await broker.cancel(head.brokerOrderId)
  deps.log.info({ clientOrderId: head.clientOrderId, outcome: outcome.kind }, 'cancel.answered')
  if (outcome.kind === 'requested') return { kind: 'done' }
  if (outcome.kind === 'rate_limited') return { kind: 'again', delayMs: outcome.retryAfterMs, why: 'rate limited' }
  if (outcome.kind === 'not_sent') return { kind: 'again', delayMs: outcome.retryAfterMs, why: outcome.why }
  if (outcome.kind === 'unknown') return { kind: 'again', delayMs: null, why: `unknown outcome: ${outcome.cause}` }
  try {
    const found = await broker.findByClientOrderId(head.clientOrderId)
    if (found !== null) {
      const update = { type: 'broker_order', order: found, execution: null, at: found.updatedAt } as const
      await apply(deps.applier, { landing: landingOf(order), symbol: order.symbol, fence: { kind: 'version' } }, update)
    }
    return { kind: 'done' } // not cancelable: what it became is on its way through the stream
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error
    return { kind: 'again', delayMs: error.retryAfterMs, why: `the look-up failed: ${error.message}` }
  }
}

const landingOf = ({ id, origin, userId, connectionId }: Order): Landing => ({ id, origin, userId, connectionId })

/** Writes the request into the order, or a mark where there is no order yet. */
async function recordRequest({ applier, clock }: SubmitDeps, command: CancelCommand): Promise<Order | null> {
  const { userId, connectionId, tradeId, commandId, by, reason } = command
  const request: CancelRequest = { commandId, by, reason, requestedAt: isoTime(clock.now()) }
  for (let clashes = 0; clashes < CLASHES_MAX; clashes += 1) {
    const { version, slice, cancelMark } = await applier.store.loadSlice(userId, {
      orderId: tradeId,
      connectionId,
      symbol: '',
    })
    if (slice.order !== null) {
      const target = {
        landing: landingOf(slice.order),
        symbol: slice.order.symbol,
        fence: { kind: 'version' },
      } as const
      return (await apply(applier, target, { type: 'cancel_requested', request })).slice.order
    }
    if (cancelMark !== null) return null
    const mark: CancelMark = { schema: 1, ...request }
    const writes = [{ kind: 'cancelMark', tradeId, mark }] as const
    const done = await applier.store.commit(userId, {
      expectVersion: version,
      fence: { kind: 'version' },
      writes,
      events: [],
    })
    if (done.kind === 'committed') return null
  }
  throw new ContentionError(userId)
}
