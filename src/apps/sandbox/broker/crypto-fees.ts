import { type Books, settle } from './account.ts'
import type { ActivityTerms } from './activity.ts'
import { type Asset, positionSymbol } from './assets.ts'
import { decimal, type Decimal, DECIMAL_PLACES_MAX, zero } from './decimals.ts'
import type { Side } from './order.ts'

/**
 * What the broker takes of a crypto trade: a share of what the execution brings in, coins of a buy,
 * dollars of a sale. An order's filled quantity stays gross; the position, or the cash, is smaller
 * than it says. Invariant: what is taken is in `fees` at the price of its execution, and a fee that
 * is given back leaves the books as if it had never been taken.
 */

/** 25 basis points, as paper accounts pay whatever they trade. */
const RATE = decimal('0.0025')
const CENT_PLACES = 2

/** The execution that is paid for. */
type Paid = Readonly<{ asset: Asset; side: Side; qty: Decimal; price: Decimal }>

/** Coins are sold at the price of their execution, and the proceeds are the fee. */
function moveCoins(account: Books, { asset, qty, price }: Paid, sign: 1 | -1): Decimal {
  const coins = qty.times(RATE).round(DECIMAL_PLACES_MAX, 0)
  if (coins.eq(0)) return zero
  settle(account, asset, sign === 1 ? 'sell' : 'buy', coins, price)
  const value = coins.times(price).times(sign)
  account.cash = account.cash.minus(value)
  account.fees = account.fees.plus(value)
  return coins.times(-sign)
}

function moveDollars(account: Books, { qty, price }: Paid, sign: 1 | -1): Decimal {
  const amount = qty.times(price).times(RATE).round(CENT_PLACES).times(sign)
  account.cash = account.cash.minus(amount)
  account.fees = account.fees.plus(amount)
  return amount.times(-1)
}

function move(account: Books, paid: Paid, sign: 1 | -1): ActivityTerms | undefined {
  const { asset, side } = paid
  if (asset.assetClass !== 'crypto') return undefined
  const coins = side === 'buy' ? moveCoins(account, paid, sign) : zero
  const netAmount = side === 'sell' ? moveDollars(account, paid, sign) : zero
  if (coins.eq(0) && netAmount.eq(0)) return undefined
  return side === 'buy'
    ? {
        type: 'CFEE',
        description: 'Coin Pair Transaction Fee (Non USD)',
        netAmount,
        qty: coins,
        symbol: positionSymbol(asset),
      }
    : { type: 'FEE', description: 'Coin Pair Transaction Fee', netAmount }
}

/**
 * Takes the fee of an execution, after it is settled.
 * @returns how it is written down; undefined when there is none
 */
export const takeFee = (account: Books, paid: Paid): ActivityTerms | undefined =>
  move(account, paid, 1)

/** Gives it back, before the execution is undone. */
export const returnFee = (account: Books, paid: Paid): ActivityTerms | undefined =>
  move(account, paid, -1)
