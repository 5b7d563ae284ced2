import type { Landing, Order, OrderIntent } from '#domain'
import type { Boundaries, Clock, Logger, Randomness } from '#runtime'
import type { LoadedSlice } from '#store'
import type { BrokerPool } from '../broker/index.ts'
import type { Applier, Target } from '../updates/index.ts'
import type { Asker } from './asker.ts'
import type { RiskDesk } from './risk-desk.ts'

/** What carrying out orders and commands needs. */
export type OrderDeps = Readonly<{
  applier: Applier
  brokers: BrokerPool
  risk: RiskDesk
  ask: Asker
  boundaries: Boundaries
  clock: Clock
  random: Randomness
  log: Logger
}>

/** What is wanted of the broker, and the hash that tells it from another request under the same trade id. */
export type Wanted = Readonly<{
  intent: OrderIntent
  hash: string
  /** It closes what is open, by the broker's own figure: it passes a halt that lets positions be reduced. */
  closes: boolean
}>

export const landingOf = ({ id, origin, userId, connectionId }: Order): Landing => ({
  id,
  origin,
  userId,
  connectionId,
})

/** Facts about an order may be written by whoever learns them; the version is fence enough. */
export const factsOf = (order: Order): Target => ({
  landing: landingOf(order),
  symbol: order.symbol,
  fence: { kind: 'version' },
})

/** A trade and what it touches. The archive is not asked: a claim asks it by itself. */
export const loadTrade = (
  { applier }: OrderDeps,
  trade: Readonly<{ userId: string; connectionId: string; tradeId: string; symbol: string }>,
): Promise<LoadedSlice> => {
  const { userId, connectionId, tradeId: orderId, symbol } = trade
  return applier.store.loadSlice(userId, { orderId, connectionId, symbol }, { archived: false })
}
