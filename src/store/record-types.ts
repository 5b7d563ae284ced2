export const BROKER_ENVIRONMENTS = ['live', 'paper', 'sandbox'] as const

/** Which of the broker's environments a connection belongs to. */
export type BrokerEnvironment = (typeof BROKER_ENVIRONMENTS)[number]

/** A user's link to a broker account. The credentials are sealed; only workers open them. */
export type BrokerConnection = Readonly<{
  schema: 1
  userId: string
  connectionId: string
  brokerType: 'alpaca'
  env: BrokerEnvironment
  sealed: string
  connectedAt: string
  /**
   * Being removed: what becomes of its open orders, and the revision before, whose credentials
   * these still are. Nothing new is sent.
   */
  leaving?: Readonly<{ openOrders: 'cancel' | 'leave'; from: string }>
  /** Grows with every change of the record. */
  revision: string
}>

export type LinkedConnection = Readonly<{ connection: BrokerConnection; link: Link | null }>

/**
 * The broker account that a connection leads to: found out by logging in, never told by the user.
 *
 *   (none) --logged in--> verified --other credentials, or these refused--> unverified
 *   unverified --logged in, same account--> verified
 *
 * Kept true: one account is linked to one connection of one user (MUL-06); a link never moves to
 * another account (MUL-02); an order is sent only while `verified` is the revision of the
 * connection's record, which the commit script checks. A connection that is being removed is
 * verified with the revision before: its record has another one, so that cancels pass and claims
 * are refused.
 */
export type Link = Readonly<{
  schema: 1
  env: BrokerConnection['env']
  brokerAccountId: string
  /** Revision of the credentials that were seen to lead there; '' while they are refused. */
  verified: string
  /** Grows with every change of the record. */
  revision: string
}>

/**
 * Stops new exposure. Cancels always pass; `allows: 'reducing'` lets orders pass that only close
 * what is open.
 */
export type Halt = Readonly<{
  schema: 1
  scope: 'global' | 'user' | 'connection'
  allows: 'nothing' | 'reducing'
  /** Who halted: a person or a system, for the record. */
  by: string
  reason: string
  at: string
  /** Grows with every change of the record. */
  revision: string
}>

/** What the user was last told of a connection, and what speaks against it since. */
export type Health = Readonly<{
  schema: 2
  state: 'up' | 'down'
  /** Of `down`. `broken`: somebody has to do something; `failing`: it passes by itself. */
  cause: 'broken' | 'failing' | null
  /** Checks in a row that contradict the state, and since when. */
  doubts: number
  doubtSince: string | null
  reason: string | null
  /** Of `down`, for programs: `CREDENTIALS`, `OTHER_ACCOUNT`, ... Absent in records of before. */
  code?: string | null
  since: string
}>

/**
 * What outlives an order's archive: its trade id stays taken, and the hash tells a repeat from a
 * conflict (`null`: never known).
 */
export type Tombstone = Readonly<{ parametersHash: string | null }>
