import type { Redis } from 'ioredis'
import { relayKey } from './keys.ts'

/**
 * The address where a relay takes requests that another relay hands over, and the key that proves
 * that they come from a relay.
 */
export type RelayNode = Readonly<{ host: string; port: number; hopKey: string }>

/** The relays that are up. A relay that stops announcing itself is gone after `NODE_TTL_MS`. */
export interface Relays {
  announce(nodeId: string, node: RelayNode): Promise<void>
  /** `null`: there is no such relay, or its record cannot be read. */
  find(nodeId: string): Promise<RelayNode | null>
  retire(nodeId: string): Promise<void>
}

export const NODE_ID_PATTERN = /^[A-Za-z0-9_-]{1,16}$/
const NODE_TTL_MS = 15_000
/** How often a relay announces that it is up; two announcements may be missed. */
export const NODE_HEARTBEAT_MS = 5_000

export const createRelays = (redis: Redis): Relays => ({
  announce: async (nodeId, node) =>
    void (await redis.set(relayKey(nodeId), JSON.stringify(node), 'PX', NODE_TTL_MS)),
  async find(nodeId) {
    const text = NODE_ID_PATTERN.test(nodeId) ? await redis.get(relayKey(nodeId)) : null
    return text === null ? null : readNode(text)
  },
  retire: async (nodeId) => void (await redis.del(relayKey(nodeId))),
})

const HOP_KEY_PATTERN = /^[A-Za-z0-9_-]{1,64}$/
const PORT_MAX = 65_535

/**
 * Reads the record of a relay. The key becomes part of a header, and host and port an address to
 * connect to, so any other content makes the record invalid.
 */
function readNode(text: string): RelayNode | null {
  try {
    const record: unknown = JSON.parse(text)
    if (typeof record !== 'object' || record === null) return null
    if (!('host' in record && 'port' in record && 'hopKey' in record)) return null
    const { host, port, hopKey } = record
    if (
      typeof host !== 'string' ||
      host === '' ||
      typeof hopKey !== 'string' ||
      !HOP_KEY_PATTERN.test(hopKey)
    )
      return null
    return Number.isInteger(port) && Number(port) > 0 && Number(port) <= PORT_MAX
      ? { host, port: Number(port), hopKey }
      : null
  } catch {
    return null
  }
}
