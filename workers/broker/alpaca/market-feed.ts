import { Alpaca } from '@alpacahq/alpaca-trade-api'
import { z } from 'zod'
import type { DayFigures, MarketFeed, Tick } from '../port.ts'
import { CALL_TIMEOUT_MS, type Endpoint } from './endpoint.ts'

/** Symbols in one snapshot request. */
const SYMBOLS_PER_REQUEST = 100

export type FeedOptions = Readonly<{ keyId: string; secret: string; feed: string }>

/**
 * Quotes and trades of one credential. Reconnects without end. The list of symbols is kept here,
 * because each answer of the server overwrites the SDK's own list (alpaca.md 9.3).
 */
export function openMarketFeed(
  options: FeedOptions,
  endpoint: Endpoint,
  transport: typeof fetch,
  onTick: (tick: Tick) => void,
  onError: (message: string) => void,
): MarketFeed {
  const { keyId, secret, feed } = options
  const alpaca = new Alpaca({
    keyId,
    secret,
    paper: endpoint.env !== 'live',
    rateLimit: false,
    retry: false,
    timeoutMs: CALL_TIMEOUT_MS,
    fetchApi: transport,
  })
  const stream = alpaca.marketData.stockStream({
    url: endpoint.dataStreamUrl(feed),
    maxReconnectAttempts: -1,
  })
  let followed: ReadonlySet<string> = new Set()
  let isLive = false
  const subscribe = (symbols: string[]): void => {
    if (symbols.length === 0) return
    stream.subscribeForQuotes(symbols)
    stream.subscribeForTrades(symbols)
  }
  stream.onConnect(() => {
    isLive = true
    subscribe([...followed])
  })
  stream.onDisconnect(() => (isLive = false))
  stream.onError(onError)
  stream.onQuote((quote) => deliver(onTick, quoteOf(quote)))
  stream.onTrade((trade) => deliver(onTick, tradeOf(trade)))
  stream.connect()
  return {
    follow(symbols) {
      const wanted = new Set(symbols)
      const added = symbols.filter((symbol) => !followed.has(symbol))
      const dropped = [...followed].filter((symbol) => !wanted.has(symbol))
      followed = wanted
      if (!isLive) return
      subscribe(added)
      if (dropped.length === 0) return
      stream.unsubscribeFromQuotes(dropped)
      stream.unsubscribeFromTrades(dropped)
    },
    async readDay(symbols) {
      const days = new Map<string, DayFigures>()
      const stocks = symbols.filter((symbol) => !symbol.includes('/'))
      for (let from = 0; from < stocks.length; from += SYMBOLS_PER_REQUEST) {
        const page = stocks.slice(from, from + SYMBOLS_PER_REQUEST)
        const url = `${endpoint.data}/v2/stocks/snapshots?symbols=${page.map(encodeURIComponent).join(',')}&feed=${feed}`
        const headers = { 'APCA-API-KEY-ID': keyId, 'APCA-API-SECRET-KEY': secret }
        const answer = await transport(url, {
          headers,
          signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
        })
        const read = answer.ok ? snapshots.safeParse(await answer.json()) : null
        for (const [symbol, snapshot] of Object.entries(read?.data ?? {}))
          if (snapshot !== null) days.set(symbol, dayOf(snapshot))
      }
      return days
    },
    async close() {
      stream.disconnect()
    },
  }
}

function deliver(onTick: (tick: Tick) => void, tick: Tick | null): void {
  if (tick !== null) onTick(tick)
}

/** A price of 0 means that there is no quote on that side. */
const priced = (price: number | undefined): number | null =>
  price === undefined || price === 0 ? null : price

const quoteShape = z.object({
  symbol: z.string(),
  bidPrice: z.number().optional(),
  askPrice: z.number().optional(),
})
const tradeShape = z.object({ symbol: z.string(), price: z.number(), size: z.number() })

function quoteOf(quote: unknown): Tick | null {
  const { data } = quoteShape.safeParse(quote)
  return data === undefined
    ? null
    : { type: 'quote', symbol: data.symbol, bid: priced(data.bidPrice), ask: priced(data.askPrice) }
}

function tradeOf(trade: unknown): Tick | null {
  const { data } = tradeShape.safeParse(trade)
  return data === undefined
    ? null
    : { type: 'trade', symbol: data.symbol, price: data.price, size: data.size }
}

const bar = z.object({ t: z.string(), c: z.number(), v: z.number() }).nullish()
const snapshot = z.object({
  latestTrade: z.object({ p: z.number() }).nullish(),
  latestQuote: z.object({ ap: z.number(), bp: z.number() }).nullish(),
  dailyBar: bar,
  prevDailyBar: bar,
})
const snapshots = z.record(z.string(), snapshot.nullable())

const dayOf = ({
  latestTrade,
  latestQuote,
  dailyBar,
  prevDailyBar,
}: z.output<typeof snapshot>): DayFigures => ({
  bid: priced(latestQuote?.bp),
  ask: priced(latestQuote?.ap),
  last: latestTrade?.p ?? null,
  volume: dailyBar?.v ?? 0,
  previousClose: prevDailyBar?.c ?? null,
})
