import { livePlacements } from '#domain'
import type { Run } from '../queue/index.ts'
import type { OrderDeps } from './deps.ts'

/**
 * A close waits this long for orders that are being canceled: what they reserve of the position is
 * free then.
 */
export const FREEING_MS_MAX = 30_000
/** A cancel that was asked for together with the close may be noted after it. */
const CANCEL_BEHIND_MS = 2_000

/**
 * Whether what is reserved of a position is on its way to be free: an order of ours in its symbol
 * is being canceled, or may be in a moment. Asked before the position is read, so that what is
 * freed in between is seen.
 */
export async function isBeingFreed(
  { writer, clock }: OrderDeps,
  {
    userId,
    connectionId,
    symbol,
    tradeId,
  }: Readonly<Record<'userId' | 'connectionId' | 'symbol' | 'tradeId', string>>,
  { queuedAtMs }: Run,
): Promise<boolean> {
  const ageMs = clock.now() - queuedAtMs
  if (ageMs >= FREEING_MS_MAX) return false
  const { orders } = await writer.store.loadOpen(userId, connectionId)
  const reserving = orders.filter(
    (order) => order.symbol === symbol && order.id !== tradeId && livePlacements(order).length > 0,
  )
  return reserving.some(
    ({ cancel, origin }) => cancel !== null || (origin === 'fillcast' && ageMs < CANCEL_BEHIND_MS),
  )
}
