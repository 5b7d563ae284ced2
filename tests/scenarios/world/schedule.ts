import { AsyncLocalStorage, createHook } from 'node:async_hooks'
import { createHash } from 'node:crypto'
import type { CancelTimer } from '#runtime'
import { Chance } from './chance.ts'
import { Lanes, type Owner } from './lanes.ts'
import { Timers } from './timers.ts'

/** The most steps at one moment of virtual time; more than this is an endless loop. */
const STEPS_AT_ONCE_MAX = 200_000
/** After this number of steps the platform runs its own timers and messages. */
const STEPS_PER_ROUND = 1_000
/** The trace is hashed in pieces of this length. */
const TRACE_PIECE = 65_536

/**
 * Virtual time, and the order of everything that happens in it.
 *
 * Every call of a port waits for its **turn**, once before the call and once before its answer. The
 * seed chooses one turn at a time among the first of each lane. All code started by a turn comes to
 * rest before the next turn. If no turn waits, the time advances to the next timer. So one seed
 * gives one order of events (D1), and the trace is a hash of this order.
 *
 * A wait for anything real fails the run (D2): a socket, a file, a timer of the platform or a
 * thread.
 */
export class Schedule {
  nowMs: number
  steps = 0
  readonly chance: Chance
  readonly #lanes = new Lanes()
  readonly #timers = new Timers()
  readonly #trace = createHash('sha256')
  /** The end of the trace that is not hashed yet. */
  #unhashed = ''
  /**
   * Called before every step. It may kill the owner of the step, or freeze the owner: then the step
   * is taken later.
   */
  beforeStep: (owner: Owner, label: string, job: string | null) => void = () => {}
  afterStep: () => Promise<void> | void = () => {}

  constructor(seed: number, startMs: number) {
    this.chance = new Chance(seed)
    this.nowMs = startMs
  }

  /** The hash of all steps so far. */
  trace(): string {
    this.#hash()
    return this.#trace.copy().digest('hex')
  }

  /**
   * Resolves at the turn of the caller; never, once its owner is dead. Turns of one lane keep their
   * order.
   */
  turn(owner: Owner, lane: string, label: string): Promise<void> {
    const job = inJob.getStore() ?? null
    return new Promise((go) => {
      if (owner.state !== 'dead')
        this.#lanes.add({ owner, lane: `${owner.name} ${lane}`, label, job, go })
    })
  }

  after(owner: Owner, delayMs: number, run: () => void): CancelTimer {
    if (owner.state === 'dead') return () => {}
    return this.#timers.add({ owner, atMs: this.nowMs + Math.max(0, delayMs), run })
  }

  /** Drops all turns and timers of `owner`. */
  drop(owner: Owner): void {
    this.#lanes.drop(owner)
    this.#timers.drop(owner)
  }

  /** Runs code of a process; D2 watches all work started by this code. */
  enter<T>(run: () => T): T {
    return inside.run(this, run)
  }

  /** Runs all steps that need no time. */
  async settle(): Promise<void> {
    await rested() // work that was started outside of a step
    await this.#stepAll()
  }

  /** Advances the time by `byMs` and runs all timers that fall due. */
  async advance(byMs: number): Promise<void> {
    await this.advanceUntil(this.nowMs + byMs, () => false)
  }

  /** As `advance`, but stops as soon as `isEnough`. */
  async advanceUntil(untilMs: number, isEnough: () => boolean): Promise<boolean> {
    await this.settle()
    while (!isEnough()) {
      const timer = this.#timers.next(this.nowMs, untilMs, this.chance)
      if (timer === null) {
        this.nowMs = Math.max(this.nowMs, untilMs)
        return isEnough()
      }
      this.nowMs = Math.max(this.nowMs, timer.atMs)
      const run = (): void => this.enter(timer.run)
      await this.#take(timer.owner, 'timer', null, run, () => this.#timers.remove(timer))
      await this.#stepAll()
    }
    return true
  }

  async #stepAll(): Promise<void> {
    for (let steps = 0; ; steps += 1) {
      const turn = this.#lanes.pick(this.chance)
      if (turn === null) return
      await this.#take(turn.owner, turn.label, turn.job, turn.go, () => this.#lanes.take(turn))
      if (steps > STEPS_AT_ONCE_MAX)
        throw new Error(`no rest after ${steps} steps: ${String(this.#lanes)}`)
    }
  }

  async #take(
    owner: Owner,
    label: string,
    job: string | null,
    run: () => void,
    remove: () => void,
  ): Promise<void> {
    this.steps += 1
    this.#unhashed += `${this.nowMs} ${owner.name} ${label}\n`
    if (this.#unhashed.length > TRACE_PIECE) this.#hash()
    this.beforeStep(owner, label, job)
    if (owner.state === 'running') {
      remove()
      run()
    }
    await (this.steps % STEPS_PER_ROUND === 0 ? nextRound() : rested())
    const real = foundReal.get(this)
    if (real !== undefined)
      throw new Error(`virtual time would have to wait for something real: ${real}`)
    await this.afterStep()
  }

  #hash(): void {
    this.#trace.update(this.#unhashed)
    this.#unhashed = ''
  }
}

/**
 * Everything that waits for nothing but promises has come to rest: a tick of the platform comes
 * after all of it.
 */
const rested = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve))
const nextRound = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const inside = new AsyncLocalStorage<Schedule>()
/** The job of a queue that asks for a turn. */
export const inJob = new AsyncLocalStorage<string>()
const foundReal = new WeakMap<Schedule, string>()
createHook({
  // Promises are nothing real, and so many that hearing of each would take a part of the time.
  trackPromises: false,
  init(_id, type) {
    // Ticks are found too: they would come after the one for which the schedule waits.
    const schedule = type === 'Microtask' ? undefined : inside.getStore()
    if (schedule !== undefined && !foundReal.has(schedule))
      foundReal.set(schedule, `${type}${new Error().stack ?? ''}`)
  },
}).enable()
