import type { QueueName } from '#contract'
import type { CancelTimer } from '#runtime'
import type { Handler } from '../../../workers/queue/runner.ts'
import type { JobResult, Run } from '../../../workers/queue/job.ts'
import { LockLostError } from '../../../workers/queue/job.ts'
import type { Owner } from './lanes.ts'
import type { Process } from './process.ts'
import { inJob, type Schedule } from './schedule.ts'

type Job = {
  readonly addedMs: number
  readonly id: string
  readonly queue: QueueName
  readonly name: string
  readonly data: unknown
  state: 'waiting' | 'active' | 'completed' | 'failed'
  dueMs: number
  /** Runs that assume to have the lock of the job; two after a redelivery. */
  holders: Set<Holder>
  /** Removed as soon as it has run. */
  readonly isPassing: boolean
  completedMs: number
  failures: number
  /** How often it was delivered. */
  starts: number
  /** How often it has put itself back. */
  putBack: number
  stalls: number
  why: string
}

/** A job that is done. */
export type CompletedJob = Readonly<Pick<Job, 'id' | 'name' | 'data' | 'addedMs'>>

/** A job that is not done. `why`: why it waits, or failed last. */
export type OpenJob = Readonly<Pick<Job, 'id' | 'queue' | 'data' | 'state' | 'why'>>

/** One run of a job. */
type Holder = Readonly<{ process: Process }>

/**
 * The settings of the workers: the duration of a lock that its holder renews, and how often a job
 * may stall or fail.
 */
const LOCK_MS = 15_000
const STALLS_MAX = 10
const JOBS_AT_ONCE_MAX = 50
const ATTEMPTS_MAX = 25
const BACKOFF_MS = 200
/** Pause of a job that has put itself back more than `soonTimes`, if it asks for less. */
const PUT_BACK_MS = 5_000
/** The longest pause of the model, so that a run needs no virtual weeks. */
const BACKOFF_MS_MAX = 60_000

/**
 * A queue with the guarantee of BullMQ: every job is delivered at least once. A job may be
 * delivered again at any time, to two workers at once, hours late, or given up for good, as a
 * scenario asks.
 */
export class ModelQueue {
  readonly #schedule: Schedule
  readonly #world: Owner
  readonly #jobs = new Map<string, Job>()
  readonly #workers: { process: Process; handlers: Partial<Record<QueueName, Handler>> }[] = []
  /** Repeated jobs, by id: how the next one is planned. */
  readonly #repeats = new Map<string, Readonly<{ cancel: CancelTimer }>>()
  #repeated = 0
  /** Jobs that are added from now on wait this long first. */
  lateMs = 0
  /** How often a job that puts itself back is delivered as soon as it asks for. */
  soonTimes = Infinity
  /**
   * A completed job is known for this long; the same id is a new job then. Default: as the producer
   * has it.
   */
  keptMs = 86_400_000

  constructor(schedule: Schedule, world: Owner) {
    this.#schedule = schedule
    this.#world = world
  }

  work(process: Process, handlers: Partial<Record<QueueName, Handler>>): void {
    const worker = { process, handlers }
    this.#workers.push(worker)
    process.onDeath(() => void this.#workers.splice(this.#workers.indexOf(worker), 1))
    process.onThaw(() => this.#offerWaiting())
    for (const job of this.#jobs.values()) this.#offer(job)
  }

  #offerWaiting(): void {
    for (const job of this.#jobs.values()) if (job.state === 'waiting') this.#offer(job)
  }

  /** As `add`, for a job that is gone as soon as it has run. */
  addPassing(queue: QueueName, name: string, data: unknown, id: string): void {
    if (this.stateOf(id) === 'failed') this.forget(id)
    this.#add({ queue, name, data, id, isPassing: true })
  }

  /** The same id again changes nothing while the job is known. */
  add(queue: QueueName, name: string, data: unknown, id: string): string {
    this.#add({ queue, name, data, id, isPassing: false })
    return id
  }

  /** Adds a job again and again, first after `everyMs()`; the same id again changes nothing. */
  repeat(id: string, everyMs: () => number, queue: QueueName, name: string, data: unknown): void {
    if (this.#repeats.has(id)) return
    const plan = (): void => {
      const cancel = this.#schedule.after(this.#world, everyMs(), () => {
        this.addPassing(queue, name, data, `${id} ${(this.#repeated += 1)}`)
        plan()
      })
      this.#repeats.set(id, { cancel })
    }
    plan()
  }

  endRepeat(id: string): void {
    this.#repeats.get(id)?.cancel()
    this.#repeats.delete(id)
  }

  #add({
    queue,
    name,
    data,
    id,
    isPassing,
  }: Pick<Job, 'queue' | 'name' | 'data' | 'id' | 'isPassing'>): void {
    if (this.stateOf(id) !== null) return
    const dueMs = this.#schedule.nowMs + this.lateMs
    const job: Job = {
      addedMs: this.#schedule.nowMs,
      id,
      queue,
      name,
      data: JSON.parse(JSON.stringify(data)),
      dueMs,
      isPassing,
      completedMs: 0,
      state: 'waiting',
      holders: new Set(),
      failures: 0,
      starts: 0,
      putBack: 0,
      stalls: 0,
      why: '',
    }
    this.#jobs.set(id, job)
    this.#plan(job)
  }

  /** Delivers a job again in any state, to another worker if there is one. */
  redeliver(id: string): void {
    const job = this.#known(id)
    job.state = 'waiting'
    job.dueMs = this.#schedule.nowMs
    this.#offer(job)
  }

  /**
   * A running job loses its lock: its run continues without the lock, and the job is delivered
   * again, possibly to the same worker.
   */
  loseLock(id: string): void {
    const job = this.#known(id)
    if (job.state !== 'active') return
    job.holders.clear()
    this.#stalled(job)
  }

  /** All running jobs lose their locks. */
  loseLocks(): void {
    for (const { id, state } of this.open()) if (state === 'active') this.loseLock(id)
  }

  /** Stalled or tried too often: it is never delivered again. */
  giveUp(id: string): void {
    this.#known(id).state = 'failed'
  }

  /** Removed, as completed jobs are: the id is free again. */
  forget(id: string): void {
    this.#jobs.delete(id)
  }

  /** The queue loses all jobs. */
  wipe(): void {
    this.#jobs.clear()
    for (const id of [...this.#repeats.keys()]) this.endRepeat(id)
  }

  ids(): string[] {
    return [...this.#jobs.keys()].filter((id) => this.stateOf(id) !== null)
  }

  completed(): CompletedJob[] {
    return this.ids().flatMap((id) => {
      const job = this.#known(id)
      return job.state === 'completed' ? [job] : []
    })
  }

  /** Why the job failed or waits. */
  whyOf(id: string): string {
    return this.#known(id).why
  }

  stateOf(id: string): Job['state'] | null {
    const job = this.#jobs.get(id)
    if (job?.state !== 'completed' || this.#schedule.nowMs < job.completedMs + this.keptMs)
      return job?.state ?? null
    this.forget(id)
    return null
  }

  /** Jobs that are not done. */
  open(): OpenJob[] {
    return [...this.#jobs.values()].filter(({ state }) => state === 'waiting' || state === 'active')
  }

  #known(id: string): Job {
    const job = this.#jobs.get(id)
    if (job === undefined) throw new Error(`no job ${id}`)
    return job
  }

  #plan(job: Job): void {
    const waitMs = job.dueMs - this.#schedule.nowMs
    if (waitMs <= 0) this.#offer(job)
    else this.#schedule.after(this.#world, waitMs, () => this.#offer(job))
  }

  #offer(job: Job): void {
    void this.#schedule
      .turn(this.#world, `job ${job.id}`, `deliver ${job.id}`)
      .then(() => this.#deliver(job))
  }

  #deliver(job: Job): void {
    if (job.state !== 'waiting' || job.dueMs > this.#schedule.nowMs) return
    const able = this.#workers.filter(({ process, handlers }) => {
      const isFree = this.#heldBy(process).length < JOBS_AT_ONCE_MAX
      return process.state === 'running' && handlers[job.queue] !== undefined && isFree
    })
    const holders = new Set([...job.holders].map(({ process }) => process))
    const fresh = able.filter(({ process }) => !holders.has(process))
    const worker = this.#schedule.chance.pick(fresh.length > 0 ? fresh : able)
    const handle = worker?.handlers[job.queue]
    if (worker === undefined || handle === undefined) return
    const holder = { process: worker.process }
    job.state = 'active'
    job.starts += 1
    job.holders.add(holder)
    this.#keepLock(job, holder)
    void this.#run(job, holder, handle)
  }

  async #run(job: Job, holder: Holder, handle: Handler): Promise<void> {
    const { process } = holder
    let result: JobResult | Error
    const run: Run = {
      queuedAtMs: job.addedMs,
      losses: job.stalls,
      isRepeat: job.starts > 1,
      assertHeld() {
        if (!job.holders.has(holder)) throw new LockLostError()
      },
    }
    try {
      result = await inJob.run(job.id, () =>
        this.#schedule.enter(() => handle(job.name, job.data, run)),
      )
    } catch (error) {
      result = error instanceof Error ? error : new Error(String(error))
    }
    await this.#schedule.turn(process, `job ${job.id}`, `acknowledge ${job.id}`)
    const wasFull = this.#heldBy(process).length >= JOBS_AT_ONCE_MAX
    const isHolder = job.holders.delete(holder)
    if (wasFull) this.#offerWaiting()
    if (!isHolder || job.state !== 'active') return // lost its lock: another run has the job
    if (result instanceof Error) this.#failed(job, result)
    else if (result.kind === 'done') this.#completed(job)
    else if (result.delayMs === null) this.#failed(job, new Error(result.why))
    else this.#putBack(job, result.delayMs, result.why)
  }

  /**
   * A queue gives no guarantee about time: a job that was put back often is delivered late, so that
   * a wait of minutes does not take thousands of steps.
   */
  #putBack(job: Job, delayMs: number, why: string): void {
    job.putBack += 1
    this.#again(job, job.putBack > this.soonTimes ? Math.max(delayMs, PUT_BACK_MS) : delayMs, why)
  }

  #heldBy(process: Process): Job[] {
    return [...this.#jobs.values()].filter(({ holders }) =>
      [...holders].some((one) => one.process === process),
    )
  }

  #completed(job: Job): void {
    Object.assign(job, { state: 'completed', completedMs: this.#schedule.nowMs })
    if (job.isPassing) this.forget(job.id)
  }

  #failed(job: Job, error: Error): void {
    job.failures += 1
    job.why = error.message
    if (error.name === 'UnrecoverableError' || job.failures >= ATTEMPTS_MAX) job.state = 'failed'
    else
      this.#again(
        job,
        Math.min(BACKOFF_MS_MAX, BACKOFF_MS * 2 ** (job.failures - 1)),
        error.message,
      )
  }

  #again(job: Job, delayMs: number, why: string): void {
    Object.assign(job, { state: 'waiting', dueMs: this.#schedule.nowMs + delayMs, why })
    this.#plan(job)
  }

  /** A dead or frozen holder cannot renew its lock: the job is then delivered again. */
  #keepLock(job: Job, holder: Holder): void {
    this.#schedule.after(this.#world, LOCK_MS, () => {
      if (!job.holders.has(holder) || job.state !== 'active') return
      if (holder.process.state === 'running') return this.#keepLock(job, holder)
      job.holders.delete(holder)
      this.#stalled(job)
    })
  }

  #stalled(job: Job): void {
    job.stalls += 1
    job.why = 'stalled'
    if (job.stalls > STALLS_MAX) job.state = 'failed'
    else this.#again(job, 0, 'stalled')
  }
}
