import { type Asset, type AssetClass, findAsset } from '../broker/assets.ts'
import { Refusal } from '../broker/refusal.ts'
import { parseStamp } from '../stamps.ts'
import type { DataPlan } from '../streams/data-stream.ts'
import { listOf } from './order-queries.ts'

/** Reads parameters like the market data host. Its refusals carry a message and no code. */

const SYMBOLS_PER_REQUEST_MAX = 500
const SYMBOL = /^[A-Z0-9][A-Z0-9./]{0,31}$/
const STOCK_FEEDS = ['sip', 'iex', 'delayed_sip', 'otc', 'boats', 'overnight']
/** Without a subscription, data of the consolidated tape is delayed by this time. */
const SIP_DELAY_MS = 15 * 60_000

const refusal = (status: number, message: string): Refusal =>
  new Refusal(status, undefined, message)
export const invalidParameter = (message: string): Refusal => refusal(400, message)
export const noData = (what: string, symbol: string): Refusal =>
  refusal(404, `no ${what} found for ${symbol}`)

/**
 * A symbol of an asset class; undefined if the symbol is well formed but unknown.
 * @throws {Refusal} 400 malformed
 */
export function symbolOf(name: string, assetClass: AssetClass): Asset | undefined {
  if (!SYMBOL.test(name)) throw invalidParameter(`invalid symbol: ${name}`)
  const asset = findAsset(name)
  return asset?.assetClass === assetClass && asset.symbol === name ? asset : undefined
}

/**
 * The known symbols of `symbols`, sorted and without repeats. Unknown symbols are omitted, as at
 * the data host.
 * @throws {Refusal} 400
 */
export function symbolsOf(query: URLSearchParams, assetClass: AssetClass): readonly Asset[] {
  const names = [...new Set(listOf(query, 'symbols'))].sort()
  if (names.length === 0) throw invalidParameter('symbols is required')
  if (names.length > SYMBOLS_PER_REQUEST_MAX)
    throw invalidParameter(`at most ${SYMBOLS_PER_REQUEST_MAX} symbols`)
  return names.flatMap((name) => symbolOf(name, assetClass) ?? [])
}

/**
 * Checks `feed`, and that the plan includes the feed up to a time.
 * @param untilMs the newest requested time
 * @throws {Refusal} 400 unknown feed, 403 not in the plan
 */
export function checkFeed(
  query: URLSearchParams,
  plan: DataPlan,
  nowMs: number,
  untilMs: number,
): void {
  const feed = query.get('feed') ?? ''
  if (feed === '') return
  if (!STOCK_FEEDS.includes(feed)) throw invalidParameter(`invalid feed: ${feed}`)
  const isRecent = untilMs > nowMs - SIP_DELAY_MS
  if (feed === 'sip' && isRecent && plan.feeds?.includes('sip') === false) {
    throw refusal(403, 'subscription does not permit querying recent SIP data')
  }
}

/**
 * The default of `end`: without a subscription the consolidated tape ends a quarter of an hour ago,
 * otherwise now.
 */
export const newestOf = (query: URLSearchParams, plan: DataPlan, nowMs: number): number =>
  query.get('feed') === 'sip' && plan.feeds?.includes('sip') === false
    ? nowMs - SIP_DELAY_MS
    : nowMs

/** A time in milliseconds. @throws {Refusal} 400 */
export function timeMsOf(query: URLSearchParams, name: string): number | undefined {
  const value = query.get(name)
  if (value === null || value === '') return undefined
  const stamp = parseStamp(value)
  if (stamp === undefined)
    throw invalidParameter(`invalid ${name}: must be a date or an RFC 3339 time`)
  return Date.parse(stamp)
}
