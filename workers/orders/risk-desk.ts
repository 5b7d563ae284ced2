import { countsOrders, dec, needsPrice, needsSession, type OrderIntent, type RiskFacts, type RiskQuote } from '#domain'
import type { Clock } from '#runtime'
import type { Quote, Quotes, UserSnapshot } from '#store'
import type { Broker } from '../broker/index.ts'
import type { MarketHours } from '../updates/index.ts'

/** What an order is judged by, but for the position, which is loaded with the order, and the time. */
export type Judgement = Omit<RiskFacts, 'position' | 'closes' | 'nowMs'> &
  Readonly<{
    /** Version of the user's state that `orders` and `accounts` belong to; `null`: no limit counts or sums them. */
    version: string | null
  }>

/** Gathers what the limits of an order need, and no more: without limits nothing is read. */
export interface RiskDesk {
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
  return {
    async judge(intent, broker) {
      const limits = await limitsOf(intent)
      if (limits.user === null && limits.connection === null) return NOTHING
      const [state, [quote], isOpen] = await Promise.all([
        countsOrders(limits) ? snapshot(intent.userId) : null,
        needsPrice(limits) ? quotes.last([intent.symbol]) : [],
        needsSession(limits) ? hours.standing(broker) : null,
      ])
      const { orders = [], accounts = [], version = null } = state ?? {}
      return { limits, orders, accounts, version, isOpen, quote: freshQuote(quote, clock.now()) }
    },
  }
}

function freshQuote(quote: Quote | undefined, nowMs: number): RiskQuote | null {
  if (quote === undefined || nowMs - Date.parse(quote.timestamp) > QUOTE_AGE_MS_MAX) return null
  const price = (value: number | null) => (value === null || value <= 0 ? null : dec(value.toFixed(9)))
  return { bid: price(quote.bid), ask: price(quote.ask), last: price(quote.last) }
}
