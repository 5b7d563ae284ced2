import { type Books, settle } from './account.ts'
import type { ActivityTerms } from './activity.ts'
import { type Asset, positionSymbol } from './assets.ts'
import { decimal, type Decimal, DECIMAL_PLACES_MAX, zero } from './decimals.ts'
import type { Side } from './order.ts'

/**
 * The broker's fee on a crypto trade: a share of the execution's proceeds, coins of a buy, dollars
 * of a sale. An order's filled quantity stays gross; the position or the cash grows by less.
 * Invariants:
 * - the fee of an execution is in `fees` at the price of that execution;
 * - returning a fee restores the books as if the fee had never been taken.
 */

/** 25 basis points: a paper account pays this rate at any volume. */
const RATE = decimal('0.0025')
const CENT_PLACES = 2

/** The execution that the fee is for. */
type Paid = Readonly<{ asset: Asset; side: Side; qty: Decimal; price: Decimal }>

/** The fee in coins is sold at the price of the execution, and the proceeds are added to `fees`. */
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
 * Takes the fee of an execution, after its settlement.
 * @returns the activity to book; undefined if there is no fee
 */
export const takeFee = (account: Books, paid: Paid): ActivityTerms | undefined =>
  move(account, paid, 1)

/** Returns the fee of an execution, before the execution is undone. */
export const returnFee = (account: Books, paid: Paid): ActivityTerms | undefined =>
  move(account, paid, -1)
