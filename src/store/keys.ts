// Every key of the store is minted here. All keys of a user share the hash tag {userId}, so that one script may touch them all on
// Redis Cluster too.

/** State of one user, a hash: `v` (version), `last` (last event id), and one field per record (see `field`). */
export const stateKey = (userId: string): string => `state:{${userId}}`
/** Event log of one user, a stream: `e` event, `d` payload as JSON, `p` previous event id. */
export const logKey = (userId: string): string => `log:{${userId}}`
/** What cannot be rebuilt from the broker: sealed connections. A hash. */
export const controlKey = (userId: string): string => `control:{${userId}}`
/** Which connection is the newest of each of a user's devices: device -> generation, a hash. */
export const devicesKey = (userId: string): string => `devices:{${userId}}`
/** Owner of a connection's trade stream: the fencing token. */
export const leaseKey = (userId: string, connectionId: string): string => `lease:{${userId}}:${connectionId}`
/** Owner of the market-data feed of one credential. */
export const feedLeaseKey = (credential: string): string => `lease:feed:${credential}`
/** Every broker connection, a sorted set by the time of its last change: how workers find their work. */
export const connectionIndexKey = 'connections'
/** A relay that is up: its address. Expires unless renewed. */
export const relayKey = (nodeId: string): string => `relay:${nodeId}`
/** Symbols that clients watch, a sorted set by the time at which nobody does any more. */
export const demandKey = 'demand'
/** Last quote of each symbol, a hash. */
export const quotesKey = 'quotes'

/** Fields of a user's state. */
export const field = {
  version: 'v',
  last: 'last',
  order: (orderId: string): string => `order:${orderId}`,
  claim: (tradeId: string): string => `claim:${tradeId}`,
  /** Left by a cancel that came before its trade. */
  cancelMark: (tradeId: string): string => `cancel:${tradeId}`,
  position: (connectionId: string, symbol: string): string => `position:${connectionId}:${symbol}`,
  account: (connectionId: string): string => `account:${connectionId}`,
  health: (connectionId: string): string => `health:${connectionId}`,
} as const

/** Fields of a user's control set. Bars hold the time of the logout, in seconds since 1970. */
export const controlField = {
  connection: (connectionId: string): string => `connection:${connectionId}`,
  /** Bars every token issued up to then. */
  userBar: 'bar',
  sessionBar: (sessionId: string): string => `bar:${sessionId}`,
} as const
