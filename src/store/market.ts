import type { Redis } from 'ioredis'
import type { ServerEventPayload } from '#contract'
import { demandKey, quotesKey } from './keys.ts'

/** How long a watched symbol stays wanted after the last relay said so. */
export const DEMAND_TTL_MS = 30_000
/** Symbols wanted at once, over all relays; more are not fed. */
export const DEMAND_SYMBOLS_MAX = 10_000

/** Which symbols clients watch: relays say so, the market worker reads it. */
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
      // Announced before the time stepped back: wanted as long as anything else that was announced
      // just now.
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
