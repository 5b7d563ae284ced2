import { type Decimal, mul } from './decimal.ts'

/** What the broker says of something that can be traded, as far as the door rules need it. */
export type Asset = Readonly<{
  /** The one name of the asset here: `AAPL`, `BRK.B`, `BTC/USD`. */
  symbol: string
  /** `other`: a class that this code does not know; the broker decides on its orders. */
  assetClass: 'us_equity' | 'crypto' | 'other'
  isTradable: boolean
  isFractionable: boolean
  isShortable: boolean
  /** Coins or shares; `null`: the broker names none. */
  quantityMin: Decimal | null
  quantityIncrement: Decimal | null
  priceIncrement: Decimal | null
}>

/**
 * What the list of assets says of a symbol. `unknown`: there is no list (yet), or it is not whole:
 * nothing follows from it.
 */
export type AssetAnswer = Readonly<
  { kind: 'listed'; asset: Asset } | { kind: 'not_listed' } | { kind: 'unknown' }
>

/**
 * Currencies in which the broker quotes pairs. Shares have at most five letters, so that the two
 * cannot be mixed up.
 */
const SLASHLESS_PAIR = /^([A-Z0-9]{2,12}?)(USDT|USDC|USD|BTC)$/
const PAIR_LENGTH_MIN = 6

/** The one name of an asset, as far as its syntax tells: a pair has its slash. */
export const canonicalSymbol = (symbol: string): string => slashedPair(symbol) ?? symbol

/** `ETHUSD` -> `ETH/USD`; `null` when the symbol is no pair without its slash. */
export function slashedPair(symbol: string): string | null {
  const [, base, quote] = symbol.length < PAIR_LENGTH_MIN ? [] : (SLASHLESS_PAIR.exec(symbol) ?? [])
  return base === undefined || quote === undefined ? null : `${base}/${quote}`
}

/** Options are named by their contract: `AAPL240119C00100000`. */
const OPTION = /^[A-Z0-9]{1,6}\d{6}[CP]\d{8}$/
const OPTION_LENGTH_MIN = 16
export const isOption = (symbol: string): boolean =>
  symbol.length >= OPTION_LENGTH_MIN && OPTION.test(symbol)

/** Shares of one contract, where nothing says otherwise. */
const SHARES_PER_CONTRACT = '100' as Decimal

/**
 * What one unit of an asset costs at a price as brokers write it: options are priced by the share,
 * and held by the contract.
 */
export const unitPrice = (symbol: string, price: Decimal): Decimal =>
  isOption(symbol) ? mul(price, SHARES_PER_CONTRACT) : price

/** Whether prices of the asset are in USD, so that they can be booked. */
export const isQuotedInUsd = (symbol: string): boolean =>
  !symbol.includes('/') || symbol.endsWith('/USD')
