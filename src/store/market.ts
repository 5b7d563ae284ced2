import type { Redis } from 'ioredis'
import type { ServerEventPayload } from '#contract'
import { demandKey, quotesKey } from './keys.ts'

/** How long a watched symbol stays wanted after a relay last announced it. */
export const DEMAND_TTL_MS = 30_000
/** Symbols that are wanted at once, over all relays; further symbols are not fed. */
export const DEMAND_SYMBOLS_MAX = 10_000

/** The symbols that clients watch: relays announce them, the market worker reads them. */
export interface Demand {
  /** Keeps `symbols` wanted for another `DEMAND_TTL_MS`. */
  announce(symbols: readonly string[]): Promise<void>
  wanted(): Promise<readonly string[]>
}

/** @param nowMs wall time; relays and workers need to agree to within seconds only */
export function createDemand(redis: Redis, nowMs: () => number): Demand {
  return {
    async announce(symbols) {
      if (symbols.length === 0) return
      const until = nowMs() + DEMAND_TTL_MS
      await redis.zadd(demandKey, 'GT', ...symbols.flatMap((symbol) => [until, symbol]))
    },
    async wanted() {
      const now = nowMs()
      const latest = nowMs() + DEMAND_TTL_MS
      await redis.zremrangebyscore(demandKey, '-inf', now)
      // A symbol that was announced before the time stepped back stays wanted as long as a symbol
      // that was announced just now.
      const ahead = await redis.zrangebyscore(
        demandKey,
        `(${latest}`,
        '+inf',
        'LIMIT',
        0,
        DEMAND_SYMBOLS_MAX,
      )
      if (ahead.length > 0)
        await redis.zadd(demandKey, 'XX', ...ahead.flatMap((symbol) => [latest, symbol]))
      return redis.zrange(demandKey, 0, DEMAND_SYMBOLS_MAX - 1)
    },
  }
}

export type Quote = ServerEventPayload<'market.quote'>

/** The last quote of each symbol, so that a new subscriber need not wait for the next one. */
export interface Quotes {
  keep(quotes: readonly Quote[]): Promise<void>
  last(symbols: readonly string[]): Promise<readonly Quote[]>
}

export function createQuotes(redis: Redis): Quotes {
  return {
    async keep(quotes) {
      if (quotes.length > 0)
        await redis.hset(quotesKey, new Map(quotes.map((q) => [q.symbol, JSON.stringify(q)])))
    },
    async last(symbols) {
      if (symbols.length === 0) return []
      const texts = await redis.hmget(quotesKey, ...symbols)
      return texts.flatMap((text) => (text === null ? [] : [JSON.parse(text) as Quote]))
    },
  }
}
