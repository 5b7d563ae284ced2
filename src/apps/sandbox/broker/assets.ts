import { decimal, type Decimal } from './decimals.ts'

export type AssetClass = 'us_equity' | 'crypto'

/** One asset that can be traded, or could be traded once. */
export type Asset = Readonly<{
  id: string
  symbol: string
  name: string
  assetClass: AssetClass
  exchange: string
  /** The start of the random walk, and the previous close, USD. */
  basePrice: Decimal
  /** Price steps per move. A large number keeps days of virtual time affordable. */
  stepsPerMove: number
  status: 'active' | 'inactive'
  tradable: boolean
  shortable: boolean
  fractionable: boolean
}>

const BUSY = 1
const QUIET = 20

const common = { status: 'active', tradable: true, fractionable: true } as const

const stock = (
  id: string,
  symbol: string,
  name: string,
  exchange: string,
  basePrice: string,
): Asset => ({
  ...common,
  id,
  symbol,
  name,
  exchange,
  assetClass: 'us_equity',
  stepsPerMove: BUSY,
  shortable: true,
  basePrice: decimal(basePrice),
})

const quiet = (...fields: Parameters<typeof stock>): Asset => ({
  ...stock(...fields),
  stepsPerMove: QUIET,
})

const coin = (
  id: string,
  symbol: string,
  name: string,
  basePrice: string,
  stepsPerMove: number,
): Asset => ({
  ...common,
  id,
  symbol,
  name,
  exchange: 'CRYPTO',
  assetClass: 'crypto',
  stepsPerMove,
  shortable: false,
  basePrice: decimal(basePrice),
})

/**
 * The stocks and coins that most clients ask for first, and one asset for each reason to refuse an
 * asset.
 */
const catalogue: readonly Asset[] = [
  stock(
    'b0b6dd9d-8b9b-48a9-ba46-b9d54906e415',
    'AAPL',
    'Apple Inc. Common Stock',
    'NASDAQ',
    '185.10',
  ),
  stock(
    'b6d1aa75-5c9c-4353-a305-9e2caa1925ab',
    'MSFT',
    'Microsoft Corporation Common Stock',
    'NASDAQ',
    '410.25',
  ),
  stock(
    '8ccae427-5dd0-45b3-b5fe-7ba5e422c766',
    'TSLA',
    'Tesla, Inc. Common Stock',
    'NASDAQ',
    '248.40',
  ),
  stock(
    '4ce9353c-66d1-46c2-898f-fce867ab0247',
    'NVDA',
    'NVIDIA Corporation Common Stock',
    'NASDAQ',
    '131.75',
  ),
  stock('b28f4066-5c6d-479b-a2af-85dc1a8f16fb', 'SPY', 'SPDR S&P 500 ETF Trust', 'ARCA', '520.00'),
  stock(
    'f801f835-bfe6-4a9d-a6b1-ccbb84bfd75f',
    'AMZN',
    'Amazon.com, Inc. Common Stock',
    'NASDAQ',
    '182.60',
  ),
  coin('276e2673-764b-4ab6-a611-caf665ca6340', 'BTC/USD', 'Bitcoin  / US Dollar', '64250.00', BUSY),
  quiet(
    '5f1b3c0a-6d52-4f0e-9a61-0d6f3a7f1c01',
    'AMD',
    'Advanced Micro Devices, Inc. Common Stock',
    'NASDAQ',
    '158.30',
  ),
  quiet('5f1b3c0a-6d52-4f0e-9a61-0d6f3a7f1c02', 'DIS', 'The Walt Disney Company', 'NYSE', '101.45'),
  quiet(
    '5f1b3c0a-6d52-4f0e-9a61-0d6f3a7f1c03',
    'F',
    'Ford Motor Company Common Stock',
    'NYSE',
    '11.52',
  ),
  quiet(
    '5f1b3c0a-6d52-4f0e-9a61-0d6f3a7f1c04',
    'GLD',
    'SPDR Gold Trust, SPDR Gold Shares',
    'ARCA',
    '243.10',
  ),
  quiet(
    '5f1b3c0a-6d52-4f0e-9a61-0d6f3a7f1c05',
    'GOOG',
    'Alphabet Inc. Class C Capital Stock',
    'NASDAQ',
    '171.90',
  ),
  quiet(
    '5f1b3c0a-6d52-4f0e-9a61-0d6f3a7f1c06',
    'GOOGL',
    'Alphabet Inc. Class A Common Stock',
    'NASDAQ',
    '170.35',
  ),
  quiet(
    '5f1b3c0a-6d52-4f0e-9a61-0d6f3a7f1c07',
    'INTC',
    'Intel Corporation Common Stock',
    'NASDAQ',
    '24.60',
  ),
  quiet('5f1b3c0a-6d52-4f0e-9a61-0d6f3a7f1c08', 'JPM', 'JPMorgan Chase & Co.', 'NYSE', '221.70'),
  quiet(
    '5f1b3c0a-6d52-4f0e-9a61-0d6f3a7f1c09',
    'META',
    'Meta Platforms, Inc. Class A Common Stock',
    'NASDAQ',
    '563.25',
  ),
  quiet(
    '5f1b3c0a-6d52-4f0e-9a61-0d6f3a7f1c0a',
    'NFLX',
    'Netflix, Inc. Common Stock',
    'NASDAQ',
    '702.80',
  ),
  quiet(
    '5f1b3c0a-6d52-4f0e-9a61-0d6f3a7f1c0b',
    'QQQ',
    'Invesco QQQ Trust, Series 1',
    'NASDAQ',
    '481.15',
  ),
  coin('a1733398-6acc-4e92-af24-0d0667f78713', 'ETH/USD', 'Ethereum / US Dollar', '2640.00', QUIET),
  coin('5f1b3c0a-6d52-4f0e-9a61-0d6f3a7f1c0c', 'SOL/USD', 'Solana / US Dollar', '168.50', QUIET),
  {
    ...quiet(
      '5f1b3c0a-6d52-4f0e-9a61-0d6f3a7f1c0d',
      'AMC',
      'AMC Entertainment Holdings, Inc.',
      'NYSE',
      '4.55',
    ),
    shortable: false,
  },
  {
    ...quiet(
      '5f1b3c0a-6d52-4f0e-9a61-0d6f3a7f1c0e',
      'BRK.A',
      'Berkshire Hathaway Inc. Class A',
      'NYSE',
      '612000.00',
    ),
    fractionable: false,
  },
  {
    ...quiet(
      '5f1b3c0a-6d52-4f0e-9a61-0d6f3a7f1c0f',
      'RGC',
      'Regencell Bioscience Holdings',
      'NASDAQ',
      '14.20',
    ),
    tradable: false,
    shortable: false,
    fractionable: false,
  },
  {
    ...coin(
      '5f1b3c0a-6d52-4f0e-9a61-0d6f3a7f1c10',
      'MKR/USD',
      'Maker / US Dollar',
      '1480.00',
      QUIET,
    ),
    status: 'inactive',
    tradable: false,
  },
]

const byName = new Map(
  catalogue.flatMap((asset) =>
    [asset.symbol, asset.id, positionSymbol(asset)].map((n) => [n, asset]),
  ),
)

export const assets: readonly Asset[] = catalogue

/**
 * Finds an asset by symbol, by asset id, or by a pair's name without its slash, as positions show
 * it. Case-sensitive.
 */
export const findAsset = (name: string): Asset | undefined => byName.get(name)

/** The symbol in positions: a pair without its slash. */
export function positionSymbol(asset: Asset): string {
  return asset.symbol.replace('/', '')
}
