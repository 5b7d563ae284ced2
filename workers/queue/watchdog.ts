import type { Worker } from 'bullmq'
import type { Redis } from 'ioredis'
import type { QueueName } from '#contract'
import { type Handler, JOBS_AT_ONCE_MAX, type QueueDeps, startQueueWorker } from './runner.ts'

/**
 * Keeps a queue served. A BullMQ worker whose blocking connection never came back reports that it
 * runs, and takes no jobs (RDQ-08): so the watchdog judges only whether jobs move.
 *
 *   moving --the same job is the oldest that waits, a place is free, and none was taken,
 *     `LOOKS_MAX` looks in a row--> rebuilt
 *   rebuilt --a job that came after all others was taken--> moving
 *   rebuilt --the same again--> given up: the process has to end, and another one to take its place
 *
 * A new worker takes the waiting jobs without waiting for a signal; only the next job shows that
 * the worker can be woken.
 * Invariant:
 * - Jobs in hand go on in the worker that took them.
 * - The locks of jobs in hand are renewed until the jobs are done.
 */
export type QueueWatchdogDeps = QueueDeps &
  Readonly<{
    /**
     * A connection of the watchdog's own, which fails rather than waits. If the worker's connection
     * is silent, a look through that connection would get no answer.
     */
    watch: Redis
    queueMetrics: QueueMetrics
    /** Default: `LOOK_EVERY_MS`. */
    lookEveryMs?: number
  }>

/** Called with the state of a queue. */
export type QueueMetrics = Readonly<{
  stuck(queue: QueueName, isStuck: boolean): void
  rebuilt(queue: QueueName): void
  /**
   * A paused queue gives no jobs out: cancels, for example, do not leave. Called at start, and on
   * each change.
   */
  paused(queue: QueueName, isPaused: boolean): void
  /** A rebuilt worker takes no jobs either: end the process. */
  givenUp(queue: QueueName): void
}>

const LOOK_EVERY_MS = 3_000
/**
 * The limit counts looks, not time, so that a process that was stopped for a while does not blame
 * its worker. All looks together take longer than the 10 s for which BullMQ waits.
 */
const LOOKS_MAX = 5
/** The time that a worker without jobs may take to close. */
const CLOSE_MS_MAX = 2_000
/** BullMQ sorts delayed jobs by their due time in ms, multiplied by this. */
const DELAYED_SCORE = 0x1000

export class QueueWorker implements AsyncDisposable {
  readonly #queue: QueueName
  readonly #handle: Handler
  readonly #deps: QueueWatchdogDeps
  readonly #stop: () => void
  readonly #closing = new Set<Promise<void>>()
  #worker: Worker
  #inHand = 0
  #taken = 0
  #isLooking = false
  #isPaused = false
  /** The number of jobs taken when the worker was found stuck; `null`: the worker is not stuck. */
  #stuckAt: number | null = null
  /**
   * Of a rebuilt worker: the number of jobs taken when no job waited any more; `null`: jobs still
   * wait.
   */
  #rebuilt: { takenAtRest: number | null } | null = null
  /**
   * The oldest waiting job, the number of jobs taken when that job was first found, and the number
   * of looks that found it.
   */
  #oldest: { id: string; taken: number; looks: number } | null = null

  constructor(queue: QueueName, handle: Handler, deps: QueueWatchdogDeps) {
    this.#queue = queue
    this.#deps = deps
    this.#handle = async (name, data, run) => {
      this.#taken += 1
      this.#inHand += 1
      try {
        return await handle(name, data, run)
      } finally {
        this.#inHand -= 1
      }
    }
    this.#worker = this.#start()
    deps.queueMetrics.paused(queue, false)
    this.#stop = deps.clock.every(deps.lookEveryMs ?? LOOK_EVERY_MS, () => void this.#lookOnce())
  }

  /** The reason why this process does not serve the queue now; `undefined`: it does. */
  get stuckBecause(): string | undefined {
    return this.#stuckAt !== null
      ? `jobs wait in ${this.#queue}, and this worker takes none`
      : undefined
  }

  /** A state of the queue that operators have to know, but that is no fault of this process. */
  get remark(): string | undefined {
    return this.#isPaused
      ? `paused: the queue ${this.#queue} gives no jobs out; resume it on the dashboard`
      : undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop()
    this.#closing.add(this.#close(this.#worker))
    await Promise.all(this.#closing)
  }

  #start(): Worker {
    return startQueueWorker(this.#queue, this.#handle, this.#deps)
  }

  async #lookOnce(): Promise<void> {
    if (this.#isLooking) return // Redis is slow or away: `/readyz` reports its connections by itself
    this.#isLooking = true
    try {
      this.#look(await this.#readOldest())
    } catch (error) {
      this.#deps.log.warn({ queue: this.#queue, error }, 'queue.look_failed')
    } finally {
      this.#isLooking = false
    }
  }

  #look(id: string | null): void {
    const taken = this.#taken
    this.#judgeRebuilt(id)
    if (this.#stuckAt !== null && (id === null || taken !== this.#stuckAt)) this.#tell(null)
    const seen = this.#oldest?.id === id && this.#oldest?.taken === taken ? this.#oldest : null
    if (seen === null || this.#inHand >= JOBS_AT_ONCE_MAX) {
      this.#oldest = id === null ? null : { id, taken, looks: 1 }
      return
    }
    seen.looks += 1
    if (seen.looks < LOOKS_MAX) return
    this.#oldest = null
    this.#tell(taken)
    this.#deps.log.error({ queue: this.#queue, jobId: id, inHand: this.#inHand }, 'queue.stuck')
    if (this.#rebuilt === null) this.#rebuild()
    else this.#deps.queueMetrics.givenUp(this.#queue)
  }

  #judgeRebuilt(id: string | null): void {
    if (this.#rebuilt === null) return
    const { takenAtRest } = this.#rebuilt
    if (takenAtRest !== null && this.#taken > takenAtRest) this.#rebuilt = null
    else if (takenAtRest === null && id === null) this.#rebuilt.takenAtRest = this.#taken
  }

  #tell(stuckAt: number | null): void {
    this.#stuckAt = stuckAt
    this.#deps.queueMetrics.stuck(this.#queue, stuckAt !== null)
  }

  #tellPaused(isPaused: boolean): void {
    if (isPaused === this.#isPaused) return
    this.#isPaused = isPaused
    const { log, queueMetrics } = this.#deps
    queueMetrics.paused(this.#queue, isPaused)
    if (isPaused) log.warn({ queue: this.#queue }, 'queue.paused')
    else log.info({ queue: this.#queue }, 'queue.resumed')
  }

  #rebuild(): void {
    const closed: Promise<void> = this.#close(this.#worker).finally(() =>
      this.#closing.delete(closed),
    )
    this.#closing.add(closed)
    this.#rebuilt = { takenAtRest: null }
    this.#worker = this.#start()
    this.#deps.queueMetrics.rebuilt(this.#queue)
  }

  /**
   * Waits for the jobs of the worker, but not for a connection that does not come back: such a
   * connection would never even close.
   */
  async #close(worker: Worker): Promise<void> {
    const isIdle = this.#stuckAt !== null && this.#inHand === 0
    const closed = worker.close(isIdle)
    do await Promise.race([closed, this.#deps.clock.sleep(CLOSE_MS_MAX)])
    while (this.#inHand > 0)
  }

  /** The job that has waited longest for a worker; `null`: none waits, or the queue is paused. */
  async #readOldest(): Promise<string | null> {
    const { watch, clock } = this.#deps
    const [wait, delayed, meta] = ['wait', 'delayed', 'meta'].map((part) =>
      this.#worker.toKey(part),
    ) as [string, string, string]
    const isPaused = (await watch.hexists(meta, 'paused')) === 1
    this.#tellPaused(isPaused)
    if (isPaused) return null
    const oldest = await watch.lindex(wait, -1)
    if (oldest !== null) return oldest
    // A due job that is still among the delayed jobs waits too: a worker has to move it.
    const [first, score] = await watch.zrange(delayed, 0, 0, 'WITHSCORES')
    return first !== undefined && Number(score) / DELAYED_SCORE < clock.now() ? first : null
  }
}
