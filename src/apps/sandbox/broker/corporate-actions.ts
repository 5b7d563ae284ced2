import type { Randomness } from '../randomness.ts'
import type { Stamps } from '../stamps.ts'
import { type Account, type Position, positionOf } from './account.ts'
import type { Asset } from './assets.ts'
import { asPrice, type Decimal, decimal, isWhole, zero } from './decimals.ts'
import type { Matcher } from './matcher.ts'
import { bookActivity, type MoneyMove } from './money-moves.ts'
import type { Prices } from './prices.ts'

/**
 * A corporate action on a stock, applied to every account at once. It creates no order: it changes
 * positions and books activities. A split leaves resting orders unchanged, at their old prices. A
 * symbol change cancels the open orders of the old symbol.
 */
export type CorporateAction =
  /** `ratio` is new shares per old share: 10 forward, 0.1 in reverse. */
  | Readonly<{ type: 'split'; asset: Asset; ratio: Decimal }>
  /** Positions move to `to`, which takes over the price. No account may hold `to` already. */
  | Readonly<{ type: 'symbol_change'; asset: Asset; to: Asset }>

/** The objects that a corporate action works on. */
type Market = Readonly<{
  accounts: () => readonly Account[]
  prices: Prices
  matcher: Matcher
  stamps: Stamps
  randomness: Randomness
  moveMoney(account: Account, move: MoneyMove): void
  /** Called after activities that `moveMoney` did not book. */
  tell(account: Account): void
}>

const RATIO_MIN = decimal('0.001')
const RATIO_MAX = decimal('1000')

function checkStocks(...assets: readonly Asset[]): void {
  const other = assets.find(({ assetClass }) => assetClass !== 'us_equity')
  if (other !== undefined) throw new RangeError(`${other.symbol} is no stock`)
}

const holdersOf = ({ accounts }: Market, asset: Asset): readonly Account[] =>
  accounts().filter((account) => positionOf(account, asset) !== undefined)

/**
 * A position of whole shares stays whole: a fraction left by the split is paid in cash, at the
 * price after the split.
 */
function split(market: Market, asset: Asset, ratio: Decimal): number {
  checkStocks(asset)
  if (ratio.lt(RATIO_MIN) || ratio.gt(RATIO_MAX) || ratio.eq(1)) {
    throw new RangeError('a ratio is from 0.001 to 1000, and not 1')
  }
  const holders = holdersOf(market, asset)
  const lieuPrice = asPrice(market.prices.of(asset).last.div(ratio))
  market.prices.split(asset, ratio, () => {
    for (const account of holders) {
      const paysFractions = isWhole(positionOf(account, asset)?.qty ?? zero)
      market.moveMoney(account, {
        type: 'SPLIT',
        asset,
        amount: ratio,
        ...(paysFractions ? { lieuPrice } : {}),
      })
    }
  })
  return holders.length
}

/** Books the old symbol out and the new symbol in, each as an activity of its own. */
function rename(market: Market, account: Account, position: Position, to: Asset): void {
  const { asset, qty } = position
  account.positions.delete(asset.symbol)
  account.positions.set(to.symbol, { ...position, asset: to })
  const description = `${asset.symbol} is now ${to.symbol}`
  for (const [symbol, change] of [
    [asset.symbol, qty.times(-1)],
    [to.symbol, qty],
  ] as const) {
    const terms = { type: 'NC', description, netAmount: zero, symbol, qty: change } as const
    bookActivity(account, terms, market.stamps, market.randomness)
  }
  market.tell(account)
}

function changeSymbol(market: Market, asset: Asset, to: Asset): number {
  checkStocks(asset, to)
  if (asset === to) throw new RangeError('a new symbol is another one')
  if (holdersOf(market, to).length > 0)
    throw new RangeError(`an account holds ${to.symbol} already`)
  const holders = holdersOf(market, asset)
  for (const account of market.accounts()) market.matcher.cancelAtOnce(account, asset)
  for (const account of holders) {
    const position = positionOf(account, asset)
    if (position !== undefined) rename(market, account, position, to)
  }
  market.prices.continueAs(asset, to)
  return holders.length
}

/**
 * Performs one corporate action.
 * @returns how many accounts held the stock
 * @throws {RangeError} the action is not possible; accounts and prices are then unchanged
 */
export const actOn = (market: Market, action: CorporateAction): number =>
  action.type === 'split'
    ? split(market, action.asset, action.ratio)
    : changeSymbol(market, action.asset, action.to)
