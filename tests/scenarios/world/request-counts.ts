import type { FakeBudget } from '../../support/fake-budget.ts'

const REQUESTS_PER_MINUTE_MAX = 200
const MINUTE_MS = 60_000
/** A budget counts by slices, and so for a little more than a minute. */
const COUNTED_MS = 65_000

/**
 * S14: no account is asked for more than 200 requests within a minute.
 *
 * A store that loses everything loses the count with it, and the budget begins anew. So does the
 * count here, behind the requests that the lost budget had given leave for and that were still to
 * be sent: at most 200 requests of each budget.
 */
export class RequestCounts {
  readonly #budget: Pick<FakeBudget, 'losses' | 'givenBeforeLoss'>
  readonly #say: (finding: string) => void
  readonly #atMs = new Map<string, readonly number[]>()
  /**
   * Requests that the lost budget had given leave for, and that were not sent yet when it was lost.
   */
  readonly #leftBehind = new Map<string, number>()
  #losses = 0

  constructor(
    budget: Pick<FakeBudget, 'losses' | 'givenBeforeLoss'>,
    say: (finding: string) => void,
  ) {
    this.#budget = budget
    this.#say = say
  }

  /** A request of this account leaves. */
  sent(account: string, nowMs: number): void {
    if (this.#budget.losses > this.#losses) this.#beginAnew(nowMs)
    const leftBehind = this.#leftBehind.get(account) ?? 0
    if (leftBehind > 0) {
      this.#leftBehind.set(account, leftBehind - 1)
      return
    }
    const atMs = [...this.#recent(account, nowMs, COUNTED_MS), nowMs]
    this.#atMs.set(account, atMs)
    const count = this.#recent(account, nowMs, MINUTE_MS).length
    if (count > REQUESTS_PER_MINUTE_MAX)
      this.#say(`S14 ${count} requests of ${account} within a minute`)
  }

  #beginAnew(nowMs: number): void {
    this.#losses = this.#budget.losses
    this.#leftBehind.clear()
    for (const [account, given] of this.#budget.givenBeforeLoss) {
      const sent = this.#recent(account, nowMs, COUNTED_MS).length
      this.#leftBehind.set(account, Math.max(0, Math.min(given, REQUESTS_PER_MINUTE_MAX) - sent))
    }
    this.#atMs.clear()
  }

  #recent(account: string, nowMs: number, withinMs: number): readonly number[] {
    return (this.#atMs.get(account) ?? []).filter((one) => one > nowMs - withinMs)
  }
}
