import { findAsset } from '../broker/assets.ts'
import type { Broker } from '../broker/broker.ts'
import { invalid, notFound } from '../broker/refusal.ts'
import { snapshotJson } from './market-shapes.ts'
import { listOf } from './order-queries.ts'
import type { Call, Routes } from './router.ts'
import type { Json } from './shapes.ts'

/** The market data host: snapshots. Unknown symbols are left out, as the broker does. */

const SYMBOLS_PER_REQUEST_MAX = 500

function snapshots(broker: Broker, { query }: Call, assetClass: string): Json {
  const symbols = listOf(query, 'symbols')
  if (symbols.length === 0) throw invalid('symbols is required')
  if (symbols.length > SYMBOLS_PER_REQUEST_MAX) throw invalid(`at most ${SYMBOLS_PER_REQUEST_MAX} symbols`)
  const found = symbols.map(findAsset).filter((asset) => asset?.assetClass === assetClass)
  return Object.fromEntries(
    found.flatMap((asset) => (asset === undefined ? [] : [[asset.symbol, snapshotJson(broker.prices.of(asset))]])),
  )
}

export const dataRoutes = (broker: Broker): Routes => ({
  'GET /v2/stocks/snapshots': (call) => ({ status: 200, body: snapshots(broker, call, 'us_equity') }),
  'GET /v2/stocks/:symbol/snapshot': ({ params }) => {
    const asset = findAsset(params['symbol'] ?? '')
    if (asset?.assetClass !== 'us_equity') throw notFound(`symbol not found: ${params['symbol'] ?? ''}`)
    return { status: 200, body: { symbol: asset.symbol, ...snapshotJson(broker.prices.of(asset)) } }
  },
  'GET /v1beta3/crypto/us/snapshots': (call) => ({
    status: 200,
    body: { snapshots: snapshots(broker, call, 'crypto') },
  }),
})
