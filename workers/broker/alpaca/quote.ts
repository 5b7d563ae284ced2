import type { Alpaca } from '@alpacahq/alpaca-trade-api'
import { z } from 'zod'
import { type RiskQuote, riskQuoteOf } from '#domain'
import { readIfThere, wire } from './read.ts'

type MarketData = Alpaca['marketData']

const snapshot = z.object({
  latestQuote: z.object({ bp: z.number().nullish(), ap: z.number().nullish() }).nullish(),
  latestTrade: z.object({ p: z.number().nullish() }).nullish(),
})
const coins = z.object({ snapshots: z.record(z.string(), snapshot) })

/** The latest quote and trade in one request, from the best feed of the account's plan. */
export const readQuoteOf = (marketData: MarketData, symbol: string): Promise<RiskQuote | null> =>
  readIfThere(async () => {
    const told = symbol.includes('/')
      ? await ofCoin(marketData, symbol)
      : await ofStock(marketData, symbol)
    if (told === undefined) return null
    const { latestQuote, latestTrade } = told
    const quote = riskQuoteOf({ bid: latestQuote?.bp, ask: latestQuote?.ap, last: latestTrade?.p })
    return quote.bid === null && quote.ask === null && quote.last === null ? null : quote
  })

const ofStock = async (
  { stocks }: MarketData,
  symbol: string,
): Promise<z.output<typeof snapshot> | undefined> =>
  snapshot.parse(await wire(stocks.stockSnapshotSingleRaw({ symbol })))

const ofCoin = async (
  { crypto }: MarketData,
  symbols: string,
): Promise<z.output<typeof snapshot> | undefined> =>
  coins.parse(await wire(crypto.cryptoSnapshotsRaw({ loc: 'us', symbols }))).snapshots[symbols]
