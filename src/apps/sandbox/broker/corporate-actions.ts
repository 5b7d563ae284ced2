import type { Chance } from '../chance.ts'
import type { Stamps } from '../stamps.ts'
import { type Account, type Position, positionOf } from './account.ts'
import type { Asset } from './assets.ts'
import { asPrice, type Decimal, decimal, isWhole, zero } from './decimals.ts'
import type { Matcher } from './matcher.ts'
import { bookActivity, type MoneyMove } from './money-moves.ts'
import type { Prices } from './prices.ts'

/**
 * What a company does to its shares, in every account at once. Nothing of it is an order: positions
 * change, activities say why. A split leaves resting orders as they are, at prices of before; under
 * a new symbol nothing rests: orders of the old one are canceled.
 */
export type CorporateAction =
  /** `ratio` is new shares for one old: 10 forward, 0.1 in reverse. */
  | Readonly<{ type: 'split'; asset: Asset; ratio: Decimal }>
  /** Positions go on as `to`, which takes over the price. No account may hold that already. */
  | Readonly<{ type: 'symbol_change'; asset: Asset; to: Asset }>

/** Where it is done. */
type Market = Readonly<{
  accounts: () => readonly Account[]
  prices: Prices
  matcher: Matcher
  stamps: Stamps
  chance: Chance
  moveMoney(account: Account, move: MoneyMove): void
  /** Called after activities that no move of money has booked. */
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
 * Shares that were whole stay whole: for what a split leaves over, cash is paid at the price after
 * it.
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

/** The old symbol goes and the new one comes, each by an activity of its own. */
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
    bookActivity(account, terms, market.stamps, market.chance)
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
 * Does one.
 * @returns how many accounts held the stock
 * @throws {RangeError} it cannot be done; nothing has changed then
 */
export const actOn = (market: Market, action: CorporateAction): number =>
  action.type === 'split'
    ? split(market, action.asset, action.ratio)
    : changeSymbol(market, action.asset, action.to)
