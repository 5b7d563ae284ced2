import type { Asset } from '../broker/assets.ts'
import type { Broker } from '../broker/broker.ts'
import { MINUTE_MS, type MinuteBar } from '../broker/minute-bars.ts'
import { pastBar } from '../broker/past-prices.ts'
import type { DataPlan } from '../streams/data-stream.ts'
import { checkFeed, invalidParameter, newestOf, timeMsOf } from './data-queries.ts'
import { dayBarJson, minuteBarJson, newYorkMidnight } from './market-shapes.ts'
import type { Json } from './shapes.ts'
import { parseTimeframe, type Timeframe } from './timeframe.ts'

/**
 * Historical bars. Bars from before the start of the sandbox are made up (see past-prices), later
 * bars were recorded; a bar across the start combines both. A page counts the bars of all symbols
 * together, symbol by symbol.
 */

const LIMIT_DEFAULT = 1_000
const LIMIT_MAX = 10_000
/** The oldest time for which there are bars. */
const HISTORY_START_MS = Date.UTC(2016, 0, 4, 5)
const HOUR_MS = 60 * MINUTE_MS
/** Stocks trade from 4 to 20 o'clock in New York, extended hours included. */
const DAY_BEGINS_MS = 4 * HOUR_MS
const DAY_ENDS_MS = 20 * HOUR_MS

/** The requested time range, both ends included, and the requested page. */
export type RangeQuery = Readonly<{
  fromMs: number
  toMs: number
  limit: number
  direction: 1 | -1
  /**
   * The start of the page: the symbol, and the start of its first bar or the number of its first
   * tick.
   */
  cursor: Readonly<{ symbol: string; at: number }> | undefined
}>
/** `fromMs` and `toMs` bound the starts of the bars. */
type BarQuery = RangeQuery & Readonly<{ timeframe: Timeframe }>

/** One page, by symbol, and the token of the next page. */
type BarPage = Readonly<{
  bars: Readonly<Record<string, readonly Json[]>>
  nextPageToken: string | null
}>

export const tokenOf = (symbol: string, at: number): string =>
  Buffer.from(`${symbol}|${at}`).toString('base64')

function cursorOf(query: URLSearchParams): RangeQuery['cursor'] {
  const token = query.get('page_token') ?? ''
  if (token === '') return undefined
  const [, symbol, at] =
    /^([A-Z0-9./]+)\|(\d{1,15})$/.exec(Buffer.from(token, 'base64').toString()) ?? []
  if (symbol === undefined) throw invalidParameter('invalid page_token')
  return { symbol, at: Number(at) }
}

function limitOf(query: URLSearchParams): number {
  const text = query.get('limit') || String(LIMIT_DEFAULT)
  const limit = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (limit < 1 || limit > LIMIT_MAX)
    throw invalidParameter(`invalid limit: must be between 1 and ${LIMIT_MAX}`)
  return limit
}

/** @throws {Refusal} 400 on bad parameters, 403 if the plan does not include the data */
export function barQueryOf(query: URLSearchParams, plan: DataPlan, nowMs: number): BarQuery {
  const timeframe = parseTimeframe(query.get('timeframe') ?? '')
  if (timeframe === undefined)
    throw invalidParameter(`invalid timeframe: ${query.get('timeframe') ?? ''}`)
  return { timeframe, ...rangeQueryOf(query, plan, nowMs) }
}

/** @throws {Refusal} 400 on bad parameters, 403 if the plan does not include the data */
export function rangeQueryOf(query: URLSearchParams, plan: DataPlan, nowMs: number): RangeQuery {
  const sort = query.get('sort') || 'asc'
  if (sort !== 'asc' && sort !== 'desc') throw invalidParameter(`invalid sort: ${sort}`)
  const fromMs = timeMsOf(query, 'start') ?? newYorkMidnight(nowMs).getTime()
  const toMs = timeMsOf(query, 'end') ?? newestOf(query, plan, nowMs)
  checkFeed(query, plan, nowMs, toMs)
  if (toMs < fromMs && query.has('end')) throw invalidParameter('end should not be before start')
  return {
    fromMs: Math.max(fromMs, HISTORY_START_MS),
    toMs: Math.min(toMs, nowMs),
    limit: limitOf(query),
    direction: sort === 'asc' ? 1 : -1,
    cursor: cursorOf(query),
  }
}

/** True at times at which stocks trade: not on weekends, and for intraday bars not at night. */
function stocksTraded({ isIntraday }: Timeframe, startMs: number): boolean {
  const midnightMs = newYorkMidnight(startMs).getTime()
  const weekday = new Date(midnightMs).getUTCDay()
  if (weekday === 0 || weekday === 6) return false
  return (
    !isIntraday || (startMs - midnightMs >= DAY_BEGINS_MS && startMs - midnightMs < DAY_ENDS_MS)
  )
}

function merged(bars: readonly MinuteBar[], startMs: number): MinuteBar | undefined {
  const [first] = bars
  return first === undefined
    ? undefined
    : bars.slice(1).reduce<MinuteBar>(
        (all, bar) => ({
          startMs,
          open: all.open,
          high: Math.max(all.high, bar.high),
          low: Math.min(all.low, bar.low),
          close: bar.close,
          volume: all.volume + bar.volume,
          trades: all.trades + bar.trades,
          value: all.value + bar.value,
        }),
        { ...first, startMs },
      )
}

/** The index of the first bar that begins at or after a time; the bars are sorted by time. */
function indexAt(bars: readonly MinuteBar[], timeMs: number): number {
  let low = 0
  let high = bars.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((bars[middle]?.startMs ?? 0) < timeMs) low = middle + 1
    else high = middle
  }
  return low
}

/** The bars of one symbol, one by one, in the requested order. */
function* barsOf(
  broker: Broker,
  asset: Asset,
  query: BarQuery,
): Generator<readonly [startMs: number, bar: Json]> {
  const { timeframe, fromMs, toMs, direction, cursor } = query
  const { startedMs } = broker.minuteBars
  const settledMs = newYorkMidnight(startedMs).getTime()
  const market = broker.prices.of(asset)
  const recorded = broker.minuteBars.of(asset.symbol)
  const firstMs = cursor?.symbol === asset.symbol ? cursor.at : direction === 1 ? fromMs : toMs
  for (let atMs = timeframe.floor(firstMs); atMs <= toMs && (direction === 1 || atMs >= fromMs);) {
    const startMs = atMs
    const endMs = timeframe.step(atMs, 1)
    atMs = timeframe.step(atMs, direction)
    if (startMs < fromMs) continue
    if (timeframe.isDay && startMs === market.day.startMs) {
      yield [startMs, dayBarJson(market)]
      continue
    }
    const hasPast =
      startMs < startedMs &&
      (asset.assetClass === 'crypto' || !isShort(timeframe) || stocksTraded(timeframe, startMs))
    const past = hasPast ? [pastBar(market, startMs, Math.min(endMs, startedMs), settledMs)] : []
    const since =
      endMs <= startedMs ? [] : recorded.slice(indexAt(recorded, startMs), indexAt(recorded, endMs))
    const bar = merged([...past, ...since], startMs)
    if (bar !== undefined) yield [startMs, minuteBarJson(bar)]
  }
}

/** True for bars of a day or less: such a bar can lie wholly outside trading hours. */
const isShort = ({ isIntraday, isDay }: Timeframe): boolean => isIntraday || isDay

/** @param assets sorted by symbol */
export function barPage(broker: Broker, assets: readonly Asset[], query: BarQuery): BarPage {
  const bars: Record<string, Json[]> = {}
  let count = 0
  for (const asset of assets) {
    const { symbol } = asset
    if (query.cursor !== undefined && symbol < query.cursor.symbol) continue
    for (const [startMs, bar] of barsOf(broker, asset, query)) {
      if (count === query.limit) return { bars, nextPageToken: tokenOf(symbol, startMs) }
      ;(bars[symbol] ??= []).push(bar)
      count += 1
    }
  }
  return { bars, nextPageToken: null }
}
