import { Cluster, type Redis } from 'ioredis'
import { afterAll, beforeAll } from 'vitest'
import { EVENT_ID_ZERO } from '#contract'
import {
  type Budget,
  type Connections,
  type Controls,
  createBudget,
  createConnections,
  createControls,
  createLeases,
  createLinks,
  createReader,
  createStore,
  leaseKey,
  type Links,
  type Store,
} from '#store'
import { archiveKey, logKey, openKey, stateKey } from '../../src/store/keys.ts'
import { FakeStore } from '../support/fake-store.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { type RedisGroup, startRedisCluster } from '../support/redis-groups.ts'

/** A store, the ports beside it, and the back doors that a test needs. */
export type StoreBench = Readonly<{
  store: Store
  controls: Controls
  connections: Connections
  links: Links
  budget: Budget
  takeLease(userId: string, connectionId: string): Promise<string>
  log(userId: string): Promise<readonly { id: string; prev: string; event: string }[]>
  /** The lifetime of an order's archive is over. */
  expireArchive(userId: string, orderId: string): Promise<void>
  /** The state is gone, and the log stands. */
  loseState(userId: string): Promise<void>
  /** Puts an entry into the log behind the back of the state. */
  appendToLog(userId: string, id: string): Promise<void>
  /** Takes the log's newest entry away. */
  cutLog(userId: string): Promise<void>
  wipe(): Promise<void>
}>

const redisId = (eventId: string): string => eventId.split('-').map(Number).join('-')

let users = 0
export const newUser = (): string => `store-user-${(users += 1)}`

export const STORES = ['in memory', 'on Redis', 'on a Cluster'] as const
type StoreKind = (typeof STORES)[number]

/** The stores of a suite, on servers of its own. */
export function storeBenches() {
  let redis: TestRedis
  let cluster: RedisGroup
  beforeAll(async () => {
    redis = await startRedis()
    cluster = await startRedisCluster()
  })
  afterAll(async () => {
    await redis.stop()
    await cluster.stop()
  })
  const connect = (kind: Exclude<StoreKind, 'in memory'>): Redis =>
    (kind === 'on Redis' ? redis : cluster).connect()
  const benchOf = (kind: StoreKind): StoreBench =>
    kind === 'in memory' ? inMemory() : benchOnRedis(connect(kind))
  return { connect, benchOf }
}

function inMemory(): StoreBench {
  const store = new FakeStore()
  let token = 0
  const { controls, budget } = store
  return {
    store,
    controls,
    budget,
    connections: controls.connections,
    links: controls.links,
    async takeLease(userId, connectionId) {
      store.leases.set(`${userId} ${connectionId}`, String((token += 1)))
      return String(token)
    },
    log: async (userId) => store.log(userId),
    expireArchive: async (userId, orderId) => store.expireArchive(userId, orderId),
    loseState: async (userId) => store.loseState(userId),
    appendToLog: async (userId, id) => store.appendToLog(userId, id),
    cutLog: async (userId) => store.loseLogEnd(userId, 1),
    wipe: async () => store.wipe(),
  }
}

export function benchOnRedis(connection: Redis): StoreBench {
  return {
    store: createStore(connection),
    controls: createControls(connection),
    connections: createConnections(connection),
    links: createLinks(connection),
    budget: createBudget(connection),
    async takeLease(userId, connectionId) {
      await connection.del(leaseKey(userId, connectionId))
      return (await createLeases(connection).take(leaseKey(userId, connectionId), 10_000)) ?? ''
    },
    log: async (userId) =>
      (await createReader(connection).events(userId, '0000000000000-00000', 100)).entries,
    async expireArchive(userId, orderId) {
      await connection.del(archiveKey(userId, orderId))
    },
    async loseState(userId) {
      await connection.del(stateKey(userId), openKey(userId))
    },
    async appendToLog(userId, id) {
      await connection.xadd(
        logKey(userId),
        redisId(id),
        'e',
        'broker.connected',
        'd',
        '{}',
        'p',
        EVENT_ID_ZERO,
      )
    },
    async cutLog(userId) {
      const [[id] = ['']] = await connection.xrevrange(logKey(userId), '+', '-', 'COUNT', 1)
      await connection.xdel(logKey(userId), id)
    },
    async wipe() {
      const either = connection as Redis | Cluster
      const masters = either instanceof Cluster ? either.nodes('master') : [either]
      await Promise.all(masters.map((master: Redis) => master.flushall()))
    },
  }
}
