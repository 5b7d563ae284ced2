import { hasGap, SETTLE_MS } from '#domain'
import type { CancelTimer, Clock, Logger } from '#runtime'
import { type ConnectionRef, type Fence, leaseKey, type Leases } from '#store'
import {
  type Broker,
  BrokerError,
  type BrokerPool,
  ConnectionUnusableError,
  type StreamDown,
  type StreamUpdate,
} from '../broker/index.ts'
import { type Applier, apply, FencedError } from './apply.ts'
import { landingOf, reconcileConnection } from './reconcile.ts'

/**
 * Owns one broker connection on behalf of all workers, while it holds the connection's lease.
 *
 *   free --lease taken--> streaming --lease lost or fenced--> free
 *                             |  onLive: reconcile (subscribe first, then fill the gap), then updates as they come
 *                             |  credentials refused: quiet for a while, a health check is asked for, then tried again
 *
 * Kept true: updates and reconciliation of a connection run one at a time, in order of arrival; every write carries the lease's
 * token, so a stale owner writes nothing. What it gives up: while a reconciliation runs, updates wait (bounded; beyond the bound
 * they are dropped and the reconciliation is repeated, which reads them back).
 */
export type OwnerDeps = Readonly<{
  applier: Applier
  brokers: BrokerPool
  leases: Leases
  clock: Clock
  log: Logger
  /** Something is wrong with the connection: check it now. */
  askForCheck(ref: ConnectionRef): void
}>

/** A killed owner's connection is free again after this long. */
export const LEASE_TTL_MS = 8_000
const LEASE_RENEW_MS = 2_500
/** Tries for a lease that somebody else holds. */
const LEASE_TRY_MS = 1_000
const CREDENTIALS_PAUSE_MS = 30_000
/** Open orders are compared with the broker at least this often, however healthy the stream looks. */
const RECONCILE_EVERY_MS = 60_000
/** After a gap was seen: the missing execution is usually on its way. */
const RECONCILE_GAP_MS = 2_000
const RECONCILE_RETRY_MS = 5_000
/** Updates that wait while a reconciliation runs. */
const UPDATES_WAITING_MAX = 10_000

export class ConnectionOwner {
  readonly #deps: OwnerDeps
  readonly #ref: ConnectionRef
  readonly #key: string
  readonly #running: Promise<void>
  #session: Session | null = null
  /** Why the session must end before the next step; only the loop ends it. */
  #endBecause: string | null = null
  #isClosed = false
  #wake: () => void = () => {}

  constructor(deps: OwnerDeps, ref: ConnectionRef) {
    this.#deps = deps
    this.#ref = ref
    this.#key = leaseKey(ref.userId, ref.connectionId)
    this.#running = this.#run()
  }

  /** The connection's record changed: start again with what it says now. */
  refresh(): void {
    this.#endSession('the connection was changed')
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#endSession('draining')
    await this.#running
  }

  #endSession(why: string): void {
    this.#endBecause = why
    this.#wake()
  }

  /** The one place where sessions begin and end. */
  async #run(): Promise<void> {
    while (!this.#isClosed) {
      let delayMs = LEASE_TRY_MS
      try {
        await this.#step()
        if (this.#session !== null) delayMs = LEASE_RENEW_MS
      } catch (error) {
        if (error instanceof ConnectionUnusableError) delayMs = CREDENTIALS_PAUSE_MS
        this.#deps.log.warn({ ...this.#ref, error }, 'owner.step_failed')
      }
      if (this.#endBecause === null) await this.#pause(delayMs)
    }
    await this.#end('draining')
  }

  async #step(): Promise<void> {
    const { leases, brokers, log } = this.#deps
    const why = this.#endBecause
    this.#endBecause = null
    if (why !== null) await this.#end(why)
    if (this.#isClosed) return
    if (this.#session !== null) {
      if (!(await leases.renew(this.#key, this.#session.token, LEASE_TTL_MS))) await this.#end('the lease was lost')
      return
    }
    const broker = await brokers.get(this.#ref)
    const token = await leases.take(this.#key, LEASE_TTL_MS)
    if (token === null) return
    log.info(this.#ref, 'owner.lease_taken')
    this.#session = new Session(this.#deps, this.#ref, broker, token, () => this.#endSession('fenced off'))
  }

  async #end(why: string): Promise<void> {
    const session = this.#session
    this.#session = null
    if (session === null) return
    await session.close()
    await this.#deps.leases.release(this.#key, session.token).catch(() => {}) // it expires by itself
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

/** One holding of the lease: a stream, and a line of work in order. */
class Session {
  readonly token: string
  readonly #deps: OwnerDeps
  readonly #ref: ConnectionRef
  readonly #broker: Broker
  readonly #fence: Fence
  readonly #onFenced: () => void
  #stream: ReturnType<Broker['openTradeStream']> | null = null
  #line: Promise<void> = Promise.resolve()
  #waiting = 0
  #reconcileTimer: CancelTimer = () => {}
  #restartTimer: CancelTimer = () => {}
  #isOver = false

  constructor(deps: OwnerDeps, ref: ConnectionRef, broker: Broker, token: string, onFenced: () => void) {
    this.#deps = deps
    this.#ref = ref
    this.#broker = broker
    this.token = token
    this.#fence = { kind: 'lease', connectionId: ref.connectionId, token }
    this.#onFenced = onFenced
    this.#open()
  }

  async close(): Promise<void> {
    this.#isOver = true
    this.#reconcileTimer()
    this.#restartTimer()
    await this.#stream?.close()
    await this.#line
  }

  #open(): void {
    this.#stream = this.#broker.openTradeStream({
      onLive: () => {
        this.#deps.log.info(this.#ref, 'stream.live')
        this.#enqueue(() => this.#reconcile())
      },
      onUpdate: (update) => this.#receive(update),
      onUnreadable: (why) => {
        this.#deps.log.warn({ ...this.#ref, why }, 'stream.unreadable')
        this.#reconcileIn(RECONCILE_GAP_MS)
      },
      onDown: (down) => this.#down(down),
    })
  }

  #down(down: StreamDown): void {
    this.#deps.log.warn({ ...this.#ref, why: down.message }, 'stream.down')
    if (!down.final) return
    this.#deps.askForCheck(this.#ref)
    this.#restartTimer = this.#deps.clock.after(CREDENTIALS_PAUSE_MS, () => this.#open())
  }

  #receive({ order, execution, at }: StreamUpdate): void {
    if (this.#waiting >= UPDATES_WAITING_MAX) {
      this.#deps.log.error({ ...this.#ref, waiting: this.#waiting }, 'stream.updates_dropped')
      this.#reconcileIn(RECONCILE_GAP_MS)
      return
    }
    this.#enqueue(async () => {
      const target = { landing: landingOf(this.#ref, order), symbol: order.symbol, fence: this.#fence }
      const { slice } = await apply(this.#deps.applier, target, { type: 'broker_order', order, execution, at })
      if (slice.order !== null && hasGap(slice.order)) this.#reconcileIn(RECONCILE_GAP_MS)
    })
  }

  async #reconcile(): Promise<void> {
    const { applier } = this.#deps
    const { doubts, gaps } = await reconcileConnection({
      applier,
      broker: this.#broker,
      ref: this.#ref,
      fence: this.#fence,
    })
    const soonMs = gaps > 0 ? RECONCILE_RETRY_MS : doubts > 0 ? SETTLE_MS + 1_000 : RECONCILE_EVERY_MS
    this.#reconcileIn(soonMs)
  }

  /** At most one reconciliation is planned at a time; the sooner one wins. */
  #reconcileIn(delayMs: number): void {
    this.#reconcileTimer()
    if (!this.#isOver)
      this.#reconcileTimer = this.#deps.clock.after(delayMs, () => this.#enqueue(() => this.#reconcile()))
  }

  /** Appends to the line. A failed step never breaks the line: what it missed is read back by the next reconciliation. */
  #enqueue(step: () => Promise<void>): void {
    this.#waiting += 1
    this.#line = this.#line.then(async () => {
      this.#waiting -= 1
      if (this.#isOver) return
      try {
        await step()
      } catch (error) {
        if (error instanceof FencedError) {
          this.#isOver = true
          this.#onFenced()
          return
        }
        const isExpected = error instanceof BrokerError
        this.#deps.log[isExpected ? 'warn' : 'error']({ ...this.#ref, error }, 'owner.work_failed')
        if (isExpected && error.code === 'CREDENTIALS') this.#deps.askForCheck(this.#ref)
        this.#reconcileIn(RECONCILE_RETRY_MS)
      }
    })
  }
}
