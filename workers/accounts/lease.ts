import type { Boundaries, Clock, Logger } from '#runtime'
import {
  type ConnectionRef,
  leaseKey,
  type Leases,
  type QuarantinedOrders,
  type Recoveries,
} from '#store'
import {
  type Broker,
  type BrokerPool,
  ConnectionUnusableError,
  type MarketHours,
  UnverifiedError,
} from '../broker/index.ts'
import type { FollowUps } from '../queue/index.ts'
import type { StateWriter } from '../state/index.ts'
import { openAccountContext, type OverExitPolicy } from './context.ts'
import type { AccountMetrics, SessionStanding } from './metrics.ts'
import { Session } from './session.ts'

/**
 * Holds the lease of one broker connection, and runs the connection's session meanwhile.
 *
 *   free --may take it, lease taken--> holding (a session runs)
 *   holding --lease lost, fenced, given up, draining--> free
 *     |  connection unusable or refused by its broker: a pause, then the next try
 *
 * Invariant:
 * - At most one session runs at a time; only the loop in this class begins and ends sessions.
 * - The session ends before its lease is released, so that the stream is free when the next owner
 *   opens one.
 * - If the lease could not be renewed, the session ends before the lease expires, measured by a
 *   clock that never jumps (CRA-07, CLK-01).
 */
export type LeaseDeps = Readonly<{
  writer: StateWriter
  brokers: Pick<BrokerPool, 'get'>
  leases: Leases
  recoveries: Recoveries
  hours: MarketHours
  followUps: FollowUps
  overExit: OverExitPolicy
  quarantine: Pick<QuarantinedOrders, 'note'>
  boundaries: Boundaries
  accountMetrics: AccountMetrics
  clock: Clock
  log: Logger
  /** Requests a check of the connection, because a session had trouble with it. */
  askForCheck(ref: ConnectionRef): void
  /** True if this worker should take one more lease now. */
  mayTake(): boolean
}>

/**
 * A recovery takes less than this. If its worker is killed, the mark delays closes and new
 * quantities no longer than this (FIL-06).
 */
const RECOVERY_MARK_MS = 120_000
/** After its owner is killed, a connection is free again within this time. */
export const LEASE_TTL_MS = 5_000
const LEASE_RENEW_MS = 1_500
/**
 * Margin before the lease expires by our own clock, in which no step begins: one step takes less
 * than this.
 */
const LEASE_MARGIN_MS = 1_000
/** Interval of the tries for a lease that another worker holds. */
const LEASE_TRY_MS = 1_000
/** After this many failed tries, the other owner has finished the first reading. */
export const READ_BY_OTHERS_TRIES = 10
/**
 * A worker does not retake a lease that it gave up for this long, so that other workers can take
 * it.
 */
const YIELD_MS = 3_000
const UNUSABLE_PAUSE_MS = 30_000

type HeldLease = Readonly<{ session: Session; token: string }>

export class ConnectionLease {
  readonly #deps: LeaseDeps
  readonly #ref: ConnectionRef
  readonly #key: string
  readonly #running: Promise<void>
  #held: HeldLease | null = null
  #safeUntilMs = 0
  /** Why the session must end before the next step; only the loop ends sessions. */
  #endBecause: string | null = null
  #pauseMs = 0
  /** As far as this worker knows, the account was read before; so a missing record was lost. */
  #isKnown = false
  #triesInVain = 0
  #isClosed = false
  #wake: () => void = () => {}

  constructor(deps: LeaseDeps, ref: ConnectionRef) {
    this.#deps = deps
    this.#ref = ref
    this.#key = leaseKey(ref.userId, ref.connectionId)
    this.#running = this.#run()
  }

  get isHolding(): boolean {
    return this.#held !== null
  }

  standing(): SessionStanding | null {
    return this.#held?.session.standing() ?? null
  }

  /** The connection's record changed: ends the session and starts a new one from the new record. */
  refresh(): void {
    this.#end('the connection was changed')
  }

  /**
   * The store lost its state: the owner of the connection reads the account again and reports the
   * reset to the user. If the store has a record of the account by then, the record was written
   * since the loss, or is an older version that came back with the store. In both cases a recovery
   * continues from the record, as after the loss of a few writes.
   */
  readopt(): void {
    this.#isKnown = true
    if (this.#held !== null) this.#end('the store was lost')
  }

  /** The store was unavailable, and may have lost the last writes. */
  redisReconnected(): void {
    this.#held?.session.redisReconnected()
  }

  /** The answer of `mayTake` changed: tries again at once. */
  tryNow(): void {
    if (this.#held === null) this.#wake()
  }

  /** Releases the lease for another worker, and does not retake it for `YIELD_MS`. */
  giveUp(): void {
    this.#pauseMs = YIELD_MS
    this.#end('others have less')
  }

  /** Releases the lease and stops for good. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#end('draining')
    await this.#running
  }

  #end(why: string): void {
    this.#endBecause = why
    this.#wake()
  }

  /** The only place where sessions begin and end. */
  async #run(): Promise<void> {
    while (!this.#isClosed) {
      let delayMs = LEASE_TRY_MS
      try {
        await this.#step()
        delayMs = this.#held !== null ? LEASE_RENEW_MS : Math.max(this.#pauseMs, LEASE_TRY_MS)
      } catch (error) {
        if (error instanceof ConnectionUnusableError || error instanceof UnverifiedError)
          delayMs = UNUSABLE_PAUSE_MS
        this.#deps.log.warn({ ...this.#ref, error }, 'owner.step_failed')
      }
      this.#pauseMs = 0
      if (this.#endBecause === null) await this.#pause(delayMs)
    }
    await this.#endSession('draining')
  }

  async #step(): Promise<void> {
    const why = this.#endBecause
    this.#endBecause = null
    if (why !== null) {
      await this.#endSession(why)
      if (this.#pauseMs > 0) return
    }
    if (this.#isClosed) return
    if (this.#held !== null) await this.#renew(this.#held.token)
    else if (this.#deps.mayTake()) await this.#take()
  }

  async #renew(token: string): Promise<void> {
    const { leases, clock } = this.#deps
    const askedMs = clock.monotonicMs()
    try {
      if (await leases.renew(this.#key, token, LEASE_TTL_MS))
        this.#safeUntilMs = askedMs + LEASE_TTL_MS
      else await this.#endSession('the lease was lost')
    } catch (error) {
      // While the store is unavailable, no other worker can take the lease; but the store may come
      // back without it.
      if (clock.monotonicMs() >= this.#safeUntilMs)
        await this.#endSession('the lease could not be renewed')
      throw error
    }
  }

  async #take(): Promise<void> {
    const { leases, brokers, clock, log } = this.#deps
    await brokers.get(this.#ref) // throws if the connection is unusable: its lease stays free
    const askedMs = clock.monotonicMs()
    const token = await leases.take(this.#key, LEASE_TTL_MS)
    if (token === null) {
      this.#triesInVain += 1
      this.#isKnown ||= this.#triesInVain >= READ_BY_OTHERS_TRIES
      return
    }
    const broker = await this.#brokerUnder(token)
    this.#safeUntilMs = askedMs + LEASE_TTL_MS
    log.info(this.#ref, 'owner.lease_taken')
    const {
      writer,
      followUps,
      overExit,
      quarantine,
      boundaries,
      accountMetrics,
      hours,
      askForCheck,
      recoveries,
    } = this.#deps
    const context = openAccountContext({
      ref: this.#ref,
      broker,
      writer,
      followUps,
      overExit,
      quarantine,
      boundaries,
      accountMetrics,
      clock,
      log,
      fence: { kind: 'lease', connectionId: this.#ref.connectionId, token },
      isOurs: () =>
        this.#held?.token === token && clock.monotonicMs() < this.#safeUntilMs - LEASE_MARGIN_MS,
    })
    const onOver = (why: string, pauseMs: number): void => {
      this.#pauseMs = pauseMs
      this.#end(why)
    }
    const mark = {
      begin: () => recoveries.begin(this.#ref, token, RECOVERY_MARK_MS),
      end: () => recoveries.end(this.#ref, token),
    }
    const sessionDeps = { context, hours, mark, askForCheck: () => askForCheck(this.#ref), onOver }
    const session = new Session(sessionDeps, this.#isKnown)
    this.#held = { session, token }
  }

  /**
   * Reads the connection again under the lease. A removal erases the connection and then revokes
   * the lease: a lease taken before the removal is fenced off, and a lease taken after it finds no
   * connection (MUL-07).
   */
  async #brokerUnder(token: string): Promise<Broker> {
    const { leases, brokers } = this.#deps
    try {
      return await brokers.get(this.#ref)
    } catch (error) {
      await leases.release(this.#key, token).catch(() => {}) // it expires by itself
      throw error
    }
  }

  async #endSession(why: string): Promise<void> {
    const held = this.#held
    if (held === null) return
    this.#isKnown ||= held.session.standing().isRecovered
    await held.session.close()
    this.#held = null
    await this.#deps.leases.release(this.#key, held.token).catch(() => {}) // it expires by itself
    this.#deps.log.info({ ...this.#ref, why }, 'owner.lease_given_up')
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#deps.clock.after(delayMs, resolve)
      this.#wake = () => {
        cancel()
        resolve()
      }
    })
  }
}
