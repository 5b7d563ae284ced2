import type { Clock } from '#runtime'
import type { Account } from '../broker/account.ts'

/**
 * Requests an account may send. A window of one minute opens with its first request and counts until it is over; the trading host
 * and the data host count apart. Accounts without a limit are not counted.
 */
export type RateLimit = Readonly<{
  perMinute: number
  /** Whether answers say how much is left. Default true; real answers have been seen without. */
  headers?: boolean
}>

/** Where a request stands. `headers` belong on its answer, whatever it says. */
type Standing = Readonly<{ isOver: boolean; headers: Readonly<Record<string, string>> }>

export interface RateLimits {
  /** @param limit undefined: none */
  set(account: Account, limit: RateLimit | undefined): void
  /** Counts one request. */
  count(account: Account, isData: boolean): Standing
}

const WINDOW_MS = 60_000
const unlimited: Standing = { isOver: false, headers: {} }

type Window = { startMs: number; used: number }
type Limited = Readonly<{ limit: RateLimit; trading: Window; data: Window }>

export function createRateLimits(clock: Clock): RateLimits {
  const limited = new Map<Account, Limited>()
  const newWindow = (): Window => ({ startMs: -WINDOW_MS, used: 0 })
  return {
    set(account, limit) {
      if (limit === undefined) limited.delete(account)
      else limited.set(account, { limit, trading: newWindow(), data: newWindow() })
    },
    count(account, isData) {
      const own = limited.get(account)
      if (own === undefined) return unlimited
      const { perMinute, headers = true } = own.limit
      const window = isData ? own.data : own.trading
      const nowMs = clock.now()
      if (nowMs - window.startMs >= WINDOW_MS) Object.assign(window, { startMs: nowMs, used: 0 })
      window.used += 1
      const isOver = window.used > perMinute
      if (!headers) return { isOver, headers: {} }
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
