import {
  assertKeepsEverything,
  type Clock,
  connectRedis,
  linkTrouble,
  type Logger,
  Metrics,
  type Probes,
  redisReady,
  RedisTime,
  type Running,
  startProbes,
  systemClock,
  systemRandomness,
} from '#runtime'
import {
  type ConnectionRef,
  createBudget,
  createConnections,
  createControls,
  createDemand,
  createLeases,
  createPublisher,
  createQuotes,
  createStore,
  createStoreEpoch,
  createVault,
} from '#store'
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
import { ControlCache, StandingHalts } from './connections/index.ts'
import { startMarketRole } from './market/index.ts'
import {
  countChanges,
  countFollowing,
  countHalts,
  countQueues,
  countSkew,
  countUnread,
} from './metrics.ts'
import { createJobQueue } from './queue/index.ts'
import { RedisReconnects } from './redis-reconnects.ts'
import { type Part, type Shared, startConnections, startOrders, startStreams } from './roles.ts'
import { StateCache } from './state/index.ts'

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
  const shared: SharedWithVendor = {
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

/** The dependencies of the role `market`, which alone opens a feed of the vendor by itself. */
type SharedWithVendor = Shared & Readonly<{ endpoint: Endpoint; transport: typeof fetch }>

const starters: Record<Role, (shared: SharedWithVendor) => Part[]> = {
  orders: startOrders,
  streams: startStreams,
  connections: startConnections,
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
