import type { Order, OrderIntent, OrderKey } from '#domain'
import type { Boundaries, Clock, Logger, Randomness } from '#runtime'
import type { ConnectionRef, LoadedSlice, ParkedOrders, Recoveries } from '#store'
import { type BrokerPool, ConnectionUnusableError } from '../broker/index.ts'
import type { JobQueue } from '../queue/index.ts'
import { readOrder, type StateWriter, type Target } from '../state/index.ts'
import type { LoadRiskFacts } from './risk-facts.ts'

/** The dependencies of the handlers of orders and commands. */
export type OrderDeps = Readonly<{
  writer: StateWriter
  brokers: BrokerPool
  loadRiskFacts: LoadRiskFacts
  recoveries: Pick<Recoveries, 'isRunning'>
  jobQueue: JobQueue
  parked: ParkedOrders
  /** How long a market order without `notAfter` may be parked. */
  parkedMarketMs: number
  /**
   * The epoch of the store, if it is the epoch that this worker knows; `null`: the store was lost,
   * and its contents are not to be trusted.
   */
  knownStore(): Promise<string | null>
  /**
   * True while the store may have lost its last writes: Redis came back, or this worker started, a
   * short while ago.
   */
  mayHaveLostWrites(): boolean
  /**
   * True while a request from before a loss may still be under way, or its order not be shown yet:
   * Redis came back a very short while ago.
   */
  mayHaveJustLost(): boolean
  /** True if the store lost everything a short while ago. */
  hasLostAll(): boolean
  boundaries: Boundaries
  clock: Clock
  random: Randomness
  log: Logger
}>

/**
 * The order to place, and the hash of its parameters, which differs from that of another request
 * under the same trade id.
 */
export type Submission = Readonly<{
  intent: OrderIntent
  hash: string
  /**
   * True for a close, sized by the broker's own figure: a close passes a halt that lets positions
   * be reduced.
   */
  isClose: boolean
  /** The time at which the order was asked for. */
  askedAt: string
  /** Of a close: the command that asks for it. */
  closeCommandId?: string
}>

export const orderKeyOf = ({ id, origin, userId, connectionId }: Order): OrderKey => ({
  id,
  origin,
  userId,
  connectionId,
})

/** Any worker may write facts about an order; the version is fence enough. */
export const factsOf = (order: Order): Target => ({
  orderKey: orderKeyOf(order),
  symbol: order.symbol,
  fence: { kind: 'version' },
})

/**
 * Loads a trade with its position and account. The archive is not read: a claim reads it by itself.
 */
export const loadTrade = (
  { writer }: OrderDeps,
  trade: Readonly<{ userId: string; connectionId: string; tradeId: string; symbol: string }>,
): Promise<LoadedSlice> => {
  const { userId, connectionId, tradeId: orderId, symbol } = trade
  return readOrder(writer, { userId, orderId, connectionId, symbol }, { archived: false })
}

/**
 * True if a connection that was not found is really gone. A store that lost its data has no
 * connections until a surviving worker has restored its own. So the connection is looked up again,
 * and its absence counts only if the store was the known one before and after (RDQ-05).
 */
export async function isGone(
  { brokers, knownStore }: OrderDeps,
  ref: ConnectionRef,
): Promise<boolean> {
  const before = await knownStore()
  if (before === null) return false
  const isUnusable = await brokers.get(ref).then(
    () => false,
    (error: unknown) => error instanceof ConnectionUnusableError,
  )
  return isUnusable && (await knownStore()) === before
}
