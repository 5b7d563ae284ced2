import type { Clock } from '#runtime'

/** Failed logins of one name from one address before that pair has to wait. */
export const FAILURES_MAX = 5
/** How long the failures of a window count. */
export const WINDOW_MS = 5 * 60_000
/** Passwords checked at the same time; a check by scrypt costs 32 MiB and a thread. */
const CHECKS_AT_ONCE_MAX = 4
/** Pairs of name and address that are kept; a new pair evicts the oldest one. */
const PAIRS_MAX = 2_000

/**
 * Slows down clients that guess passwords at a login. One name from one address gets FAILURES_MAX
 * wrong tries a window; a right password resets the count. Tries that are still running count as
 * failures until they end, so that sending many at once gains no extra tries. Accepted weakness: a
 * stranger behind the same proxy as a user can make that user's name wait.
 */
export class LoginThrottle {
  readonly #clock: Clock
  readonly #failures = new Map<string, { count: number; untilMs: number }>()
  #checking = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Runs one password check, or returns how long to wait before the next one. */
  async check(
    pair: string,
    matches: () => Promise<boolean>,
  ): Promise<boolean | { retryAfterSeconds: number }> {
    const nowMs = this.#clock.monotonicMs()
    const known = this.#failures.get(pair)
    const current =
      known !== undefined && known.untilMs > nowMs
        ? known
        : { count: 0, untilMs: nowMs + WINDOW_MS }
    if (current.count >= FAILURES_MAX)
      return { retryAfterSeconds: Math.ceil((current.untilMs - nowMs) / 1000) }
    if (this.#checking >= CHECKS_AT_ONCE_MAX) return { retryAfterSeconds: 1 }
    current.count += 1
    this.#remember(pair, current)
    this.#checking += 1
    try {
      const right = await matches()
      if (right) this.#failures.delete(pair)
      return right
    } finally {
      this.#checking -= 1
    }
  }

  #remember(pair: string, entry: { count: number; untilMs: number }): void {
    this.#failures.delete(pair)
    this.#failures.set(pair, entry)
    if (this.#failures.size <= PAIRS_MAX) return
    for (const oldest of this.#failures.keys()) {
      this.#failures.delete(oldest)
      return
    }
  }
}
