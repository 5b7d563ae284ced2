import type { Clock } from '#runtime'
import type { Asset, AssetClass } from '../broker/assets.ts'
import type { Broker } from '../broker/broker.ts'
import type { Market } from '../broker/prices.ts'
import { Refusal } from '../broker/refusal.ts'
import type { DataPlan } from '../streams/data-stream.ts'
import { barPage, barQueryOf } from './bar-queries.ts'
import { checkFeed, invalidParameter, noData, symbolOf, symbolsOf } from './data-queries.ts'
import { lastBarJson, orderbookJson, quoteJson, snapshotJson, tradeJson } from './market-shapes.ts'
import type { OpenCall, OpenHandler, OpenRoutes } from './router.ts'
import type { Json } from './shapes.ts'

/**
 * The market data host: snapshots, the latest of each kind, and bars, of stocks and of crypto. Single trades and quotes of the past
 * are not kept, and made-up ones would contradict the bars: asking for them is refused in so many words.
 */

type Shape = (market: Market) => Json

/** Where crypto is traded, as paths name it; here all are the same market. */
const CRYPTO_LOCATIONS = ['us', 'us-1', 'us-2', 'eu-1', 'bs-1']

const ok = (body: unknown) => ({ status: 200, body })

/** Each symbol of `symbols` that is known, as that shape. */
function keyed(broker: Broker, query: URLSearchParams, assetClass: AssetClass, shape: Shape): Json {
  const assets = symbolsOf(query, assetClass)
  return Object.fromEntries(assets.map((asset) => [asset.symbol, shape(broker.prices.of(asset))]))
}

function checkLocation({ params }: OpenCall): void {
  const location = params['loc'] ?? ''
  if (!CRYPTO_LOCATIONS.includes(location)) throw invalidParameter(`invalid location: ${location}`)
}

function stockOf({ params }: OpenCall, what: string): Asset {
  const name = params['symbol'] ?? ''
  const asset = symbolOf(name, 'us_equity')
  if (asset === undefined) throw noData(what, name)
  return asset
}

/** Routes that answer the newest there is, many symbols at once or one. */
function latestStockRoutes(broker: Broker, clock: Clock, plan: DataPlan): OpenRoutes {
  const many = ({ query }: OpenCall, shape: Shape): Json => {
    checkFeed(query, plan, clock.now(), clock.now())
    return keyed(broker, query, 'us_equity', shape)
  }
  const one = (call: OpenCall, what: string, shape: Shape): readonly [symbol: string, latest: Json] => {
    checkFeed(call.query, plan, clock.now(), clock.now())
    const asset = stockOf(call, what)
    return [asset.symbol, shape(broker.prices.of(asset))]
  }
  const kinds = [
    ['quote', quoteJson],
    ['trade', tradeJson],
    ['bar', lastBarJson],
  ] as const
  const latest = kinds.flatMap(([kind, shape]): (readonly [string, OpenHandler])[] => [
    [`GET /v2/stocks/${kind}s/latest`, (call) => ok({ [`${kind}s`]: many(call, shape) })],
    [
      `GET /v2/stocks/:symbol/${kind}s/latest`,
      (call) => {
        const [symbol, body] = one(call, kind, shape)
        return ok({ symbol, [kind]: body })
      },
    ],
  ])
  return {
    'GET /v2/stocks/snapshots': (call) => ok(many(call, snapshotJson)),
    'GET /v2/stocks/:symbol/snapshot': (call) => {
      const [symbol, snapshot] = one(call, 'snapshot', snapshotJson)
      return ok({ symbol, ...snapshot })
    },
    ...Object.fromEntries(latest),
  }
}

function manyBars(broker: Broker, { query }: OpenCall, assetClass: AssetClass, nowMs: number, plan: DataPlan): Json {
  const { bars, nextPageToken } = barPage(broker, symbolsOf(query, assetClass), barQueryOf(query, plan, nowMs))
  return { bars, next_page_token: nextPageToken }
}

function noTicksOfThePast(): never {
  const message =
    'past trades and quotes are not kept by the sandbox: ask for bars or the latest, or listen to the stream'
  throw new Refusal(501, undefined, message)
}

export const stockDataRoutes = (broker: Broker, clock: Clock, plan: DataPlan): OpenRoutes => ({
  ...latestStockRoutes(broker, clock, plan),
  'GET /v2/stocks/bars': (call) => ok(manyBars(broker, call, 'us_equity', clock.now(), plan)),
  'GET /v2/stocks/:symbol/bars': (call) => {
    const asset = stockOf(call, 'bar')
    const { bars, nextPageToken } = barPage(broker, [asset], barQueryOf(call.query, plan, clock.now()))
    return ok({ symbol: asset.symbol, bars: bars[asset.symbol] ?? [], next_page_token: nextPageToken })
  },
  'GET /v2/stocks/trades': noTicksOfThePast,
  'GET /v2/stocks/quotes': noTicksOfThePast,
  'GET /v2/stocks/:symbol/trades': noTicksOfThePast,
  'GET /v2/stocks/:symbol/quotes': noTicksOfThePast,
})

/** Open to all: no keys, and no plan. */
export function cryptoDataRoutes(broker: Broker, clock: Clock): OpenRoutes {
  const kinds = [
    ['snapshots', 'snapshots', snapshotJson],
    ['latest/quotes', 'quotes', quoteJson],
    ['latest/trades', 'trades', tradeJson],
    ['latest/bars', 'bars', lastBarJson],
    ['latest/orderbooks', 'orderbooks', orderbookJson],
  ] as const
  const latest = kinds.map(([path, key, shape]): readonly [string, OpenHandler] => [
    `GET /v1beta3/crypto/:loc/${path}`,
    (call) => {
      checkLocation(call)
      return ok({ [key]: keyed(broker, call.query, 'crypto', shape) })
    },
  ])
  return {
    ...Object.fromEntries(latest),
    'GET /v1beta3/crypto/:loc/bars': (call) => {
      checkLocation(call)
      return ok(manyBars(broker, call, 'crypto', clock.now(), {}))
    },
    'GET /v1beta3/crypto/:loc/trades': noTicksOfThePast,
    'GET /v1beta3/crypto/:loc/quotes': noTicksOfThePast,
  }
}
