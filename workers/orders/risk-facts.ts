import {
  needsPrice,
  needsSession,
  needsState,
  type OrderIntent,
  type RiskFacts,
  type RiskLimits,
  type RiskQuote,
  riskQuoteOf,
  tradingDayOf,
} from '#domain'
import type { Clock } from '#runtime'
import type { LoadedSlice, Pace, PaceMax, Quote, Quotes, UserSnapshot } from '#store'
import type { Broker, MarketHours } from '../broker/index.ts'
import { LatestPrices } from './prices.ts'

/**
 * Loads the facts by which an order is judged, and no others: without limits, an order that cannot
 * reduce a position needs no read.
 *
 * @returns `stale`: the loaded slice has another version than the user's orders; load it again
 * @throws {HeldBackError} a price has to be looked up, and the request budget of the account is
 *   spent
 */
export type LoadRiskFacts = (
  intent: OrderIntent,
  loaded: LoadedSlice,
  broker: Broker,
) => Promise<RiskFacts | 'stale'>

/** A quote that is older than this does not price an order. */
const QUOTE_AGE_MS_MAX = 15_000

/** @param limitsOf of the user and of the connection, from memory */
export function createRiskFactsLoader(
  limitsOf: (order: Pick<OrderIntent, 'userId' | 'connectionId'>) => Promise<RiskFacts['limits']>,
  snapshot: (
    userId: string,
  ) => Promise<Pick<UserSnapshot, 'version' | 'orders' | 'positions' | 'accounts'>>,
  quotes: Pick<Quotes, 'last'>,
  hours: Pick<MarketHours, 'standing'>,
  clock: Clock,
): LoadRiskFacts {
  const prices = new LatestPrices(clock)
  const priceOf = async (symbol: string, broker: Broker): Promise<RiskQuote | null> => {
    const [kept] = await quotes.last([symbol])
    return freshQuote(kept, clock.now()) ?? (await prices.of(symbol, broker))
  }
  return async (intent, loaded, broker) => {
    const limits = await limitsOf(intent)
    const { position } = loaded.slice
    const [state, quote, isOpen] = await Promise.all([
      needsState(limits, intent.side, position) ? snapshot(intent.userId) : null,
      needsPrice(intent, limits) ? priceOf(intent.symbol, broker) : null,
      needsSession(limits) ? hours.standing(broker) : null,
    ])
    if (state !== null && state.version !== loaded.version) return 'stale'
    const { orders = [], positions = [], accounts = [] } = state ?? {}
    return { limits, position, orders, positions, accounts, isOpen, quote, nowMs: clock.now() }
  }
}

function freshQuote(quote: Quote | undefined, nowMs: number): RiskQuote | null {
  // A quote from the future proves no price either: a clock is wrong.
  if (quote === undefined || Math.abs(nowMs - Date.parse(quote.timestamp)) > QUOTE_AGE_MS_MAX)
    return null
  return riskQuoteOf(quote)
}

/** The limits that count an order which adds to a position; `null`: no limit counts it. */
export function paceOf({ limits, nowMs }: RiskFacts): Pace | null {
  const pace = {
    day: tradingDayOf(nowMs),
    user: paceMaxOf(limits.user),
    connection: paceMaxOf(limits.connection),
  }
  const isLimited = [pace.user, pace.connection].some(
    ({ minute, day }) => minute !== null || day !== null,
  )
  return isLimited ? pace : null
}

const paceMaxOf = (limits: RiskLimits | null): PaceMax => ({
  minute: limits?.ordersPerMinuteMax ?? null,
  day: limits?.ordersPerDayMax ?? null,
})
