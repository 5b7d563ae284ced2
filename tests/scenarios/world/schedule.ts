import { AsyncLocalStorage, createHook } from 'node:async_hooks'
import { createHash } from 'node:crypto'
import type { CancelTimer } from '#runtime'
import { Chance } from './chance.ts'
import { Lanes, type Owner } from './lanes.ts'
import { Timers } from './timers.ts'

/** Steps without the time moving on: more is a loop that never rests. */
const STEPS_AT_ONCE_MAX = 200_000
/** After so many steps the platform gets a round of its own: timers of the test, messages. */
const STEPS_PER_ROUND = 1_000
/** What the trace is made of is hashed in pieces of this length. */
const TRACE_PIECE = 65_536

/**
 * Virtual time, and the order of everything that happens in it.
 *
 * Whatever awaits a port waits for its **turn**, once before the call and once before its answer.
 * One turn at a time is let go, chosen by the seed among the first of each lane; what it started
 * comes to rest before the next. Only when nobody waits does the time move on, to the next timer.
 * So one seed is one order of events (D1), and its trace is a number.
 *
 * Nothing real may be waited for: a socket, a file, a timer of the platform, a thread that is
 * started by what runs in here fails the run (D2).
 */
export class Schedule {
  nowMs: number
  steps = 0
  readonly chance: Chance
  readonly #lanes = new Lanes()
  readonly #timers = new Timers()
  readonly #trace = createHash('sha256')
  /** What the trace does not have yet. */
  #unhashed = ''
  /**
   * Hears of every step before it is taken, and may kill its owner, or freeze it: then the step
   * comes later.
   */
  beforeStep: (owner: Owner, label: string, job: string | null) => void = () => {}
  afterStep: () => Promise<void> | void = () => {}

  constructor(seed: number, startMs: number) {
    this.chance = new Chance(seed)
    this.nowMs = startMs
  }

  /** Identity of everything that has happened so far. */
  trace(): string {
    this.#hash()
    return this.#trace.copy().digest('hex')
  }

  /**
   * Resolves when it is the caller's turn; never, once its owner is dead. Within a lane turns come
   * in the order of asking.
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

  /** Forgets everything that `owner` waits for. */
  drop(owner: Owner): void {
    this.#lanes.drop(owner)
    this.#timers.drop(owner)
  }

  /** Runs code of a process: whatever it starts is watched from here on. */
  enter<T>(run: () => T): T {
    return inside.run(this, run)
  }

  /** Until nobody can go on without the time moving. */
  async settle(): Promise<void> {
    await rested() // from what was begun outside of a step
    await this.#stepAll()
  }

  /** Moves the time by `byMs`, with everything that falls due on the way. */
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
