import type { CancelTimer, Clock } from './clock.ts'
import type { Logger } from './logger.ts'

/** Redis TIME: seconds since 1970, and microseconds within the second. */
type TimeSource = Readonly<{ time(): Promise<readonly (number | string)[]> }>

/**
 * If a machine's clock is off by more than this, it is reported as wrong: callers write the expiry
 * times of orders by their own clocks, and those times would then mean a different moment.
 */
const SKEW_MS_MAX = 1_000
const MEASURE_EVERY_MS = 5_000
/** A slower answer is too inaccurate: a measurement is accurate to half of its round trip. */
const ROUND_TRIP_MS_MAX = 400
/** Measurements at the start before a slow answer is accepted. */
const FIRST_TRIES_MAX = 5

/**
 * The time of Redis, as a clock that all processes share, however wrong their machines' clocks are.
 * It measures the time windows that one worker opens and another worker checks.
 *
 * Invariants:
 * - Between measurements the time goes on with the machine's steady clock: neither a step of the
 *   machine's wall clock nor a Redis that is away moves it.
 * - A measurement corrects the time only if the difference is larger than the measurement's own
 *   error.
 * - The time follows Redis when the time of Redis steps, also back: a stored time may then lie
 *   ahead of now.
 */
export class RedisTime implements Clock, Disposable {
  readonly #redis: TimeSource
  readonly #local: Clock
  readonly #log: Logger
  readonly #onSkew: (seconds: number) => void
  /** Time of Redis minus the steady clock. */
  #offsetMs: number
  #isMeasured = false
  #isMeasuring = false
  #isSkewed = false
  #stop: CancelTimer = () => {}

  private constructor(
    redis: TimeSource,
    local: Clock,
    log: Logger,
    onSkew: (seconds: number) => void,
  ) {
    this.#redis = redis
    this.#local = local
    this.#log = log
    this.#onSkew = onSkew
    this.#offsetMs = local.now() - local.monotonicMs()
  }

  /**
   * Resolves once the time was measured. While Redis is away, this waits for Redis.
   * @param onSkew called after each measurement with the number of seconds by which the machine's
   *   clock is ahead of Redis
   */
  static async start(
    redis: TimeSource,
    local: Clock,
    log: Logger,
    onSkew: (seconds: number) => void = () => {},
  ): Promise<RedisTime> {
    const one = new RedisTime(redis, local, log, onSkew)
    for (let tries = 1; !one.#isMeasured; tries += 1) await one.#measure(tries < FIRST_TRIES_MAX)
    one.#stop = local.every(MEASURE_EVERY_MS, () => void one.measure())
    return one
  }

  /**
   * Measures now. Never rejects: while Redis does not answer, the time goes on by the steady clock.
   */
  async measure(): Promise<void> {
    if (this.#isMeasuring) return
    this.#isMeasuring = true
    try {
      await this.#measure(true)
    } catch (error) {
      this.#log.debug({ error }, 'clock.not_measured')
    } finally {
      this.#isMeasuring = false
    }
  }

  now(): number {
    return Math.floor(this.#local.monotonicMs() + this.#offsetMs)
  }

  monotonicMs(): number {
    return this.#local.monotonicMs()
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return this.#local.sleep(delayMs, signal)
  }

  after(delayMs: number, run: () => void): CancelTimer {
    return this.#local.after(delayMs, run)
  }

  every(intervalMs: number, run: () => void): CancelTimer {
    return this.#local.every(intervalMs, run)
  }

  /**
   * One line for people if the machine's clock and that of Redis differ by more than `SKEW_MS_MAX`.
   */
  get remark(): string | undefined {
    const skewMs = this.#skewMs()
    if (Math.abs(skewMs) <= SKEW_MS_MAX) return undefined
    const apart = (Math.abs(skewMs) / 1_000).toFixed(1)
    return `clock: this machine is ${apart} s ${skewMs > 0 ? 'ahead of' : 'behind'} Redis; set both by NTP`
  }

  [Symbol.dispose](): void {
    this.#stop()
  }

  async #measure(mustBeQuick: boolean): Promise<void> {
    const askedMs = this.#local.monotonicMs()
    const [seconds, micros] = await this.#redis.time()
    const toldMs = this.#local.monotonicMs()
    const errorMs = (toldMs - askedMs) / 2
    if (mustBeQuick && errorMs * 2 > ROUND_TRIP_MS_MAX) return
    const redisMs = Number(seconds) * 1_000 + Number(micros) / 1_000
    if (!Number.isFinite(redisMs)) throw new TypeError('Redis told no time')
    const offsetMs = redisMs - (askedMs + errorMs)
    const byMs = offsetMs - this.#offsetMs
    if (!this.#isMeasured || Math.abs(byMs) > errorMs) this.#offsetMs = offsetMs
    if (this.#isMeasured && Math.abs(byMs) > SKEW_MS_MAX + errorMs)
      this.#log.warn({ byMs: Math.round(byMs) }, 'redis.time_stepped')
    this.#isMeasured = true
    this.#tell()
  }

  #tell(): void {
    const skewMs = this.#skewMs()
    this.#onSkew(skewMs / 1_000)
    const isSkewed = Math.abs(skewMs) > SKEW_MS_MAX
    if (isSkewed === this.#isSkewed) return
    this.#isSkewed = isSkewed
    if (isSkewed) this.#log.warn({ skewMs }, 'clock.skewed')
    else this.#log.info({ skewMs }, 'clock.agrees')
  }

  #skewMs(): number {
    return this.#local.now() - this.now()
  }
}
