import {
  countsOrders,
  needsPrice,
  needsSession,
  type OrderIntent,
  type RiskFacts,
  type RiskQuote,
  riskQuoteOf,
} from '#domain'
import type { Clock } from '#runtime'
import type { Quote, Quotes, UserSnapshot } from '#store'
import type { Broker } from '../broker/index.ts'
import type { MarketHours } from '../updates/index.ts'
import { LatestPrices } from './prices.ts'

/** What an order is judged by, but for the position, which is loaded with the order, and the time. */
export type Judgement = Omit<RiskFacts, 'position' | 'closes' | 'nowMs'> &
  Readonly<{
    /** Version of the user's state that `orders` and `accounts` belong to; `null`: no limit counts or sums them. */
    version: string | null
  }>

/** Gathers what the limits of an order need, and no more: without limits nothing is read. */
export interface RiskDesk {
  /** @throws {HeldBackError} a price has to be looked up, and the request budget of the account is spent */
  judge(intent: OrderIntent, broker: Broker): Promise<Judgement>
}

/** A quote tells what an order would cost while it is not older than this. */
const QUOTE_AGE_MS_MAX = 15_000

const NOTHING: Judgement = {
  ...{ limits: { user: null, connection: null }, orders: [], accounts: [], quote: null, isOpen: null, version: null },
}

/** @param limitsOf of the user and of the connection, from memory */
export function createRiskDesk(
  limitsOf: (order: Pick<OrderIntent, 'userId' | 'connectionId'>) => Promise<RiskFacts['limits']>,
  snapshot: (userId: string) => Promise<Pick<UserSnapshot, 'version' | 'orders' | 'accounts'>>,
  quotes: Pick<Quotes, 'last'>,
  hours: Pick<MarketHours, 'standing'>,
  clock: Clock,
): RiskDesk {
  const prices = new LatestPrices(clock)
  const priceOf = async (symbol: string, broker: Broker): Promise<RiskQuote | null> => {
    const [kept] = await quotes.last([symbol])
    return freshQuote(kept, clock.now()) ?? (await prices.of(symbol, broker))
  }
  return {
    async judge(intent, broker) {
      const limits = await limitsOf(intent)
      if (limits.user === null && limits.connection === null) return NOTHING
      const [state, quote, isOpen] = await Promise.all([
        countsOrders(limits) ? snapshot(intent.userId) : null,
        needsPrice(intent, limits) ? priceOf(intent.symbol, broker) : null,
        needsSession(limits) ? hours.standing(broker) : null,
      ])
      const { orders = [], accounts = [], version = null } = state ?? {}
      return { limits, orders, accounts, version, isOpen, quote }
    },
  }
}

function freshQuote(quote: Quote | undefined, nowMs: number): RiskQuote | null {
  // A time that is yet to come is no proof either: some clock is wrong.
  if (quote === undefined || Math.abs(nowMs - Date.parse(quote.timestamp)) > QUOTE_AGE_MS_MAX) return null
  return riskQuoteOf(quote)
}
