import type { Randomness } from '../randomness.ts'
import type { Stamps } from '../stamps.ts'
import { type Account, type Books, positionOf, settle } from './account.ts'
import type { Activity, ActivityTerms } from './activity.ts'
import type { Asset } from './assets.ts'
import { type Decimal, zero } from './decimals.ts'
import { splitLots } from './lots.ts'

// Moves of an account's money and shares besides fills. Each move is booked once, in the same turn
// as its effect: deposits and journals change `deposits`, a fee changes `fees`, a dividend is
// profit, a split changes the quantity at the same cost.

/** A requested move. Amounts are above zero; the amount of a journal is signed. */
export type MoneyMove =
  | Readonly<{ type: 'CSD' | 'CSW' | 'JNLC' | 'FEE'; amount: Decimal; description?: string }>
  /** `amount` is per share; a short position pays. */
  | Readonly<{ type: 'DIV'; asset: Asset; amount: Decimal; description?: string }>
  /** `amount` is new shares per old share; with `lieuPrice` fractions of a share are paid out. */
  | Readonly<{
      type: 'SPLIT'
      asset: Asset
      amount: Decimal
      lieuPrice?: Decimal
      description?: string
    }>

type Effect = Omit<ActivityTerms, 'type' | 'description'>

const ACTIVITIES_PER_ACCOUNT_MAX = 100_000
const SPLIT_PLACES = 9

function moveCash(account: Account, type: 'CSD' | 'CSW' | 'JNLC' | 'FEE', amount: Decimal): Effect {
  const net = type === 'CSW' || type === 'FEE' ? amount.times(-1) : amount
  if (type !== 'FEE' && account.cash.plus(net).lt(0))
    throw new RangeError('there is not that much cash')
  account.cash = account.cash.plus(net)
  if (type === 'FEE') account.fees = account.fees.plus(amount)
  else account.deposits = account.deposits.plus(net)
  return { netAmount: net }
}

function payDividend(account: Account, asset: Asset, perShareAmount: Decimal): Effect {
  const qty = positionOf(account, asset)?.qty
  if (qty === undefined) throw new RangeError(`no position in ${asset.symbol}`)
  const netAmount = qty.times(perShareAmount).round(2)
  account.cash = account.cash.plus(netAmount)
  account.realized = account.realized.plus(netAmount)
  return { netAmount, symbol: asset.symbol, qty, perShareAmount }
}

/**
 * @param lieuPrice the price at which fractions of a share are paid out; without it fractions stay
 * @returns the change of the shares, and the cash
 * @throws {RangeError} there is no position to split, or the split would leave no shares
 */
export function splitPosition(
  account: Books,
  asset: Asset,
  ratio: Decimal,
  lieuPrice: Decimal | undefined,
): Pick<ActivityTerms, 'netAmount' | 'qty'> {
  const position = positionOf(account, asset)
  if (position === undefined) throw new RangeError(`no position in ${asset.symbol}`)
  const after = position.qty.times(ratio).round(SPLIT_PLACES)
  if (after.eq(0)) throw new RangeError('the split would leave nothing')
  const before = position.qty
  const cash = account.cash
  position.qty = after
  position.lots = splitLots(position.lots, ratio, after)
  const fraction = after.abs().minus(after.abs().round(0, 0))
  if (lieuPrice !== undefined && fraction.gt(0)) {
    settle(account, asset, after.gt(0) ? 'sell' : 'buy', fraction, lieuPrice)
  }
  return {
    netAmount: account.cash.minus(cash),
    qty: (positionOf(account, asset)?.qty ?? zero).minus(before),
  }
}

function split(
  account: Account,
  { asset, amount, lieuPrice }: Extract<MoneyMove, { type: 'SPLIT' }>,
): Effect {
  const moved = splitPosition(account, asset, amount, lieuPrice)
  const terms = { ...moved, symbol: asset.symbol, splitRatio: amount }
  return lieuPrice === undefined ? terms : { ...terms, lieuPrice }
}

/** Books an activity, in the same turn as its effect. */
export function bookActivity(
  account: Account,
  terms: ActivityTerms,
  stamps: Stamps,
  randomness: Randomness,
): Activity {
  const at = stamps.next()
  const id = `${at.slice(0, 10).replaceAll('-', '')}000000000::${randomness.uuid()}`
  const activity: Activity = {
    symbol: undefined,
    qty: undefined,
    perShareAmount: undefined,
    ...terms,
    id,
    at,
  }
  account.activities.push(activity)
  return activity
}

/** Applies moves. @returns the booked activity @throws {RangeError} the account cannot */
export function createMoneyMoves(
  stamps: Stamps,
  randomness: Randomness,
): (account: Account, move: MoneyMove) => Activity {
  return (account, move) => {
    const { type, amount, description = '' } = move
    if (account.activities.length >= ACTIVITIES_PER_ACCOUNT_MAX)
      throw new RangeError('too many activities')
    if (type !== 'JNLC' && amount.lte(0)) throw new RangeError('an amount is above zero')
    const effect =
      type === 'DIV'
        ? payDividend(account, move.asset, amount)
        : type === 'SPLIT'
          ? split(account, move)
          : moveCash(account, type, amount)
    return bookActivity(account, { type, description, ...effect }, stamps, randomness)
  }
}
