import type { CancelTimer } from '#runtime'
import type { ConnectionRef, Registry } from '#store'
import { ConnectionLease, type LeaseDeps } from './lease.ts'

/**
 * The connections that one worker owns: its fair share of all that there are.
 *
 *   share = connections / live workers, rounded up
 *   below the share -> every free lease is tried for, every second
 *   at the share -> a free lease is tried for now and then: its rightful worker may be unable to
 *   above it, when a worker joins -> the excess is given up and left to others for a while;
 *     again later, ever less often
 *
 * Kept true: a connection without an owner finds one within `LEASE_TTL_MS` plus a few seconds,
 * however the last owner went; leases alone say who owns, the share only says who tries.
 */
export class ConnectionBalancer {
  readonly #deps: BalancerDeps
  readonly #owners = new Map<string, ConnectionLease>()
  readonly #stopBeats: CancelTimer
  /** Workers alive, this one included; `null` until the first answer: nothing is taken before. */
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

  /** A connection is there, or its record changed. */
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

  /** The store lost its state: everything that is owned here is read anew. */
  readoptAll(): void {
    for (const owner of this.#owners.values()) owner.readopt()
  }

  /** The store was away, and may have lost what was written last. */
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
      log.warn({ error }, 'ownership.beat_failed') // the last share goes on
    }
    this.#turns += 1
    const standings = [...this.#owners.values()].flatMap((owner) => owner.standing() ?? [])
    accountMetrics.standing(standings)
  }

  /** What nobody else took is taken back; it is offered again, less and less often. */
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

/** A worker says this often that it is alive. */
const BEAT_MS = 1_000
/** With its share in hand, a worker tries for free leases in every third second. */
const SPARE_TRY_EVERY = 3
/** In beats. */
const SHED_AGAIN_TURNS = 10
const SHED_AGAIN_TURNS_MAX = 600
