import type { Boundaries, CancelTimer, Clock, Randomness } from '#runtime'
import type { Owner } from './lanes.ts'
import type { Schedule } from './schedule.ts'

/** A fault of one call of a port: makes the call never, once or twice, and gives any answer. */
export type Fault = (call: () => Promise<unknown>) => Promise<unknown>

/** One call of a port. `account`: `<user> <connection>` if it is a request to a broker. */
export type PortCall = Readonly<{ label: string; account: string | null; args: readonly unknown[] }>

/** The outcome of a call, as its process gets it. */
export type Heard =
  Readonly<{ isDone: true; value: unknown }> | Readonly<{ isDone: false; error: unknown }>

/** Watches every call of a port at three moments. */
export interface Watch {
  /** The process decides to make the call, with its knowledge of this step. */
  asked(process: Process, call: PortCall): void
  /** Just before the call runs. A returned fault runs instead of the call. */
  calling(process: Process, call: PortCall): Fault | null
  /** The outcome reaches the process; never if the process died during the call. */
  heard(process: Process, call: PortCall, outcome: Heard): void
}

/** The watch of a process whose calls are not checked. */
export const UNWATCHED: Watch = { asked() {}, calling: () => null, heard() {} }

/** Both watch every call; only the first one may return a fault. */
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
 * A killed process gets no answer: its pending promises never settle, so none of its `catch` and
 * `finally` blocks runs.
 */
export class Process implements Owner {
  readonly name: string
  readonly clock: Clock
  readonly random: Randomness
  readonly boundaries: Boundaries
  /** The error of the wall clock of this machine. */
  wallOffsetMs = 0
  /** Callbacks for a jump of the wall clock. */
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

  /** Registers a callback of another part for the moment when the process continues. */
  onThaw(run: () => void): void {
    this.#atThaw.push(run)
  }

  /** The wall clock of its machine jumps, forward or back. */
  jumpClock(byMs: number): void {
    this.wallOffsetMs += byMs
    for (const run of this.onJump) run()
  }

  /** Registers a callback of the machine or the network for the death of the process. */
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
