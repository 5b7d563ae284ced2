import { z } from 'zod'
import { type Asset, findAsset } from '../broker/assets.ts'
import type { Market, Prices } from '../broker/prices.ts'
import { type TradingStatus, tradingStatuses } from '../http/market-shapes.ts'
import type { Json } from '../http/shapes.ts'
import { secondStamp } from '../stamps.ts'
import type { News } from './data-stream.ts'

/**
 * Market data messages that have no cause in this market: a halt of one symbol, its price bands, a
 * corrected or canceled trade, an imbalance before an auction, an article. They are sent by
 * command; the market itself does not change.
 */

const SYMBOLS_PER_ARTICLE_MAX = 50
const TEXT_LENGTH_MAX = 10_000
const symbol = z.string().min(1).max(32)
const price = z.number().positive().max(1_000_000_000)
const size = z.int().min(1).max(1_000_000_000)
const text = z.string().max(TEXT_LENGTH_MAX)

/** The message in a command. Absent fields follow from the current market. */
export const marketMessageShape = z.discriminatedUnion('kind', [
  /** `halt`, a volatility `pause`, or the resumption of `quotes` and then of `trades`. */
  z.strictObject({
    kind: z.literal('status'),
    symbol,
    status: z.literal(Object.keys(tradingStatuses) as TradingStatus[]),
  }),
  /** Limit up and limit down. Default: a twentieth from the last price. */
  z.strictObject({
    kind: z.literal('luld'),
    symbol,
    up: price.exactOptional(),
    down: price.exactOptional(),
    indicator: z
      .string()
      .regex(/^[A-I]$/, 'a letter from A to I')
      .exactOptional(),
  }),
  /** The last trade had another price, and another size if given. */
  z.strictObject({ kind: z.literal('correction'), symbol, price, size: size.exactOptional() }),
  /** The last trade is withdrawn: canceled (default), or an error. */
  z.strictObject({
    kind: z.literal('cancelError'),
    symbol,
    action: z.literal(['C', 'E']).exactOptional(),
  }),
  /** Default: at the last price. */
  z.strictObject({ kind: z.literal('imbalance'), symbol, price: price.exactOptional() }),
  /** An article; symbols of any kind, pairs without their slash. */
  z.strictObject({
    kind: z.literal('news'),
    symbols: z.array(symbol).min(1).max(SYMBOLS_PER_ARTICLE_MAX),
    headline: text.min(1),
    summary: text.exactOptional(),
    content: text.exactOptional(),
    author: text.exactOptional(),
    url: z.url().max(TEXT_LENGTH_MAX).exactOptional(),
  }),
])
export type MarketMessage = z.output<typeof marketMessageShape>
export type Article = Extract<MarketMessage, { kind: 'news' }>
/** A message about one stock. */
type StockMessage = Exclude<MarketMessage, Article>

/** The default price bands, as factors of the last price. */
const BAND_ABOVE = '1.05'
const BAND_BELOW = '0.95'

function stockJson(message: StockMessage, { last, lastSize, tradeId }: Market): Json {
  const p = last.toNumber()
  const s = lastSize
  switch (message.kind) {
    case 'status':
      return { T: 's', ...tradingStatuses[message.status] }
    case 'luld': {
      const {
        up = last.times(BAND_ABOVE).round(2).toNumber(),
        down = last.times(BAND_BELOW).round(2).toNumber(),
        indicator = 'B',
      } = message
      return { T: 'l', u: up, d: down, i: indicator }
    }
    case 'correction': {
      const original = { oi: tradeId, op: p, os: s, oc: ['@'] }
      return {
        T: 'c',
        x: 'V',
        ...original,
        ci: tradeId,
        cp: message.price,
        cs: message.size ?? s,
        cc: ['@'],
      }
    }
    case 'cancelError':
      return { T: 'x', i: tradeId, x: 'V', p, s, a: message.action ?? 'C' }
    case 'imbalance':
      return { T: 'i', p: message.price ?? p }
  }
}

/** Corrections and cancellations are on the channel of their trades. */
const channels = {
  status: 'statuses',
  luld: 'lulds',
  correction: 'trades',
  cancelError: 'trades',
  imbalance: 'imbalances',
} as const

function stockNamed(name: string): Asset {
  const asset = findAsset(name)
  if (asset?.assetClass !== 'us_equity') throw new RangeError(`${name} is no stock of this market`)
  return asset
}

/** A message about one stock, in the form of its feeds. @throws {RangeError} no such stock */
export function stockNews(
  message: StockMessage,
  prices: Prices,
  nowMs: number,
): readonly [symbol: string, news: News] {
  const asset = stockNamed(message.symbol)
  const json = {
    S: asset.symbol,
    ...stockJson(message, prices.of(asset)),
    t: new Date(nowMs),
    z: 'C',
  }
  return [asset.symbol, [channels[message.kind], json]]
}

/** An article in the form of the news feed: its times are text in both encodings. */
export function articleJson(article: Article, id: number, nowMs: number): Json {
  const { headline, summary = '', content = '', author = 'Fillcast', symbols } = article
  const at = secondStamp(nowMs)
  const url = article.url ?? `https://example.com/news/${id}`
  const told = {
    id,
    headline,
    summary,
    author,
    created_at: at,
    updated_at: at,
    url,
    content,
    symbols,
  }
  return { T: 'n', ...told, source: 'sandbox' }
}
