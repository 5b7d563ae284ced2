export const BROKER_ENVIRONMENTS = ['live', 'paper', 'sandbox'] as const

/** The broker's environment of a connection. */
export type BrokerEnvironment = (typeof BROKER_ENVIRONMENTS)[number]

/** A user's connection to a broker account. The credentials are sealed; only workers open them. */
export type BrokerConnection = Readonly<{
  schema: 1
  userId: string
  connectionId: string
  brokerType: 'alpaca'
  env: BrokerEnvironment
  sealed: string
  connectedAt: string
  /**
   * Set while the connection is being removed: the choice for its open orders, and the revision
   * before the removal, to which these credentials belong. No new order is sent.
   */
  leaving?: Readonly<{ openOrders: 'cancel' | 'leave'; from: string }>
  /** Grows with every change of the record. */
  revision: string
}>

export type LinkedConnection = Readonly<{ connection: BrokerConnection; link: Link | null }>

/**
 * The broker account that a connection leads to: found by logging in, never taken from the user.
 *
 *   (none) --logged in--> verified --other credentials, or these refused--> unverified
 *   unverified --logged in, same account--> verified
 *
 * Invariants:
 * - One account is linked to one connection of one user (MUL-06).
 * - A link never moves to another account (MUL-02).
 * - An order is sent only while `verified` is the revision of the connection's record, which the
 *   commit script checks.
 * - A connection that is being removed is verified with the revision before the removal: its record
 *   has a newer revision, so that cancels pass and claims are refused.
 */
export type Link = Readonly<{
  schema: 1
  env: BrokerConnection['env']
  brokerAccountId: string
  /** Revision of the credentials that have logged in to the account; '' while they are refused. */
  verified: string
  /** Grows with every change of the record. */
  revision: string
}>

/**
 * Stops new exposure. Cancels always pass; `allows: 'reducing'` also lets orders pass that only
 * close open positions.
 */
export type Halt = Readonly<{
  schema: 1
  scope: 'global' | 'user' | 'connection'
  allows: 'nothing' | 'reducing'
  /** The person or system that halted, for the record. */
  by: string
  reason: string
  at: string
  /** Grows with every change of the record. */
  revision: string
}>

/** The last reported state of a connection, and the checks that contradict it since. */
export type Health = Readonly<{
  schema: 2
  state: 'up' | 'down'
  /** Of `down`. `broken`: a person has to act; `failing`: the trouble passes by itself. */
  cause: 'broken' | 'failing' | null
  /** Checks in a row that contradict the state, and since when. */
  doubts: number
  doubtSince: string | null
  reason: string | null
  /** Of `down`, for programs: `CREDENTIALS`, `OTHER_ACCOUNT`, ... Absent in older records. */
  code?: string | null
  since: string
}>

/**
 * The record that outlives an order's archive: its trade id stays taken, and the hash separates a
 * repeated request from a conflicting one (`null`: the hash is unknown).
 */
export type Tombstone = Readonly<{ parametersHash: string | null }>
