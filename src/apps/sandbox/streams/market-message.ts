import { z } from 'zod'
import { type Asset, findAsset } from '../broker/assets.ts'
import type { Market, Prices } from '../broker/prices.ts'
import { type TradingStatus, tradingStatuses } from '../http/market-shapes.ts'
import type { Json } from '../http/shapes.ts'
import { secondStamp } from '../stamps.ts'
import type { News } from './data-stream.ts'

/**
 * Messages of the market data streams that nothing in this market gives rise to: a halt of one
 * symbol, its price bands, a trade corrected or taken back, an imbalance before an auction, an
 * article. They are told by command; the market itself does not change.
 */

const SYMBOLS_PER_ARTICLE_MAX = 50
const TEXT_LENGTH_MAX = 10_000
const symbol = z.string().min(1).max(32)
const price = z.number().positive().max(1_000_000_000)
const size = z.int().min(1).max(1_000_000_000)
const text = z.string().max(TEXT_LENGTH_MAX)

/** As a command gives it. What is left out follows from the market as it stands. */
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
  /** The last trade is taken back: canceled (default), or an error. */
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
/** What concerns one stock. */
type StockMessage = Exclude<MarketMessage, Article>

/** Where the price bands are, as parts of the last price. */
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

/** Corrections and cancellations follow the trades that they are about. */
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

/** What is told of one stock, as its feeds carry it. @throws {RangeError} there is no such stock */
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

/** An article as the news feed carries it: its times are text in either encoding. */
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
