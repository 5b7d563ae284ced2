import {
  assertKeepsEverything,
  type Clock,
  connectRedis,
  linkTrouble,
  type Logger,
  Metrics,
  noBoundaries,
  type Probes,
  type Randomness,
  redisReady,
  RedisTime,
  type Running,
  startProbes,
  systemClock,
  systemRandomness,
} from '#runtime'
import {
  type ConnectionRef,
  type Connections,
  createAssets,
  createBudget,
  createConnections,
  createControls,
  createDemand,
  createLeases,
  createLinks,
  createParkedOrders,
  createPublisher,
  createQuarantinedOrders,
  createQuotes,
  createReader,
  createRecoveries,
  createRegistry,
  createStore,
  createStoreEpoch,
  createVault,
} from '#store'
import { type AccountMetrics, ConnectionBalancer } from './accounts/index.ts'
import {
  createAlpacaBroker,
  createTransport,
  type Endpoint,
  endpointOf,
  openMarketFeed,
} from './broker/alpaca/index.ts'
import {
  BrokerPool,
  budgetOf,
  GuardedBroker,
  HandshakeGate,
  MarketHours,
  permitOf,
} from './broker/index.ts'
import type { Role, WorkerConfig } from './config.ts'
import {
  connectionHandler,
  ControlCache,
  createCheckSchedule,
  keepAssets,
  StandingHalts,
  unlessBlocked,
} from './connections/index.ts'
import { startMarketRole } from './market/index.ts'
import {
  countChanges,
  countFollowing,
  countHalts,
  countQueues,
  countSkew,
  countUnread,
} from './metrics.ts'
import { createRiskFactsLoader, orderHandler } from './orders/index.ts'
import {
  createFollowUps,
  createJobQueue,
  type JobQueue,
  type QueueMetrics,
  QueueWorker,
} from './queue/index.ts'
import { RedisReconnects } from './redis-reconnects.ts'
import { StateCache, type StateWriter } from './state/index.ts'

/** The dependencies that the roles share. */
type Shared = Readonly<{
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
  endpoint: Endpoint
  transport: typeof fetch
}>

/**
 * Starts the roles of one worker process. Disposing it drains the process in this order: the
 * intake, the work in hand, the connections.
 */
export async function startWorkers(
  config: WorkerConfig,
  log: Logger,
): Promise<Running & { probes: Probes }> {
  const random = systemRandomness
  const { redis, watch, wasAway } = await connectTwice(config, log)
  const metrics = new Metrics(true)
  const clock = await RedisTime.start(watch, systemClock, log, countSkew(metrics))
  const [vault, endpoint] = [
    createVault(config.vaultKeys),
    endpointOf(config.env, config.sandboxUrl),
  ] as const
  const transport = createTransport(endpoint, clock)
  const connections = createConnections(redis)
  const timers = { clock, random, handshakes: new HandshakeGate(clock) }
  const [budgets, unread] = [createBudget(redis), countUnread(metrics, log)] as const
  const reconnects = new RedisReconnects(redis, clock, wasAway)
  const { directory, halts } = openDirectory(config, redis, metrics, clock, log, () =>
    reconnects.noteLoss(),
  )
  const recalled = (ref: ConnectionRef) => directory.connectionOf(ref)
  const brokers = new BrokerPool(
    connections,
    recalled,
    vault,
    config.env,
    (connection, credentials) => {
      const budget = budgetOf(budgets, connection)
      const [permit, onUnread] = [permitOf(budget), unread(connection)] as const
      const broker = createAlpacaBroker(credentials, endpoint, transport, timers, permit, onUnread)
      return new GuardedBroker(broker, budget, clock)
    },
  )
  const [store, cache] = [createStore(redis), new StateCache()] as const
  const writer = { store, cache, clock, onCommitted: countChanges(metrics, log) }
  const broken = Promise.withResolvers<string>()
  const shared: Shared = {
    config,
    log,
    metrics,
    clock,
    random,
    redis,
    watch,
    connections,
    directory,
    brokers,
    writer,
    accountMetrics: countFollowing(metrics),
    queueMetrics: countQueues(metrics, broken.resolve),
    hours: new MarketHours(clock),
    reconnects,
    jobQueue: createJobQueue(redis, log),
    endpoint,
    transport: transport.fetch,
  }

  const running: Part[] = []
  for (const role of new Set(config.roles)) running.push(...starters[role](shared))
  let isDraining = false
  const notReady = (): string | undefined => {
    if (isDraining) return 'draining'
    const stuck = running.find(({ stuckBecause }) => stuckBecause !== undefined)
    return linkTrouble(redis, watch) ?? directory.blockedReason ?? stuck?.stuckBecause
  }
  const remarks = async () => [
    ...halts.remarks,
    ...[clock, ...running].flatMap(({ remark }) => remark ?? []),
  ]
  const probes = await startProbes(config, metrics, notReady, remarks)
  log.info({ roles: config.roles, env: config.env, probePort: probes.port }, 'workers.ready')
  return {
    probes,
    broken: broken.promise,
    async [Symbol.asyncDispose]() {
      isDraining = true
      await directory[Symbol.asyncDispose]()
      await Promise.allSettled(running.map((one) => one[Symbol.asyncDispose]()))
      await shared.jobQueue[Symbol.asyncDispose]()
      await transport.close()
      clock[Symbol.dispose]()
      await probes[Symbol.asyncDispose]()
      watch.disconnect()
      redis.disconnect()
    },
  }
}

/** @returns `wasAway`: Redis could not be reached at first */
async function connectTwice(
  config: WorkerConfig,
  log: Logger,
): Promise<Pick<Shared, 'redis' | 'watch'> & { wasAway: boolean }> {
  const redis = connectRedis(config.redisUrl, 'patient', log)
  let wasAway = false
  redis.once('reconnecting', () => (wasAway = true))
  const watch = connectRedis(config.redisUrl, 'prompt', log)
  await Promise.all([redisReady(redis), redisReady(watch)])
  await assertKeepsEverything(redis)
  return { redis, watch, wasAway }
}

/** The control sets of all users as this worker has read them, and the halts among them. */
function openDirectory(
  { isStoreExpected }: WorkerConfig,
  redis: Shared['redis'],
  metrics: Metrics,
  clock: Clock,
  log: Logger,
  lost: () => void,
): Readonly<{ directory: ControlCache; halts: StandingHalts }> {
  const lossesTold = 'Times that the store was found to have lost everything'
  const losses = metrics.counter('fillcast_store_losses_total', lossesTold)
  const halts = new StandingHalts(log, countHalts(metrics))
  const epoch = createStoreEpoch(redis, () => systemRandomness.id(12))
  const onLost = (): void => {
    losses.inc()
    lost()
  }
  const directory = new ControlCache({
    controls: createControls(redis),
    epoch,
    clock,
    log,
    isStoreExpected,
    halts,
    onLost,
    onUsedAgain: lost,
  })
  return { directory, halts }
}

/**
 * A part of a role. `stuckBecause`: the reason why this part makes the process not ready. `remark`:
 * a line of `/readyz` that leaves the process ready.
 */
type Part = AsyncDisposable &
  Readonly<{ stuckBecause?: string | undefined; remark?: string | undefined }>

const starters: Record<Role, (shared: Shared) => Part[]> = {
  orders({
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
  }) {
    const controls = createControls(redis)
    const limitsOf = async ({ userId, connectionId }: ConnectionRef) => {
      const { limits } = directory.setOf(userId) ?? (await controls.read(userId))
      return { user: limits.user, connection: limits.byConnection.get(connectionId) ?? null }
    }
    const reader = createReader(redis)
    const snapshot = (userId: string) => reader.snapshot(userId)
    const loadRiskFacts = createRiskFactsLoader(
      limitsOf,
      snapshot,
      createQuotes(redis),
      hours,
      clock,
    )
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
  },

  streams({
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
  }) {
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
  },

  connections(shared) {
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
  },

  market({ config, endpoint, transport, clock, log, redis }) {
    const { dataKeyId: keyId, dataSecret: secret, dataFeed: feed } = config
    if (keyId === undefined || secret === undefined) {
      log.warn({ missing: 'ALPACA_DATA_KEY_ID, ALPACA_DATA_SECRET' }, 'market.off')
      return []
    }
    const onError = (message: string): void => log.warn({ message }, 'market.stream_error')
    const role = startMarketRole({
      demand: createDemand(redis, () => clock.now()),
      quotes: createQuotes(redis),
      publisher: createPublisher(redis, () => log.warn('market.publish_failed')),
      leases: createLeases(redis),
      credential: `${config.env}:${keyId}`,
      open: (onTick) =>
        openMarketFeed({ keyId, secret, feed }, endpoint, transport, onTick, onError),
      clock,
      log,
    })
    return [role]
  },
}
