import type { Clock } from '#runtime'
import type { Asset, AssetClass } from '../broker/assets.ts'
import type { Broker } from '../broker/broker.ts'
import type { Market } from '../broker/prices.ts'
import type { DataPlan } from '../streams/data-stream.ts'
import { barPage, barQueryOf, type RangeQuery, rangeQueryOf } from './bar-queries.ts'
import { checkFeed, invalidParameter, noData, symbolOf, symbolsOf } from './data-queries.ts'
import { lastBarJson, orderbookJson, quoteJson, snapshotJson, tradeJson } from './market-shapes.ts'
import { type PastTicks, type TickKind, tickPage } from './past-ticks.ts'
import type { OpenCall, OpenHandler, OpenRoutes } from './router.ts'
import type { Json } from './shapes.ts'

/**
 * The market data host: snapshots, the latest data of each kind, bars, and the trades and quotes
 * since the start, for stocks and for crypto.
 */

type Shape = (market: Market) => Json

/** The crypto locations in paths; in the sandbox all locations are the same market. */
const CRYPTO_LOCATIONS = ['us', 'us-1', 'us-2', 'eu-1', 'bs-1']

const ok = (body: unknown) => ({ status: 200, body })

/** The data of each known symbol of `symbols`, in the given shape. */
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

/** Routes for the latest data, of many symbols at once or of one symbol. */
function latestStockRoutes(broker: Broker, clock: Clock, plan: DataPlan): OpenRoutes {
  const many = ({ query }: OpenCall, shape: Shape): Json => {
    checkFeed(query, plan, clock.now(), clock.now())
    return keyed(broker, query, 'us_equity', shape)
  }
  const one = (
    call: OpenCall,
    what: string,
    shape: Shape,
  ): readonly [symbol: string, latest: Json] => {
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

function manyBars(
  broker: Broker,
  { query }: OpenCall,
  assetClass: AssetClass,
  nowMs: number,
  plan: DataPlan,
): Json {
  const { bars, nextPageToken } = barPage(
    broker,
    symbolsOf(query, assetClass),
    barQueryOf(query, plan, nowMs),
  )
  return { bars, next_page_token: nextPageToken }
}

const tickKinds: readonly TickKind[] = ['trades', 'quotes']

function manyTicks(
  past: PastTicks,
  kind: TickKind,
  { query }: OpenCall,
  assetClass: AssetClass,
  range: RangeQuery,
): Json {
  const { ticks, nextPageToken } = tickPage(past, kind, symbolsOf(query, assetClass), range)
  return { [kind]: ticks, next_page_token: nextPageToken }
}

/** Past trades and quotes of stocks, of many symbols at once or of one symbol. */
function stockTickRoutes(past: PastTicks, clock: Clock, plan: DataPlan): OpenRoutes {
  const routes = tickKinds.flatMap((kind): (readonly [string, OpenHandler])[] => [
    [
      `GET /v2/stocks/${kind}`,
      (call) =>
        ok(manyTicks(past, kind, call, 'us_equity', rangeQueryOf(call.query, plan, clock.now()))),
    ],
    [
      `GET /v2/stocks/:symbol/${kind}`,
      (call) => {
        const asset = stockOf(call, kind.slice(0, -1))
        const { symbol } = asset
        const { ticks, nextPageToken } = tickPage(
          past,
          kind,
          [asset],
          rangeQueryOf(call.query, plan, clock.now()),
        )
        return ok({ symbol, [kind]: ticks[symbol] ?? [], next_page_token: nextPageToken })
      },
    ],
  ])
  return Object.fromEntries(routes)
}

export const stockDataRoutes = (
  broker: Broker,
  past: PastTicks,
  clock: Clock,
  plan: DataPlan,
): OpenRoutes => ({
  ...latestStockRoutes(broker, clock, plan),
  'GET /v2/stocks/bars': (call) => ok(manyBars(broker, call, 'us_equity', clock.now(), plan)),
  'GET /v2/stocks/:symbol/bars': (call) => {
    const asset = stockOf(call, 'bar')
    const { bars, nextPageToken } = barPage(
      broker,
      [asset],
      barQueryOf(call.query, plan, clock.now()),
    )
    return ok({
      symbol: asset.symbol,
      bars: bars[asset.symbol] ?? [],
      next_page_token: nextPageToken,
    })
  },
  ...stockTickRoutes(past, clock, plan),
})

/** Crypto data is open to all: it needs neither keys nor a plan. */
export function cryptoDataRoutes(broker: Broker, past: PastTicks, clock: Clock): OpenRoutes {
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
  const ticks = tickKinds.map((kind): readonly [string, OpenHandler] => [
    `GET /v1beta3/crypto/:loc/${kind}`,
    (call) => {
      checkLocation(call)
      return ok(manyTicks(past, kind, call, 'crypto', rangeQueryOf(call.query, {}, clock.now())))
    },
  ])
  return {
    ...Object.fromEntries(latest),
    'GET /v1beta3/crypto/:loc/bars': (call) => {
      checkLocation(call)
      return ok(manyBars(broker, call, 'crypto', clock.now(), {}))
    },
    ...Object.fromEntries(ticks),
  }
}
