import type { Boundaries, CancelTimer, Clock, Randomness } from '#runtime'
import type { Owner } from './lanes.ts'
import type { Schedule } from './schedule.ts'

/**
 * What a fault does with one call of a port: passes it on, or not, once or twice, and answers what
 * it likes.
 */
export type Fault = (call: () => Promise<unknown>) => Promise<unknown>

/**
 * One call of a port. `account`: whose requests it counts among, `<user> <connection>`, where it is
 * one to a broker.
 */
export type PortCall = Readonly<{ label: string; account: string | null; args: readonly unknown[] }>

/** What a process heard of its call. */
export type Heard =
  Readonly<{ isDone: true; value: unknown }> | Readonly<{ isDone: false; error: unknown }>

/** Sees every call of a port, three times. */
export interface Watch {
  /** The process decides to make it: the step goes on with the same knowledge. */
  asked(process: Process, call: PortCall): void
  /** Just before it runs; what is answered runs instead of the call. */
  calling(process: Process, call: PortCall): Fault | null
  /** Its outcome reaches the process. A call whose process died meanwhile is never heard of. */
  heard(process: Process, call: PortCall, outcome: Heard): void
}

/** Of a process whose calls nobody judges. */
export const UNWATCHED: Watch = { asked() {}, calling: () => null, heard() {} }

/** Both see every call; only the first one may answer it. */
export const watchedBy = (judge: Watch, observer: Watch): Watch => ({
  asked(...call) {
    judge.asked(...call)
    observer.asked(...call)
  },
  calling(...call) {
    observer.calling(...call)
    return judge.calling(...call)
  },
  heard(...call) {
    judge.heard(...call)
    observer.heard(...call)
  },
})

/** How calls of one method go. `label`, `answered`: of the step out, and of the step back. */
type Way = Readonly<{
  name: string
  method: string
  inOrder: boolean
  account: string | null
  label: string
  answered: string
}>

/**
 * One process: a clock, chance, and doors to the ports, all of which end with it.
 *
 * running <--freeze, thaw--> frozen (nothing goes on, time passes) running, frozen --kill--> dead
 * (nothing ever goes on)
 *
 * A killed process is not told: what it awaits never settles, so no `catch` and no `finally` of it
 * runs.
 */
export class Process implements Owner {
  readonly name: string
  readonly clock: Clock
  readonly random: Randomness
  readonly boundaries: Boundaries
  /** How far this machine's wall clock is off. */
  wallOffsetMs = 0
  /** What is to be done when it jumps. */
  readonly onJump = new Set<() => void>()
  #state: Owner['state'] = 'running'
  readonly #schedule: Schedule
  readonly #watch: Watch
  readonly #atDeath: (() => void)[] = []
  readonly #atThaw: (() => void)[] = []
  #calls = 0
  #ids = 0

  constructor(name: string, schedule: Schedule, watch: Watch) {
    this.name = name
    this.#schedule = schedule
    this.#watch = watch
    this.clock = this.#makeClock()
    this.random = {
      id: (byteCount) => `${name}-${(this.#ids += 1)}-${byteCount}`,
      fraction: () => schedule.chance.fraction(),
    }
    this.boundaries = { reached: (point) => schedule.turn(this, `at ${(this.#calls += 1)}`, point) }
  }

  get state(): Owner['state'] {
    return this.#state
  }

  kill(): void {
    if (this.#state === 'dead') return
    this.#state = 'dead'
    this.#schedule.drop(this)
    for (const run of this.#atDeath) run()
  }

  freeze(): void {
    if (this.#state === 'running') this.#state = 'frozen'
  }

  thaw(): void {
    if (this.#state !== 'frozen') return
    this.#state = 'running'
    for (const run of this.#atThaw) run()
  }

  /** Runs when the process goes on after it stood still: what others have waiting for it. */
  onThaw(run: () => void): void {
    this.#atThaw.push(run)
  }

  /** The wall clock of its machine jumps, forward or back. */
  jumpClock(byMs: number): void {
    this.wallOffsetMs += byMs
    for (const run of this.onJump) run()
  }

  /**
   * Runs when the process dies: what the machine or the network does then, never the process
   * itself.
   */
  onDeath(run: () => void): void {
    this.#atDeath.push(run)
  }

  /** Calls `run` as a step of this process, in its turn. */
  async enter(lane: string, label: string, run: () => void): Promise<void> {
    await this.#schedule.turn(this, lane, label)
    this.#schedule.enter(run)
  }

  /**
   * A port as this process reaches it: every asynchronous call waits for its turn to go out, and
   * for another to come back.
   * @param inOrder calls and answers keep their order, as on one connection
   * @param account whose requests these are, where they are counted
   */
  door<Port extends object>(
    name: string,
    port: Port,
    inOrder: boolean,
    account: string | null = null,
  ): Port {
    const methods = new Map<string, (...args: unknown[]) => Promise<unknown>>()
    const methodOf = (method: string) => {
      const known = methods.get(method)
      if (known !== undefined) return known
      const label = `${name}.${method}`
      const way = { name, method, inOrder, account, label, answered: `${label} answered` }
      const call = (...args: unknown[]): Promise<unknown> => this.#call(way, args, port)
      methods.set(method, call)
      return call
    }
    return new Proxy({} as Port, {
      get: (_target, method) =>
        typeof method === 'string' && method !== 'then' ? methodOf(method) : undefined,
    })
  }

  async #call(way: Way, args: unknown[], port: object): Promise<unknown> {
    const { name, method, inOrder, account, label, answered } = way
    const call: PortCall = { label, account, args }
    this.#watch.asked(this, call)
    const lane = inOrder ? name : `call ${(this.#calls += 1)}`
    await this.#schedule.turn(this, lane, label)
    const target = port as Record<string, (...args: unknown[]) => Promise<unknown>>
    const run = async (): Promise<unknown> => target[method]!(...args)
    const fault = this.#watch.calling(this, call)
    const outcome = await (fault === null ? run() : fault(run)).then(
      (value): Heard => ({ isDone: true, value }),
      (error: unknown): Heard => ({ isDone: false, error }),
    )
    await this.#schedule.turn(this, lane, answered)
    this.#watch.heard(this, call, outcome)
    if (outcome.isDone) return outcome.value
    throw outcome.error
  }

  #makeClock(): Clock {
    const schedule = this.#schedule
    const after = (ms: number, run: () => void) => this.#schedule.after(this, ms, run)
    return {
      now: () => schedule.nowMs + this.wallOffsetMs,
      monotonicMs: () => schedule.nowMs,
      after,
      sleep: (delayMs, signal) =>
        new Promise((resolve, reject) => {
          const cancel = after(delayMs, resolve)
          signal?.addEventListener('abort', () => {
            cancel()
            reject(signal.reason as Error)
          })
        }),
      every(intervalMs, run) {
        let cancel: CancelTimer = () => {}
        const plan = (): void => {
          cancel = after(intervalMs, () => {
            plan()
            run()
          })
        }
        plan()
        return () => cancel()
      },
    }
  }
}
