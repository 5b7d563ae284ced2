import { AsyncLocalStorage, createHook } from 'node:async_hooks'
import { createHash } from 'node:crypto'
import type { CancelTimer } from '#runtime'
import { Chance } from './chance.ts'

/** Whoever waits: a process, or the world itself. */
export type Owner = { readonly name: string; readonly state: 'running' | 'frozen' | 'dead' }

type Turn = Readonly<{ owner: Owner; lane: string; label: string; job: string | null; go: () => void }>
type Timer = Readonly<{ owner: Owner; atMs: number; run: () => void }>

/** Steps without the time moving on: more is a loop that never rests. */
const STEPS_AT_ONCE_MAX = 200_000

/**
 * Virtual time, and the order of everything that happens in it.
 *
 * Whatever awaits a port waits for its **turn**, once before the call and once before its answer. One turn at a time is let go,
 * chosen by the seed among the first of each lane; what it started comes to rest before the next. Only when nobody waits does the
 * time move on, to the next timer. So one seed is one order of events (D1), and its trace is a number.
 *
 * Nothing real may be waited for: a socket, a file, a timer of the platform, a thread that is started by what runs in here fails
 * the run (D2).
 */
export class Schedule {
  nowMs: number
  steps = 0
  readonly chance: Chance
  readonly #turns: Turn[] = []
  readonly #timers = new Map<number, Timer>()
  readonly #trace = createHash('sha256')
  #timerIds = 0
  /** Hears of every step before it is taken, and may kill its owner, or freeze it: then the step comes later. */
  beforeStep: (owner: Owner, label: string, job: string | null) => void = () => {}
  afterStep: () => Promise<void> | void = () => {}

  constructor(seed: number, startMs: number) {
    this.chance = new Chance(seed)
    this.nowMs = startMs
  }

  /** Identity of everything that has happened so far. */
  trace(): string {
    return this.#trace.copy().digest('hex')
  }

  /** Resolves when it is the caller's turn; never, once its owner is dead. Within a lane turns come in the order of asking. */
  turn(owner: Owner, lane: string, label: string): Promise<void> {
    const job = inJob.getStore() ?? null
    return new Promise((resolve) => {
      if (owner.state !== 'dead') this.#turns.push({ owner, lane: `${owner.name} ${lane}`, label, job, go: resolve })
    })
  }

  after(owner: Owner, delayMs: number, run: () => void): CancelTimer {
    if (owner.state === 'dead') return () => {}
    const id = (this.#timerIds += 1)
    this.#timers.set(id, { owner, atMs: this.nowMs + Math.max(0, delayMs), run })
    return () => void this.#timers.delete(id)
  }

  /** Forgets everything that `owner` waits for. */
  drop(owner: Owner): void {
    const kept = this.#turns.filter((turn) => turn.owner !== owner)
    this.#turns.splice(0, this.#turns.length, ...kept)
    for (const [id, timer] of this.#timers) if (timer.owner === owner) this.#timers.delete(id)
  }

  /** Runs code of a process: whatever it starts is watched from here on. */
  enter<T>(run: () => T): T {
    return inside.run(this, run)
  }

  /** Until nobody can go on without the time moving. */
  async settle(): Promise<void> {
    for (let steps = 0; await this.#stepNow(); steps += 1) {
      if (steps > STEPS_AT_ONCE_MAX) throw new Error(`no rest after ${steps} steps: ${this.#waiting()}`)
    }
  }

  /** Moves the time by `byMs`, with everything that falls due on the way. */
  async advance(byMs: number): Promise<void> {
    await this.advanceUntil(this.nowMs + byMs, () => false)
  }

  /** As `advance`, but stops as soon as `isEnough`. */
  async advanceUntil(untilMs: number, isEnough: () => boolean): Promise<boolean> {
    await this.settle()
    while (!isEnough()) {
      const due = this.#nextTimer(untilMs)
      if (due === null) {
        this.nowMs = Math.max(this.nowMs, untilMs)
        return isEnough()
      }
      const [id, timer] = due
      this.nowMs = Math.max(this.nowMs, timer.atMs)
      await this.#take(timer.owner, 'timer', null, timer.run, () => void this.#timers.delete(id))
      await this.settle()
    }
    return true
  }

  async #stepNow(): Promise<boolean> {
    await rested()
    const heads = new Map<string, Turn>()
    for (const turn of this.#turns)
      if (turn.owner.state === 'running' && !heads.has(turn.lane)) heads.set(turn.lane, turn)
    const next = this.chance.pick([...heads.values()])
    if (next === undefined) return false
    await this.#take(
      next.owner,
      next.label,
      next.job,
      next.go,
      () => void this.#turns.splice(this.#turns.indexOf(next), 1),
    )
    return true
  }

  async #take(owner: Owner, label: string, job: string | null, run: () => void, remove: () => void): Promise<void> {
    this.steps += 1
    this.#trace.update(`${this.nowMs} ${owner.name} ${label}\n`)
    this.beforeStep(owner, label, job)
    if (owner.state === 'running') {
      remove()
      this.enter(run)
    }
    await rested()
    const real = foundReal.get(this)
    if (real !== undefined) throw new Error(`virtual time would have to wait for something real: ${real}`)
    await this.afterStep()
  }

  /** The earliest timer that may fire by then: of each owner the first one, among owners by the seed. */
  #nextTimer(untilMs: number): readonly [id: number, timer: Timer] | null {
    const firsts = new Map<Owner, [number, Timer]>()
    for (const [id, timer] of this.#timers) {
      const first = firsts.get(timer.owner)
      if (timer.owner.state === 'running' && (first === undefined || timer.atMs < first[1].atMs))
        firsts.set(timer.owner, [id, timer])
    }
    const earliest = Math.min(...[...firsts.values()].map(([, { atMs }]) => Math.max(atMs, this.nowMs)))
    if (earliest > untilMs) return null
    return this.chance.pick([...firsts.values()].filter(([, { atMs }]) => atMs <= earliest)) ?? null
  }

  #waiting(): string {
    return this.#turns.map(({ lane, label }) => `${lane} ${label}`).join(', ')
  }
}

/** Everything that waits for nothing but promises has come to rest: the platform runs all of it before its next round. */
const rested = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const inside = new AsyncLocalStorage<Schedule>()
/** The job of a queue that asks for a turn. */
export const inJob = new AsyncLocalStorage<string>()
const foundReal = new WeakMap<Schedule, string>()
/** What is made of promises alone. */
const UNREAL: ReadonlySet<string> = new Set(['PROMISE', 'TickObject', 'Microtask', 'AsyncGenerator'])
createHook({
  init(_id, type) {
    const schedule = UNREAL.has(type) ? undefined : inside.getStore()
    if (schedule !== undefined && !foundReal.has(schedule)) foundReal.set(schedule, `${type}${new Error().stack ?? ''}`)
  },
}).enable()
