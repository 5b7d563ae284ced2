import { livePlacements } from '#domain'
import type { Run } from '../queue/index.ts'
import type { OrderDeps } from './deps.ts'

/**
 * A close waits this long for orders that are being canceled: their end frees the part of the
 * position that they reserve.
 */
export const FREEING_MS_MAX = 30_000
/** A cancel that was asked for together with the close may be recorded after the close. */
const CANCEL_BEHIND_MS = 2_000

/**
 * True if a reserved part of a position may soon be free: an order in its symbol is being canceled,
 * or an order of ours may be in a moment. Call this before the position is read, so that the
 * position includes a part that is freed in between.
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
