import { decimal, type Decimal } from './decimals.ts'

export type AssetClass = 'us_equity' | 'crypto'

/** One thing that can be traded. */
export type Asset = Readonly<{
  id: string
  symbol: string
  name: string
  assetClass: AssetClass
  exchange: string
  /** Where the random walk starts, and the previous close, USD. */
  basePrice: Decimal
  shortable: boolean
  fractionable: boolean
}>

const stock = (id: string, symbol: string, name: string, exchange: string, basePrice: string): Asset => ({
  id,
  symbol,
  name,
  assetClass: 'us_equity',
  exchange,
  basePrice: decimal(basePrice),
  shortable: true,
  fractionable: true,
})

const catalogue: readonly Asset[] = [
  stock('b0b6dd9d-8b9b-48a9-ba46-b9d54906e415', 'AAPL', 'Apple Inc. Common Stock', 'NASDAQ', '185.10'),
  stock('b6d1aa75-5c9c-4353-a305-9e2caa1925ab', 'MSFT', 'Microsoft Corporation Common Stock', 'NASDAQ', '410.25'),
  stock('8ccae427-5dd0-45b3-b5fe-7ba5e422c766', 'TSLA', 'Tesla, Inc. Common Stock', 'NASDAQ', '248.40'),
  stock('4ce9353c-66d1-46c2-898f-fce867ab0247', 'NVDA', 'NVIDIA Corporation Common Stock', 'NASDAQ', '131.75'),
  stock('b28f4066-5c6d-479b-a2af-85dc1a8f16fb', 'SPY', 'SPDR S&P 500 ETF Trust', 'ARCA', '520.00'),
  stock('f801f835-bfe6-4a9d-a6b1-ccbb84bfd75f', 'AMZN', 'Amazon.com, Inc. Common Stock', 'NASDAQ', '182.60'),
  {
    id: '276e2673-764b-4ab6-a611-caf665ca6340',
    symbol: 'BTC/USD',
    name: 'Bitcoin  / US Dollar',
    assetClass: 'crypto',
    exchange: 'CRYPTO',
    basePrice: decimal('64250.00'),
    shortable: false,
    fractionable: true,
  },
]

const byName = new Map(
  catalogue.flatMap((asset) => [asset.symbol, asset.id, positionSymbol(asset)].map((n) => [n, asset])),
)

export const assets: readonly Asset[] = catalogue

/** Finds an asset by symbol, asset id, or the slashless form of a pair that positions show. Case counts. */
export const findAsset = (name: string): Asset | undefined => byName.get(name)

/** Positions name a pair without its slash. */
export function positionSymbol(asset: Asset): string {
  return asset.symbol.replace('/', '')
}
