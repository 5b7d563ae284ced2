import type { Asset } from '../broker/assets.ts'
import type { Prices } from '../broker/prices.ts'
import { type RangeQuery, tokenOf } from './bar-queries.ts'
import { quoteJson, tradeJson } from './market-shapes.ts'
import type { Json } from './shapes.ts'

/**
 * The single trades and quotes since the start, up to a maximum number. There are none from before
 * the start: made-up ticks would contradict the bars.
 */
export type TickKind = 'trades' | 'quotes'

/** One past tick; `number` counts the ticks of its kind and symbol. */
type PastTick = Readonly<{ number: number; atMs: number; json: Json }>

/** The past ticks of one kind and symbol, oldest first. */
export type PastTicks = (kind: TickKind, symbol: string) => readonly PastTick[]

/** Maximum per kind and symbol; the oldest ticks are dropped first. */
const TICKS_KEPT_MAX = 3_000

type Series = { count: number; readonly ticks: PastTick[] }

function add(series: Series, atMs: number, json: Json): void {
  series.count += 1
  series.ticks.push({ number: series.count, atMs, json })
  if (series.ticks.length >= 2 * TICKS_KEPT_MAX) series.ticks.splice(0, TICKS_KEPT_MAX)
}

/** Starts recording the ticks of the market. */
export function recordTicks(prices: Prices): PastTicks {
  const newSeries = (): Series => ({ count: 0, ticks: [] })
  const bySymbol = new Map(
    prices
      .all()
      .map(({ asset }) => [asset.symbol, { trades: newSeries(), quotes: newSeries() }] as const),
  )
  prices.onTick(({ market, traded }) => {
    const series = bySymbol.get(market.asset.symbol)
    if (series === undefined) return
    add(series.quotes, market.atMs, quoteJson(market))
    if (traded) add(series.trades, market.atMs, tradeJson(market))
  })
  return (kind, symbol) => bySymbol.get(symbol)?.[kind].ticks.slice(-TICKS_KEPT_MAX) ?? []
}

/** One page, by symbol, and the token of the next page. @param assets sorted by symbol */
export function tickPage(
  past: PastTicks,
  kind: TickKind,
  assets: readonly Asset[],
  { fromMs, toMs, limit, direction, cursor }: RangeQuery,
): Readonly<{ ticks: Readonly<Record<string, readonly Json[]>>; nextPageToken: string | null }> {
  const ticks: Record<string, Json[]> = {}
  let count = 0
  for (const { symbol } of assets) {
    if (cursor !== undefined && symbol < cursor.symbol) continue
    const first = cursor?.symbol === symbol ? cursor.at * direction : -Infinity
    const own = past(kind, symbol).filter(({ atMs }) => atMs >= fromMs && atMs <= toMs)
    for (const { number, json } of direction === 1 ? own : own.toReversed()) {
      if (number * direction < first) continue
      if (count === limit) return { ticks, nextPageToken: tokenOf(symbol, number) }
      ;(ticks[symbol] ??= []).push(json)
      count += 1
    }
  }
  return { ticks, nextPageToken: null }
}
