// Every key of the store is made here. All keys of a user share the hash tag {userId}, so that one
// script may use them all on Redis Cluster too.

/**
 * State of one user, a hash: `v` (version), `last` (last event id), and one field per record (see
 * `field`).
 */
export const stateKey = (userId: string): string => `state:{${userId}}`
/** The fields of a user's state that are read often, a set (see open-index.ts). */
export const openKey = (userId: string): string => `state:{${userId}}:open`
/** Orders of a user that wait to be sent, a hash by trade id (see parked.ts). */
export const parkedKey = (userId: string): string => `state:{${userId}}:parked`
/** Event log of one user, a stream: `e` event, `d` payload as JSON, `p` previous event id. */
export const logKey = (userId: string): string => `log:{${userId}}`
/** An order that left the hot state: its record as text, until it expires. */
export const archiveKey = (userId: string, orderId: string): string =>
  `archive:{${userId}}:${orderId}`
/**
 * The tombstone of a trade, which outlives the trade's archive. It has the archive's prefix, so
 * that the same Redis users may access it.
 */
export const tombstoneKey = (userId: string, tradeId: string): string =>
  `archive:{${userId}}:ended:${tradeId}`
/** Requests made to one broker account within the last minute. */
export const budgetKey = (userId: string, connectionId: string): string =>
  `budget:{${userId}}:${connectionId}`
/**
 * Times of the orders that were sent within the last minute, newest first, a list: of a user, or of
 * one connection.
 */
export const paceKey = (userId: string, connectionId = ''): string =>
  `pace:{${userId}}:${connectionId}`
/**
 * Orders that were sent in a trading day, a hash: `` (the user) or connection id -> `<day>
 * <count>`.
 */
export const paceDaysKey = (userId: string): string => `pace:{${userId}}/days`
/**
 * The records that cannot be rebuilt from the broker: sealed connections, limits, halts, bars. A
 * hash; see `controlField`.
 */
export const controlKey = (userId: string): string => `control:{${userId}}`
/** The newest connection of each of a user's devices, a hash: device -> generation. */
export const devicesKey = (userId: string): string => `devices:{${userId}}`
/** Owner of a connection's trade stream: the fencing token. */
export const leaseKey = (userId: string, connectionId: string): string =>
  `lease:{${userId}}:${connectionId}`
/**
 * Exists while a recovery of a connection runs, and holds the lease under which it runs. Expires.
 */
export const recoveryKey = (userId: string, connectionId: string): string =>
  `lease:{${userId}}:recovery/${connectionId}`
/** Owner of the market-data feed of one credential. */
export const feedLeaseKey = (credential: string): string => `lease:feed:${credential}`
/** The address of a relay that is up. Expires unless renewed. */
export const relayKey = (nodeId: string): string => `relay:${nodeId}`
/**
 * Every user with a control set, a sorted set by the time of its last change. Workers find their
 * accounts through this index.
 */
export const controlIndexKey = 'controls'
/** The records that apply to all users: the global halt. A hash. */
export const globalControlKey = 'control'
/** Linked broker accounts: `<environment>:<broker account id>` -> `<user> <connection>`. A hash. */
export const linkedAccountsKey = 'accounts'
/** Shows whether the store is still the one that a worker knows. */
export const epochKey = 'epoch'
/** Quarantined orders, a sorted set by the time at which a worker last noted them. */
export const asideKey = 'aside'
/** Workers that are alive, a sorted set by the time of their last beat. */
export const workersKey = 'workers'
/**
 * Symbols that clients watch, a sorted set by the time at which the demand for the symbol expires.
 */
export const demandKey = 'demand'
/**
 * The broker's assets, a hash: `#` describes the list, and each symbol has one field. The hash tag
 * keeps a list and its draft in one slot.
 */
export const assetsKey = (environment: string): string => `assets:{${environment}}`
/** A list that is being written; once whole, the draft replaces the list. */
export const assetsDraftKey = (environment: string, draftId: string): string =>
  `assets:{${environment}}:${draftId}`
/** Exists while no worker needs to read the broker's assets again. */
export const assetsTurnKey = (environment: string): string => `assets:{${environment}}:turn`
/** Last quote of each symbol, a hash. */
export const quotesKey = 'quotes'

/**
 * Logins of one operator at the dashboard, a sorted set: digest of the login's id, by the time at
 * which the login ends.
 */
export const operatorSessionsKey = (name: string): string => `operator-sessions:${name}`

/** Fields of a user's state. */
export const field = {
  version: 'v',
  last: 'last',
  /** The version that the set of open fields belongs to: `<version> <number of fields>`. */
  indexed: 'indexed',
  /** The connections that have an account record, between blanks; see `accountsIn`. */
  accounts: 'accounts',
  order: (orderId: string): string => `order:${orderId}`,
  claim: (tradeId: string): string => `claim:${tradeId}`,
  /** The cancels that wait for their trades. */
  waitingMarks: 'cancels',
  /** The mark of a cancel that came before its trade. */
  cancelMark: (tradeId: string): string => `cancel:${tradeId}`,
  position: (connectionId: string, symbol: string): string => `position:${connectionId}:${symbol}`,
  account: (connectionId: string): string => `account:${connectionId}`,
  health: (connectionId: string): string => `health:${connectionId}`,
  /**
   * The order that a broker order belongs to, if the client order id of the broker order does not
   * name it.
   */
  ref: (brokerOrderId: string): string => `ref:${brokerOrderId}`,
} as const

const CONNECTION = 'connection:'
/** The connections of a control set, by the names of its fields. */
export const connectionIdsIn = (fields: readonly string[]): string[] =>
  fields.flatMap((name) => (name.startsWith(CONNECTION) ? [name.slice(CONNECTION.length)] : []))

/** The connections that the field `accounts` of a state lists. */
export const accountsIn = (list: string | null | undefined): string[] =>
  (list ?? '').split(' ').filter((connectionId) => connectionId !== '')

/** Fields of a user's control set. Bars hold the time of the logout, in seconds since 1970. */
export const controlField = {
  connection: (connectionId: string): string => `${CONNECTION}${connectionId}`,
  /**
   * The broker account that a connection leads to, and the revision of the credentials for which a
   * login has shown it.
   */
  link: (connectionId: string): string => `link:${connectionId}`,
  userLimits: 'limits',
  limits: (connectionId: string): string => `limits:${connectionId}`,
  /** The halt of the user; in the global control set: of all users. */
  halt: 'halt',
  connectionHalt: (connectionId: string): string => `halt:${connectionId}`,
  /** Bars every token that was issued up to then. */
  userBar: 'bar',
  sessionBar: (sessionId: string): string => `bar:${sessionId}`,
} as const
