import type { CancelTimer } from '#runtime'
import type { ConnectionRef, Registry } from '#store'
import { ConnectionLease, type LeaseDeps } from './lease.ts'

/**
 * Holds the connections of one worker: its fair share of all connections.
 *
 *   share = connections / live workers, rounded up
 *   below the share -> the worker tries every free lease, every second
 *   at the share -> the worker tries free leases less often: the other workers may be unable to
 *     take them
 *   above the share, when a worker joins -> the worker gives up the excess and does not retake
 *     it for a while; an excess that no worker takes is offered again, less and less often
 *
 * Invariant:
 * - A connection without an owner gets a new owner within `LEASE_TTL_MS` plus a few seconds,
 *   however the last owner ended.
 * - Only a lease decides ownership; the share only decides which worker tries.
 */
export class ConnectionBalancer {
  readonly #deps: BalancerDeps
  readonly #owners = new Map<string, ConnectionLease>()
  readonly #stopBeats: CancelTimer
  /**
   * The number of live workers, this one included; `null` until the first answer: no lease is taken
   * before it.
   */
  #live: number | null = null
  #turns = 0
  #offerTurn = 0
  #offerEvery = SHED_AGAIN_TURNS
  #beating: Promise<void>

  constructor(deps: BalancerDeps) {
    this.#deps = deps
    this.#beating = this.#beat()
    this.#stopBeats = deps.clock.every(BEAT_MS, () => {
      this.#beating = this.#beating.then(() => this.#beat())
    })
  }

  /** A connection was added, or its record changed. */
  changed(ref: ConnectionRef): void {
    const key = `${ref.userId} ${ref.connectionId}`
    const owner = this.#owners.get(key)
    if (owner !== undefined) return owner.refresh()
    this.#owners.set(
      key,
      new ConnectionLease({ ...this.#deps, mayTake: () => this.#mayTake() }, ref),
    )
  }

  /** The connection was removed. */
  removed(ref: ConnectionRef): void {
    const key = `${ref.userId} ${ref.connectionId}`
    const owner = this.#owners.get(key)
    this.#owners.delete(key)
    owner
      ?.close()
      .catch((error: unknown) => this.#deps.log.error({ ...ref, error }, 'owner.not_closed'))
  }

  /** The store lost its state: every connection held here is read again. */
  readoptAll(): void {
    for (const owner of this.#owners.values()) owner.readopt()
  }

  /** The store was unavailable, and may have lost the last writes. */
  redisReconnected(): void {
    for (const owner of this.#owners.values()) owner.redisReconnected()
  }

  get ownedCount(): number {
    return this.#held()
  }

  async close(): Promise<void> {
    this.#stopBeats()
    await this.#beating
    const { registry, workerId, log } = this.#deps
    await registry
      .leave(workerId)
      .catch((error: unknown) => log.warn({ error }, 'ownership.not_signed_off'))
    await Promise.allSettled([...this.#owners.values()].map((owner) => owner.close()))
  }

  #mayTake(): boolean {
    if (this.#live === null) return false
    return this.#held() < this.#shareOf(this.#live) || this.#turns % SPARE_TRY_EVERY === 0
  }

  #shareOf(live: number): number {
    return Math.ceil(this.#owners.size / live)
  }

  #held(): number {
    let held = 0
    for (const owner of this.#owners.values()) if (owner.isHolding) held += 1
    return held
  }

  async #beat(): Promise<void> {
    const { registry, workerId, log, accountMetrics } = this.#deps
    const before = this.#live
    try {
      const live = Math.max(1, await registry.beat(workerId))
      this.#live = live
      if (live !== before)
        log.info({ live, connections: this.#owners.size }, 'ownership.workers_alive')
      if (before === null) for (const owner of this.#owners.values()) owner.tryNow()
      else this.#shed(live, live > before)
    } catch (error) {
      log.warn({ error }, 'ownership.beat_failed') // the last known share stays valid
    }
    this.#turns += 1
    const standings = [...this.#owners.values()].flatMap((owner) => owner.standing() ?? [])
    accountMetrics.standing(standings)
  }

  /**
   * Gives up the excess. If no other worker takes a connection, this worker retakes it, and offers
   * it again, less and less often.
   */
  #shed(live: number, hasJoined: boolean): void {
    if (hasJoined) [this.#offerTurn, this.#offerEvery] = [0, SHED_AGAIN_TURNS]
    let excess = this.#held() - this.#shareOf(live)
    if (excess <= 0) this.#offerTurn = this.#turns + this.#offerEvery
    if (this.#turns < this.#offerTurn) return
    this.#offerTurn = this.#turns + this.#offerEvery
    this.#offerEvery = Math.min(this.#offerEvery * 2, SHED_AGAIN_TURNS_MAX)
    for (const owner of this.#owners.values()) {
      if (excess <= 0) return
      if (!owner.isHolding) continue
      owner.giveUp()
      excess -= 1
    }
  }
}

export type BalancerDeps = Omit<LeaseDeps, 'mayTake'> &
  Readonly<{ registry: Registry; workerId: string }>

/** Interval of the heartbeats of a worker. */
const BEAT_MS = 1_000
/** A worker with its full share tries free leases in every third second. */
const SPARE_TRY_EVERY = 3
/** In beats. */
const SHED_AGAIN_TURNS = 10
const SHED_AGAIN_TURNS_MAX = 600
