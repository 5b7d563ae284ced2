import { type Decimal, mul } from './decimal.ts'

/** The broker's entry of a tradable asset, with the fields that the door rules need. */
export type Asset = Readonly<{
  /** The canonical symbol: `AAPL`, `BRK.B`, `BTC/USD`. */
  symbol: string
  /**
   * `other`: a class that this code does not know. The broker decides on orders for such an asset.
   */
  assetClass: 'us_equity' | 'crypto' | 'other'
  isTradable: boolean
  isFractionable: boolean
  isShortable: boolean
  /** In coins or shares; `null`: the broker gives no minimum. */
  quantityMin: Decimal | null
  quantityIncrement: Decimal | null
  priceIncrement: Decimal | null
}>

/**
 * The result of a look-up in the asset list. `unknown`: there is no complete list, so no rule may
 * use the answer.
 */
export type AssetAnswer = Readonly<
  { kind: 'listed'; asset: Asset } | { kind: 'not_listed' } | { kind: 'unknown' }
>

/**
 * Currencies in which the broker quotes pairs. Share symbols have at most five letters, so a share
 * cannot be mistaken for a pair.
 */
const SLASHLESS_PAIR = /^([A-Z0-9]{2,12}?)(USDT|USDC|USD|BTC)$/
const PAIR_LENGTH_MIN = 6

/** The canonical symbol, as far as the syntax alone decides: a pair has its slash. */
export const canonicalSymbol = (symbol: string): string => slashedPair(symbol) ?? symbol

/** `ETHUSD` -> `ETH/USD`; `null` if the symbol is no pair without its slash. */
export function slashedPair(symbol: string): string | null {
  const [, base, quote] = symbol.length < PAIR_LENGTH_MIN ? [] : (SLASHLESS_PAIR.exec(symbol) ?? [])
  return base === undefined || quote === undefined ? null : `${base}/${quote}`
}

/** The symbol of an option is its contract: `AAPL240119C00100000`. */
const OPTION = /^[A-Z0-9]{1,6}\d{6}[CP]\d{8}$/
const OPTION_LENGTH_MIN = 16
export const isOption = (symbol: string): boolean =>
  symbol.length >= OPTION_LENGTH_MIN && OPTION.test(symbol)

/** Shares of one standard contract. */
const SHARES_PER_CONTRACT = '100' as Decimal

/**
 * The cost of one unit of an asset at a price as brokers write it. Options are priced by the share
 * and held by the contract.
 */
export const unitPrice = (symbol: string, price: Decimal): Decimal =>
  isOption(symbol) ? mul(price, SHARES_PER_CONTRACT) : price

/** Reports if prices of the asset are in USD. Only such prices can be booked. */
export const isQuotedInUsd = (symbol: string): boolean =>
  !symbol.includes('/') || symbol.endsWith('/USD')
