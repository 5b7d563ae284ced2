import type { Clock } from '#runtime'
import type { Account } from '../broker/account.ts'

/**
 * Requests an account may send. A window of one minute opens with its first request and counts
 * until it is over; the trading host and the data host count apart. Accounts without a limit are
 * not counted. An answer over the limit never says `Retry-After`, as measured.
 */
export type RateLimit = Readonly<{
  perMinute: number
  /**
   * Whether answers say how much is left: all (true, the default), none, or all but those over the
   * limit. Each has been measured.
   */
  headers?: boolean | 'until_over'
}>

/** Where a request stands. `headers` belong on its answer, whatever it says. */
type Standing = Readonly<{ isOver: boolean; headers: Readonly<Record<string, string>> }>

export interface RateLimits {
  /** @param limit undefined: none. Accounts that are not set have the limit that all have. */
  set(account: Account, limit: RateLimit | undefined): void
  /** Counts one request. */
  count(account: Account, isData: boolean): Standing
}

const WINDOW_MS = 60_000
const unlimited: Standing = { isOver: false, headers: {} }

type Window = { startMs: number; used: number }
type Limited = Readonly<{ limit: RateLimit | undefined; trading: Window; data: Window }>

/** @param ofAll the limit of every account that is not set; undefined: none */
export function createRateLimits(clock: Clock, ofAll?: RateLimit): RateLimits {
  const limited = new Map<Account, Limited>()
  const newWindow = (): Window => ({ startMs: -WINDOW_MS, used: 0 })
  const set = (account: Account, limit: RateLimit | undefined): Limited => {
    const own = { limit, trading: newWindow(), data: newWindow() }
    limited.set(account, own)
    return own
  }
  return {
    set,
    count(account, isData) {
      const own = limited.get(account) ?? set(account, ofAll)
      if (own.limit === undefined) return unlimited
      const { perMinute, headers = true } = own.limit
      const window = isData ? own.data : own.trading
      const nowMs = clock.now()
      if (nowMs - window.startMs >= WINDOW_MS) Object.assign(window, { startMs: nowMs, used: 0 })
      window.used += 1
      const isOver = window.used > perMinute
      if (headers === false || (headers === 'until_over' && isOver)) return { isOver, headers: {} }
      return {
        isOver,
        headers: {
          'x-ratelimit-limit': String(perMinute),
          'x-ratelimit-remaining': String(Math.max(0, perMinute - window.used)),
          'x-ratelimit-reset': String(Math.ceil((window.startMs + WINDOW_MS) / 1000)),
        },
      }
    },
  }
}
