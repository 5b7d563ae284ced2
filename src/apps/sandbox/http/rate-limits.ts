import type { Clock } from '#runtime'
import type { Account } from '../broker/account.ts'

/**
 * Rate limits of the accounts. A window of one minute opens with its first request and counts until
 * it ends; the trading host and the data host count separately. Accounts without a limit are not
 * counted. An answer over the limit never has `Retry-After` (measured at the broker).
 */
export type RateLimit = Readonly<{
  perMinute: number
  /**
   * The answers that carry the remaining limit: all (true, the default), none, or all except
   * answers over the limit. Each behavior has been measured at the broker.
   */
  headers?: boolean | 'until_over'
}>

/** The result of counting a request. Its answer carries `headers` with any status. */
type Standing = Readonly<{ isOver: boolean; headers: Readonly<Record<string, string>> }>

export interface RateLimits {
  /** @param limit undefined: none. An account without a call of `set` has the default limit. */
  set(account: Account, limit: RateLimit | undefined): void
  /** Counts one request. */
  count(account: Account, isData: boolean): Standing
}

const WINDOW_MS = 60_000
const unlimited: Standing = { isOver: false, headers: {} }

type Window = { startMs: number; used: number }
type Limited = Readonly<{ limit: RateLimit | undefined; trading: Window; data: Window }>

/** @param ofAll the limit of every account without its own limit; undefined: none */
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
