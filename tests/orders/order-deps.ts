import type { Logger } from 'pino'
import type { BoundaryName, Randomness } from '#runtime'
import type { ConnectionRef, Quote, Recoveries } from '#store'
import type { BrokerPool } from '../../workers/broker/pool.ts'
import type { JobQueue } from '../../workers/queue/enqueue.ts'
import { createRiskFactsLoader } from '../../workers/orders/risk-facts.ts'
import type { OrderDeps } from '../../workers/orders/deps.ts'
import type { Run } from '../../workers/queue/job.ts'
import type { StateWriter } from '../../workers/state/write.ts'
import { MarketHours } from '../../workers/broker/hours.ts'
import type { FakeClock } from '../support/fake-clock.ts'
import { FakeParked } from '../support/fake-parked.ts'
import type { FakeStore } from '../support/fake-store.ts'

type Shared = Readonly<{
  store: FakeStore
  brokers: BrokerPool
  writer: StateWriter
  clock: FakeClock
  random: Randomness
  log: Logger
  recoveries: Recoveries
}>

/** The dependencies of the orders role in memory, with the parts that tests check. */
export function makeDesk({ store, brokers, writer, clock, random, log, recoveries }: Shared) {
  /** The requested jobs. */
  const asked: string[] = []
  const jobQueue: JobQueue = {
    resolve: async ({ tradeId }) => void asked.push(`resolve ${tradeId}`),
    cancel: async ({ tradeId, commandId }) => void asked.push(`cancel ${tradeId} ${commandId}`),
    close: async ({ tradeId, commandId }) => void asked.push(`close ${tradeId} ${commandId}`),
  }
  const limitsOf = async ({ userId, connectionId }: ConnectionRef) => {
    const { limits } = await store.controls.read(userId)
    return { user: limits.user, connection: limits.byConnection.get(connectionId) ?? null }
  }
  const snapshot = async (userId: string) => store.snapshot(userId)
  const quotes = new Map<string, Quote>()
  const last = async (symbols: readonly string[]) =>
    symbols.flatMap((symbol) => quotes.get(symbol) ?? [])
  const loadRiskFacts = createRiskFactsLoader(
    limitsOf,
    snapshot,
    { last },
    new MarketHours(clock),
    clock,
  )
  /** The callback for each step that is reached; default: none. */
  const at = new Map<BoundaryName, () => Promise<void> | undefined>()
  const boundaries = { reached: (point: BoundaryName) => at.get(point)?.() }
  const parked = new FakeParked(() => clock.now())
  const submit: OrderDeps = {
    writer,
    brokers,
    loadRiskFacts,
    jobQueue,
    boundaries,
    clock,
    random,
    log,
    recoveries,
    parked,
    parkedMarketMs: 30_000,
    knownStore: async () => store.marker,
    mayHaveLostWrites: () => store.losses > 0,
    mayHaveJustLost: () => store.losses > 0,
    hasLostAll: () => false,
  }
  const run: Run = { queuedAtMs: clock.now(), losses: 0, assertHeld: () => undefined }
  return { asked, quotes, at, parked, submit, run }
}
