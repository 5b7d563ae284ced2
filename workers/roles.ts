import {
  type Clock,
  type connectRedis,
  type Logger,
  type Metrics,
  noBoundaries,
  type Randomness,
  systemClock,
} from '#runtime'
import {
  type ConnectionRef,
  type Connections,
  createAssets,
  createControls,
  createLeases,
  createLinks,
  createParkedOrders,
  createQuarantinedOrders,
  createQuotes,
  createReader,
  createRecoveries,
  createRegistry,
} from '#store'
import { type AccountMetrics, ConnectionBalancer } from './accounts/index.ts'
import type { BrokerPool, MarketHours } from './broker/index.ts'
import type { WorkerConfig } from './config.ts'
import {
  connectionHandler,
  type ControlCache,
  createCheckSchedule,
  keepAssets,
  unlessBlocked,
} from './connections/index.ts'
import { createRiskFactsLoader, orderHandler } from './orders/index.ts'
import { createFollowUps, type JobQueue, type QueueMetrics, QueueWorker } from './queue/index.ts'
import type { RedisReconnects } from './redis-reconnects.ts'
import type { StateWriter } from './state/index.ts'

/** The dependencies that the roles share. */
export type Shared = Readonly<{
  config: WorkerConfig
  log: Logger
  metrics: Metrics
  /** The clock of Redis, because workers judge the times that other workers wrote. */
  clock: Clock
  random: Randomness
  redis: ReturnType<typeof connectRedis>
  /** A connection that shows whether `redis` still serves its queues. */
  watch: ReturnType<typeof connectRedis>
  connections: Connections
  directory: ControlCache
  brokers: BrokerPool
  writer: StateWriter
  accountMetrics: AccountMetrics
  queueMetrics: QueueMetrics
  hours: MarketHours
  reconnects: RedisReconnects
  jobQueue: JobQueue & AsyncDisposable
}>

/**
 * A part of a role. `stuckBecause`: the reason why this part makes the process not ready. `remark`:
 * a line of `/readyz` that leaves the process ready.
 */
export type Part = AsyncDisposable &
  Readonly<{ stuckBecause?: string | undefined; remark?: string | undefined }>

export function startOrders({
  config,
  writer,
  brokers,
  clock,
  random,
  log,
  redis,
  watch,
  directory,
  hours,
  reconnects,
  jobQueue,
  queueMetrics,
}: Shared): Part[] {
  const controls = createControls(redis)
  const limitsOf = async ({ userId, connectionId }: ConnectionRef) => {
    const { limits } = directory.setOf(userId) ?? (await controls.read(userId))
    return { user: limits.user, connection: limits.byConnection.get(connectionId) ?? null }
  }
  const reader = createReader(redis)
  const snapshot = (userId: string) => reader.snapshot(userId)
  const loadRiskFacts = createRiskFactsLoader(limitsOf, snapshot, createQuotes(redis), hours, clock)
  const handle = orderHandler({
    writer,
    brokers,
    loadRiskFacts,
    jobQueue,
    boundaries: noBoundaries,
    clock,
    random,
    log,
    recoveries: createRecoveries(redis),
    parked: createParkedOrders(redis),
    parkedMarketMs: config.parkedMarketSeconds * 1_000,
    knownStore: () => directory.knownStore(),
    mayHaveLostWrites: () => reconnects.mayHaveLostWrites(),
    mayHaveJustLost: () => reconnects.mayHaveJustLost(),
    hasLostAll: () => reconnects.hasLostAll(),
  })
  const gated = unlessBlocked(handle, () => directory.blockedReason)
  const deps = { redis, watch, clock: systemClock, log, queueMetrics }
  return (['orders', 'commands'] as const).map((queue) => new QueueWorker(queue, gated, deps))
}

export function startStreams({
  config,
  jobQueue,
  writer,
  brokers,
  clock,
  random,
  log,
  redis,
  directory,
  accountMetrics,
  hours,
  reconnects,
}: Shared): Part[] {
  const schedule = createCheckSchedule(redis, log)
  const followUps = createFollowUps(jobQueue)
  const askForCheck = (ref: ConnectionRef): void =>
    void schedule
      .now(ref)
      .catch((error: unknown) => log.warn({ ...ref, error }, 'connection.check_not_asked'))
  const ownership = new ConnectionBalancer({
    writer,
    brokers,
    followUps,
    boundaries: noBoundaries,
    accountMetrics,
    hours,
    clock,
    log,
    askForCheck,
    overExit: config.overExit,
    quarantine: createQuarantinedOrders(redis, () => clock.now()),
    leases: createLeases(redis),
    recoveries: createRecoveries(redis),
    registry: createRegistry(redis),
    workerId: random.id(12),
  })
  directory.listen({
    changed: ({ userId, connectionId }) => ownership.changed({ userId, connectionId }),
    gone: ({ userId, connectionId }) => ownership.removed({ userId, connectionId }),
    lost: () => ownership.readoptAll(),
  })
  reconnects.listen(() => ownership.redisReconnected())
  return [
    {
      async [Symbol.asyncDispose]() {
        await ownership.close()
        await schedule[Symbol.asyncDispose]()
      },
    },
  ]
}

export function startConnections(shared: Shared): Part[] {
  const {
    config,
    writer,
    brokers,
    clock,
    random,
    log,
    metrics,
    redis,
    connections,
    directory,
    jobQueue,
  } = shared
  const { watch, queueMetrics } = shared
  const schedule = createCheckSchedule(redis, log)
  const failed = (error: unknown): void => log.error({ error }, 'connection.not_scheduled')
  const checks = metrics.counter(
    'fillcast_connection_checks_total',
    'Logins at brokers, by what they showed',
    ['finding'],
  )
  const { store } = writer
  const handle = connectionHandler(
    {
      store,
      connections,
      links: createLinks(redis),
      brokers,
      clock,
      log,
      onFinding: (finding) => checks.inc({ finding }),
    },
    {
      store,
      connections,
      controls: createControls(redis),
      leases: createLeases(redis),
      clock,
      log,
      jobQueue,
      knownStore: () => directory.knownStore(),
    },
    keepAssets({
      assets: createAssets(redis, () => random.id(12)),
      brokers,
      env: config.env,
      clock,
      log,
    }),
  )
  const worker = new QueueWorker('connections', handle, {
    redis,
    watch,
    clock: systemClock,
    log,
    queueMetrics,
  })
  directory.listen({
    // A worker does not trade with new credentials until a check has found out to which account
    // they lead.
    changed: (ref) => void Promise.all([schedule.keep(ref), schedule.now(ref)]).catch(failed),
    gone: (ref) => void schedule.drop(ref).catch(failed),
    lost: () => {},
  })
  return [worker, schedule]
}
