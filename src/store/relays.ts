import type { Redis } from 'ioredis'
import { relayKey } from './keys.ts'

/** Where a relay takes requests that another one hands over, and the key that proves them to be from one of us. */
export type RelayNode = Readonly<{ host: string; port: number; hopKey: string }>

/** The relays that are up. A relay that stops announcing itself is gone after `NODE_TTL_MS`. */
export interface Relays {
  announce(nodeId: string, node: RelayNode): Promise<void>
  find(nodeId: string): Promise<RelayNode | null>
  retire(nodeId: string): Promise<void>
}

export const NODE_ID_PATTERN = /^[A-Za-z0-9_-]{1,16}$/
const NODE_TTL_MS = 15_000
/** How often a relay says that it is up; it may miss two. */
export const NODE_HEARTBEAT_MS = 5_000

export const createRelays = (redis: Redis): Relays => ({
  announce: async (nodeId, node) => void (await redis.set(relayKey(nodeId), JSON.stringify(node), 'PX', NODE_TTL_MS)),
  async find(nodeId) {
    const text = NODE_ID_PATTERN.test(nodeId) ? await redis.get(relayKey(nodeId)) : null
    return text === null ? null : (JSON.parse(text) as RelayNode)
  },
  retire: async (nodeId) => void (await redis.del(relayKey(nodeId))),
})
