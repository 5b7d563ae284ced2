import type { Clock } from '#runtime'

/**
 * Decides if a broker is worth a request.
 *
 *   closed --failures in a row--> open --pause over--> probing --answer--> closed
 *                                  ^--------- failure -----|     (the pause doubles, up to a bound)
 *
 * A failure is a timeout, a cut connection or a 5xx answer. A refusal is an answer, not a failure.
 * We have our own breaker because it runs on the injected clock, so that a whole run can be
 * replayed.
 */
const FAILURES_MAX = 5
const PAUSE_MS_MIN = 2_000
const PAUSE_MS_MAX = 30_000

export class Breaker {
  readonly #clock: Clock
  #failures = 0
  #pauseMs = PAUSE_MS_MIN
  /** On the monotonic clock; `null`: the breaker is closed. */
  #openUntilMs: number | null = null
  #isProbing = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * @returns 0: send the request; otherwise the ms to wait. After the pause of an open breaker, one
   *   request at a time is the probe.
   */
  waitMs(): number {
    if (this.#openUntilMs === null) return 0
    const leftMs = this.#openUntilMs - this.#clock.monotonicMs()
    if (leftMs > 0) return Math.ceil(leftMs)
    if (this.#isProbing) return PAUSE_MS_MIN
    this.#isProbing = true
    return 0
  }

  /** The allowed probe was not sent. */
  forgoProbe(): void {
    this.#isProbing = false
  }

  answered(): void {
    this.#failures = 0
    this.#pauseMs = PAUSE_MS_MIN
    this.#openUntilMs = null
    this.#isProbing = false
  }

  failed(): void {
    this.#failures += 1
    if (this.#failures < FAILURES_MAX) return
    const isFirst = this.#openUntilMs === null
    if (!isFirst && !this.#isProbing) return // sent before the breaker opened
    this.#isProbing = false
    this.#openUntilMs = this.#clock.monotonicMs() + this.#pauseMs
    this.#pauseMs = Math.min(this.#pauseMs * 2, PAUSE_MS_MAX)
  }
}
