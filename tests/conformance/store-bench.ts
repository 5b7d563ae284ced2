import { Cluster, type Redis } from 'ioredis'
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
import { FakeStore } from '../support/fake-store.ts'

/** A store, what stands beside it, and the ways around it that a test needs. */
export type StoreBench = Readonly<{
  store: Store
  controls: Controls
  connections: Connections
  links: Links
  budget: Budget
  takeLease(userId: string, connectionId: string): Promise<string>
  log(userId: string): Promise<readonly { id: string; prev: string; event: string }[]>
  wipe(): Promise<void>
}>

let users = 0
export const newUser = (): string => `store-user-${(users += 1)}`

export function storeBench(kind: 'in memory' | 'on Redis' | 'on a Cluster', connect: () => Redis): StoreBench {
  return kind === 'in memory' ? inMemory() : onRedis(connect())
}

function inMemory(): StoreBench {
  const store = new FakeStore()
  let token = 0
  const { controls, budget } = store
  return {
    ...{ store, controls, budget, connections: controls.connections, links: controls.links },
    async takeLease(userId, connectionId) {
      store.leases.set(`${userId} ${connectionId}`, String((token += 1)))
      return String(token)
    },
    log: async (userId) => store.log(userId),
    wipe: async () => store.wipe(),
  }
}

function onRedis(connection: Redis): StoreBench {
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
    log: async (userId) => (await createReader(connection).events(userId, '0000000000000-00000', 100)).entries,
    async wipe() {
      const either = connection as Redis | Cluster
      const masters = either instanceof Cluster ? either.nodes('master') : [either]
      await Promise.all(masters.map((master: Redis) => master.flushall()))
    },
  }
}
