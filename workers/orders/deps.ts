import type { Order, OrderIntent, OrderKey } from '#domain'
import type { Boundaries, Clock, Logger, Randomness } from '#runtime'
import type { ConnectionRef, LoadedSlice, ParkedOrders, Recoveries } from '#store'
import { type BrokerPool, ConnectionUnusableError } from '../broker/index.ts'
import type { JobQueue } from '../queue/index.ts'
import { readOrder, type StateWriter, type Target } from '../state/index.ts'
import type { LoadRiskFacts } from './risk-facts.ts'

/** What carrying out orders and commands needs. */
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
   * The mark of the store, if it is the one that this worker knows; `null`: it was lost, and what
   * it holds may not be believed.
   */
  knownStore(): Promise<string | null>
  /**
   * Whether the store may have lost what was last written to it: it was away, and came back a short
   * while ago.
   */
  mayHaveLostWrites(): boolean
  /**
   * It came back so short a while ago that what was sent before may not have arrived, or not be
   * shown yet.
   */
  mayHaveJustLost(): boolean
  /** Whether the store lost everything a short while ago. */
  hasLostAll(): boolean
  boundaries: Boundaries
  clock: Clock
  random: Randomness
  log: Logger
}>

/**
 * What is wanted of the broker, and the hash that tells it from another request under the same
 * trade id.
 */
export type Submission = Readonly<{
  intent: OrderIntent
  hash: string
  /**
   * It closes what is open, by the broker's own figure: it passes a halt that lets positions be
   * reduced.
   */
  isClose: boolean
  /** When it was asked for. */
  askedAt: string
  /** The command that asks for it, of a close. */
  closeCommandId?: string
}>

export const orderKeyOf = ({ id, origin, userId, connectionId }: Order): OrderKey => ({
  id,
  origin,
  userId,
  connectionId,
})

/** Facts about an order may be written by whoever learns them; the version is fence enough. */
export const factsOf = (order: Order): Target => ({
  orderKey: orderKeyOf(order),
  symbol: order.symbol,
  fence: { kind: 'version' },
})

/** A trade and what it touches. The archive is not asked: a claim asks it by itself. */
export const loadTrade = (
  { writer }: OrderDeps,
  trade: Readonly<{ userId: string; connectionId: string; tradeId: string; symbol: string }>,
): Promise<LoadedSlice> => {
  const { userId, connectionId, tradeId: orderId, symbol } = trade
  return readOrder(writer, { userId, orderId, connectionId, symbol }, { archived: false })
}

/**
 * Whether a connection that was not there is really gone. A store that was lost knows none, until a
 * survivor has given back what it remembers: so it is asked again, and believed only if it was the
 * known one before and after (RDQ-05).
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
