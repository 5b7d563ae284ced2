import { pino } from 'pino'
import type { Change } from '#domain'
import type { ControlCommands } from '#producer'
import type { BoundaryName } from '#runtime'
import type { ConnectionRef } from '#store'
import type { FakeBroker } from '../support/fake-broker.ts'
import { FakeAside } from '../support/fake-quarantine.ts'
import { FakeRecoveries } from '../support/fake-recoveries.ts'
import { FakeStore } from '../support/fake-store.ts'
import { Accounts } from './world/accounts.ts'
import type { ModelClient } from './world/client.ts'
import { Conduct } from './world/conduct.ts'
import { controlCommandsOf } from './world/halting.ts'
import { IdleTries } from './world/idle-tries.ts'
import type { Owner } from './world/lanes.ts'
import { modelLeases } from './world/leases.ts'
import type { Observer, RestOptions, WorldOptions } from './world/options.ts'
import type { Outside } from './world/outside.ts'
import { Plans, TakenSteps } from './world/plans.ts'
import { Process, UNWATCHED, type Watch, watchedBy } from './world/process.ts'
import { ModelQueue } from './world/queue.ts'
import { Relays } from './world/relays.ts'
import { Rest } from './world/rest.ts'
import { Safety } from './world/safety.ts'
import { Schedule } from './world/schedule.ts'
import { StoreFaults } from './world/store-faults.ts'
import { UserCommands } from './world/user-commands.ts'
import { startWorker, type WorkerRole } from './world/worker.ts'

const START_MS = Date.UTC(2024, 2, 15, 14, 0, 0)
/** The longest time from the end of the faults to quiescence. */
const QUIESCENCE_MS = 240_000

/**
 * A whole system in one test: production roles on fakes, a virtual clock, and a seed that orders
 * every await of a port.
 *
 *   const world = await openWorld({ seed: 1 })        // user u1, account broker_1, one worker
 *   world.submit({ tradeId: 't1', quantity: '100' })  // default: market buy of 100 AAPL
 *   await world.settle()                              // runs all steps that need no time
 *   world.fill('t1', '180.5', '40')                   // the broker executes
 *   world.crashAt('update.received')                  // a boundary, or a call such as store.commit
 *   world.faults.plan('reply_lost')                   // of the store
 *   world.clientOf('u1').cut(500)                     // with `clients: true`; checks C5
 *   await world.quiesce()                             // faults end, C1 to C7 are checked
 *   expect(world.told('t1')).toEqual(['trade.submitted', 'trade.filled'])
 *
 * S rules are checked after every step that writes or reaches the broker. A finding throws an error
 * with the seed and the last steps. Labels of steps:
 * - `ANY_STEP`, or the name of a boundary
 * - `port.method` before a call runs, `port.method answered` before its caller gets the answer
 *   (ports: store, broker, leases, connections, vault)
 * - `deliver <job>`, `acknowledge <job>`
 *
 * The world needs no closing.
 */
export async function openWorld(options: WorldOptions): Promise<World> {
  const world = new World(options)
  for (let count = 0; count < (options.workers ?? 1); count += 1) world.startWorker()
  if (options.isAdopted ?? true) await world.advance(2_000)
  return world
}

export { ANY_STEP } from './world/plans.ts'
export type { Observer, World, WorldOptions }

class World extends UserCommands {
  readonly schedule: Schedule
  readonly queue: ModelQueue
  readonly faults = new StoreFaults()
  readonly workers: Process[] = []
  readonly changes: Change[] = []
  /** Lines of the log at level `warn` and above. */
  readonly warnings: string[] = []
  readonly #taken = new TakenSteps()
  readonly store: FakeStore
  readonly relay: Relays
  readonly quarantine = new FakeAside(() => this.schedule.nowMs)
  readonly recoveries = new FakeRecoveries(() => this.schedule.nowMs)
  readonly #seed: number
  readonly #startMs: number
  readonly #roles: readonly WorkerRole[]
  /** The process outside of every worker: it runs the broker and restarts workers; never dies. */
  readonly #self: Process
  /** The commands of the trade API to halt and resume. Its process never dies. */
  protected readonly controls: ControlCommands
  protected readonly conduct: Conduct
  readonly #safety: Safety
  readonly #rest: Rest
  readonly #observer: Observer | null
  readonly #watch: Watch
  /** The connections of the users, and the keys at the broker. */
  readonly accounts: Accounts
  readonly #outside: Outside
  readonly #onReturn = new Set<() => void>()
  readonly #plans = new Plans()
  /** The number of workers that a poison job has killed. */
  deaths = 0
  #isDirty = false
  #started = 0

  constructor({
    seed,
    accounts = [{ userId: 'u1', connectionId: 'broker_1' }],
    ...options
  }: WorldOptions) {
    super()
    this.#seed = seed
    this.#startMs = options.startMs ?? START_MS
    this.#roles = options.roles ?? ['orders', 'streams', 'connections']
    this.schedule = new Schedule(seed, this.#startMs)
    this.#self = new Process('world', this.schedule, UNWATCHED)
    this.queue = new ModelQueue(this.schedule, this.#self)
    this.store = new FakeStore(() => this.schedule.nowMs)
    const users =
      (options.clients ?? false) ? [...new Set(accounts.map(({ userId }) => userId))] : []
    this.relay = new Relays(this.schedule, this.store, this.#self, users, options.relayDefect)
    this.controls = controlCommandsOf(new Process('api', this.schedule, UNWATCHED), this.store)
    this.accounts = new Accounts(this.#self.clock, this.store.controls, this.queue)
    const isStaffed = this.#roles.includes('streams') && this.#roles.includes('orders')
    const { accounts: all, store, faults, warnings } = this
    this.conduct = new Conduct(
      { store, accounts: all, faults, nowMs: () => this.schedule.nowMs },
      isStaffed,
    )
    const told = (): string => this.queue.ids().join()
    this.#safety = new Safety({
      accounts: all,
      store,
      positionMax: this.positionMaxima,
      warnings,
      told,
    })
    this.#rest = new Rest({ store, relay: this.relay, accounts: all, queue: this.queue, warnings })
    this.#observer = options.observer ?? null
    this.#watch = this.#observer === null ? this.conduct : watchedBy(this.conduct, this.#observer)
    for (const ref of accounts) this.accounts.link(ref)
    this.#outside = this.#makeOutside(accounts, options)
    this.schedule.beforeStep = (...step) => this.#beforeStep(...step)
    this.schedule.afterStep = () => this.#afterStep()
  }

  /** The broker of the first account. */
  get broker(): FakeBroker {
    return this.brokerOf(this.firstRef())
  }

  /** The first client of a user; default: of the user of the first account. */
  clientOf(userId = this.firstRef().userId): ModelClient {
    return this.relay.clientsOf(userId)[0]!
  }

  brokerOf(ref: ConnectionRef): FakeBroker {
    return this.accounts.brokerOf(ref)
  }

  /** How often each label of a step was reached: a fault at a label never reached tests nothing. */
  get steps(): ReadonlyMap<string, number> {
    return this.#taken.counts
  }

  get nowMs(): number {
    return this.schedule.nowMs
  }

  // Time
  // -----------------------------------------------------------------------------------------------

  async settle(): Promise<void> {
    await this.schedule.settle()
    await this.check()
  }

  async advance(byMs: number): Promise<void> {
    await this.schedule.advance(byMs)
    await this.check()
  }

  /** Advances the time until `isEnough` holds. @throws {Error} it does not hold after `withinMs` */
  async until(
    isEnough: () => boolean,
    withinMs: number,
    what = 'what was waited for',
  ): Promise<void> {
    if (!(await this.schedule.advanceUntil(this.nowMs + withinMs, isEnough))) {
      throw new Error(
        `seed ${this.#seed}: ${what} did not happen within ${withinMs} ms\n${this.#recent()}`,
      )
    }
  }

  /**
   * Ends every fault and advances the time until the C rules hold, at most by `withinMs`. Then
   * advances it by `stayMs`, in which no further event may be logged (C7).
   * @param lookMs how often the C rules are checked; default: once, after `withinMs`
   */
  async quiesce({
    withinMs = QUIESCENCE_MS,
    stayMs = QUIESCENCE_MS,
    lookMs,
  }: RestOptions = {}): Promise<void> {
    this.#plans.clear()
    this.faults.clear()
    this.relay.calm()
    this.queue.lateMs = 0
    for (const worker of this.workers) worker.thaw()
    if (this.workers.length === 0) this.startWorker()
    const untilMs = this.nowMs + withinMs
    do await this.advance(Math.min(lookMs ?? withinMs, untilMs - this.nowMs))
    while (
      this.nowMs < untilMs &&
      (this.#rest.isWaiting() || (await this.#rest.findUnsettled()).length > 0)
    )
    this.#refuse(await this.#rest.findUnsettled())
    const lengths = this.#rest.lengths()
    await this.advance(stayMs)
    this.#refuse(this.#rest.newsSince(lengths, 'C7 came after quiescence'))
  }

  /**
   * At quiescence: delivers every job again, and lets the stream report the state of every order
   * again. Neither may change anything (S15).
   */
  async repeatAll(stayMs = QUIESCENCE_MS): Promise<void> {
    // A lost record may have no counterpart at the broker, for example a denial. After such a loss
    // the repeat is correctly handled as the first delivery.
    if (this.store.losses > 0) return
    const lengths = this.#rest.lengths()
    for (const { id } of this.#rest.repeatable()) this.queue.redeliver(id)
    for (const { broker } of this.accounts.all)
      for (const order of broker.orders.values())
        broker.streams.send({ order, at: order.updatedAt, execution: null, bust: null })
    await this.advance(stayMs)
    this.#refuse(this.#rest.newsSince(lengths, 'S15 came of repeats'))
  }

  // Executions at the broker
  // -----------------------------------------------------------------------------------------------

  /** Executes `quantity` of a trade, or all that is left. */
  fill(
    tradeId: string,
    price: string,
    quantity?: string,
    ref: ConnectionRef = this.firstRef(),
  ): void {
    this.execute(ref, this.clientOrderId(tradeId, ref), price, quantity)
  }

  /** Executes any order of an account, named by its broker order id or client order id. */
  execute(ref: ConnectionRef, id: string, price: string, quantity?: string): void {
    this.#isDirty = true
    this.brokerOf(ref).fill(id, price, quantity)
  }

  // Faults
  // -----------------------------------------------------------------------------------------------

  /** The store was unreachable for a moment: workers get notified that it is back. */
  storeReturns(): void {
    for (const tell of this.#onReturn) tell()
  }

  /**
   * The store dies before it has synced its last commits, and comes back without them. Every worker
   * notices the loss after `noticedAfterMs`, because its link to the store breaks.
   */
  loseLast(count: number, noticedAfterMs: number): void {
    this.store.loseLast(count)
    this.later(noticedAfterMs, () => this.storeReturns())
  }

  /** Calls `run` after `afterMs`, also if workers die in between. */
  later(afterMs: number, run: () => void): void {
    this.schedule.after(this.#self, afterMs, run)
  }

  startWorker(): Process {
    const process = new Process(`w${(this.#started += 1)}`, this.schedule, this.#watch)
    this.workers.push(process)
    process.onDeath(() => void this.workers.splice(this.workers.indexOf(process), 1))
    startWorker(process, this.#outside, this.#roles)
    return process
  }

  /** Kills a worker as `kill -9` does, and starts another one after `afterMs`. */
  restart(process: Process, afterMs = 0): void {
    process.kill()
    if (afterMs === 0) this.startWorker()
    else this.schedule.after(this.#self, afterMs, () => void this.startWorker())
  }

  /** Calls `run` before a process takes a step of this label, once, after `skip` such steps. */
  at(label: BoundaryName | (string & {}), run: (process: Process) => void, skip = 0): void {
    this.#plans.add(label, run, skip)
  }

  /** Kills the process that is about to take this step, and starts another one from the store. */
  crashAt(label: BoundaryName | (string & {}), skip = 0, afterMs = 0): void {
    this.at(label, (process) => this.restart(process, afterMs), skip)
  }

  /** Every time a worker is about to take this step for one of these jobs, it is restarted. */
  poison(label: BoundaryName | (string & {}), jobs: readonly string[]): void {
    this.#plans.poison = { label, jobs }
  }

  /** Freezes the process that is about to take this step, for `forMs`. */
  freezeAt(label: BoundaryName | (string & {}), forMs: number, skip = 0): void {
    this.at(
      label,
      (process) => {
        process.freeze()
        this.schedule.after(this.#self, forMs, () => process.thaw())
      },
      skip,
    )
  }

  /** Checks the S rules now. @throws {Error} a rule is broken */
  async check(): Promise<void> {
    this.#refuse(await this.#safety.findAll())
  }

  #refuse(findings: readonly string[]): void {
    if (findings.length > 0)
      throw new Error(`seed ${this.#seed}:\n${findings.join('\n')}\n${this.#recent()}`)
  }

  #recent(): string {
    return `the last steps of ${this.schedule.steps}:\n${this.#taken.last()}`
  }

  #beforeStep(owner: Owner, label: string, job: string | null): void {
    this.#observer?.step(owner.name, label)
    this.#taken.note(this.nowMs - this.#startMs, owner.name, label)
    if (!(owner instanceof Process) || !this.workers.includes(owner)) return
    if (this.#plans.isPoison(label, job)) {
      this.deaths += 1
      return this.restart(owner)
    }
    this.#plans.due(label)?.(owner)
  }

  async #afterStep(): Promise<void> {
    this.#observer?.afterStep()
    this.#refuse(await this.conduct.afterStep(this.workers))
    this.#refuse(this.relay.takeFindings())
    const hasActed = this.conduct.hasActed()
    if (!hasActed && !this.#isDirty) return
    this.#isDirty = false
    this.#refuse(await this.#safety.findInChanged())
  }

  protected firstRef(): ConnectionRef {
    return this.refs()[0]!
  }

  protected refs(): ConnectionRef[] {
    return this.accounts.all.map(({ ref }) => ref)
  }

  #makeOutside(refs: readonly ConnectionRef[], options: Partial<WorldOptions>): Outside {
    const { schedule, queue, store } = this
    const { planted, overExit = 'alarm', isWhole = false, trustsMachine = false } = options
    return {
      planted,
      overExit,
      isWhole,
      trustsMachine,
      onStream: (...word) => this.conduct.streamSpoke(...word),
      schedule,
      queue,
      store,
      refs,
      leases: modelLeases(schedule, this.#self, store),
      idleTries: new IdleTries(schedule, store),
      recoveries: this.recoveries,
      quarantine: this.quarantine,
      connections: store.controls.connections,
      links: store.controls.links,
      controls: store.controls,
      vault: this.accounts.vault,
      reach: (process, connection, credentials) =>
        this.accounts.reach(credentials, (method, args) =>
          this.conduct.links.calling(process, connection, method, args),
        ),
      log: pino(
        { level: 'warn', timestamp: false },
        { write: (line: string) => void this.warnings.push(line) },
      ),
      onReturn: this.#onReturn,
      onCommitted: (userId, changes) => {
        this.changes.push(...changes)
        this.conduct.committed(userId, changes)
      },
    }
  }
}
