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
 * Owns one broker connection on behalf of all workers, while it holds the connection's lease.
 *
 *   free --may take it, lease taken--> holding (a session runs)
 *   holding --lease lost, fenced, given up, draining--> free
 *     |  connection unusable or its broker refuses: quiet for a while, then tried again
 *
 * Kept true: at most one session at a time, begun and ended by the one loop in here; a session ends
 * before its lease is released, so that the stream is free when the next owner opens its own; a
 * lease that could not be renewed is given up before it runs out, by a clock that never jumps
 * (CRA-07, CLK-01).
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
  /** Something is wrong with the connection: check it now. */
  askForCheck(ref: ConnectionRef): void
  /** Whether this worker should own one more connection now. */
  mayTake(): boolean
}>

/** A recovery takes less; one whose worker was killed holds nobody up for longer. */
const RECOVERY_MARK_MS = 120_000
/** A killed owner's connection is free again after this long. */
export const LEASE_TTL_MS = 5_000
const LEASE_RENEW_MS = 1_500
/** Before it runs out by our own clock, nothing is begun any more: a step takes less than this. */
const LEASE_MARGIN_MS = 1_000
/** Tries for a lease that somebody else holds. */
const LEASE_TRY_MS = 1_000
/** Somebody else has held it for so long that the first reading is done. */
export const READ_BY_OTHERS_TRIES = 10
/** What was given up is left to others for this long. */
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
  /** Why the session must end before the next step; only the loop ends it. */
  #endBecause: string | null = null
  #pauseMs = 0
  /** The account was read before, as far as this worker knows: what is missing of it was lost. */
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

  /** The connection's record changed: start again with what it says now. */
  refresh(): void {
    this.#end('the connection was changed')
  }

  /**
   * The store lost its state: whoever holds the connection reads it anew, and tells its user so. A
   * record of the account that is there by then was written since, or is an older one that came
   * back with the store: a recovery goes on from it, as after the loss of a few writes.
   */
  readopt(): void {
    this.#isKnown = true
    if (this.#held !== null) this.#end('the store was lost')
  }

  /** The store was away, and may have lost what was written last. */
  redisReconnected(): void {
    this.#held?.session.redisReconnected()
  }

  /** Whether this worker may take it has changed: looks again at once. */
  tryNow(): void {
    if (this.#held === null) this.#wake()
  }

  /** Others should have it: it is released, and not taken again for a while. */
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

  /** The one place where sessions begin and end. */
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
      // The store is away: nobody else can take the lease either, but it may come back without it.
      if (clock.monotonicMs() >= this.#safeUntilMs)
        await this.#endSession('the lease could not be renewed')
      throw error
    }
  }

  async #take(): Promise<void> {
    const { leases, brokers, clock, log } = this.#deps
    await brokers.get(this.#ref) // a connection that cannot be used is left free
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
   * Asked again once the lease is ours: a removal erases the connection and then revokes the lease,
   * so that a lease from before is fenced off, and one from after finds no connection (MUL-07).
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
