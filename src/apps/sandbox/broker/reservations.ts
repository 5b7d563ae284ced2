import { type Account, type Position, positionQty } from './account.ts'
import type { Asset } from './assets.ts'
import { type Decimal, larger, smaller, sum, zero } from './decimals.ts'
import { unitsHeld } from './holds.ts'
import type { Prices } from './prices.ts'

/** The funds and shares of an account that open orders leave available. */

/** Shares of the position that open orders hold for closing it. */
export function heldQty(account: Account, asset: Asset): Decimal {
  const qty = positionQty(account, asset)
  return qty.eq(0)
    ? zero
    : smaller(unitsHeld(account.holds, asset, qty.gt(0) ? 'sell' : 'buy'), qty.abs())
}

/** The worth of the account and its buying power, all at the last prices. */
type Funds = Readonly<{
  longValue: Decimal
  shortValue: Decimal
  equity: Decimal
  lastEquity: Decimal
  initialMargin: Decimal
  maintenanceMargin: Decimal
  buyingPower: Decimal
  freeCash: Decimal
}>

export function fundsOf(account: Account, prices: Prices): Funds {
  const positions = [...account.positions.values()]
  const value = (position: Position): Decimal => position.qty.times(prices.of(position.asset).last)
  const longValue = sum(positions.filter(({ qty }) => qty.gt(0)).map(value))
  const shortValue = sum(positions.filter(({ qty }) => qty.lt(0)).map(value))
  const equity = account.cash.plus(longValue).plus(shortValue)
  const previous = sum(positions.map(({ asset, qty }) => qty.times(prices.of(asset).previousClose)))
  const gross = longValue.minus(shortValue)
  const held = account.holds.power
  const initialMargin = gross.div(account.multiplier)
  const power =
    account.multiplier === 1
      ? account.cash
      : larger(zero, equity.minus(initialMargin)).times(account.multiplier)
  return {
    longValue,
    shortValue,
    equity,
    lastEquity: account.cash.plus(previous),
    initialMargin,
    maintenanceMargin: gross.times(30).div(100),
    buyingPower: larger(zero, power.minus(held)),
    freeCash: larger(zero, account.cash.minus(held)),
  }
}
