import { Big } from 'big.js'
import { expect } from 'vitest'
import type { AccountLedger } from '#sandbox'

// Random trading and the identities that the books must keep through it, for the suites that play
// it.

/** One row of a ledger, as JSON. */
export type Row = Record<string, string | null>

const total = (values: readonly Big[]): Big =>
  values.reduce((sum, value) => sum.plus(value), new Big(0))
const signed = ({ qty, side }: Row): Big => new Big(qty ?? 0).times(side === 'buy' ? 1 : -1)

/** Every identity that an account's books must keep. @throws naming the one that does not hold */
export function checkBooks(account: AccountLedger): void {
  const executions = account.executions as Row[]
  const atCost = total(account.positions.map(({ cost }) => new Big(cost)))
  const books = new Big(account.cash).plus(atCost).plus(account.fees).minus(account.realized)
  expect(books.toFixed(), 'cash + positions at cost + fees = deposits + realized').toBe(
    account.deposits,
  )
  const spent = total(executions.map((row) => signed(row).times(row['price'] ?? 0)))
  const moves = account.activities as Row[]
  const moved = total(moves.map((row) => new Big(row['net_amount'] ?? 0)))
  const cash = new Big(account.cash).plus(spent).minus(moved)
  expect(cash.toFixed(), 'cash = deposits - executions + activities').toBe(account.deposits)
  const amended = new Set(account.amendments.map((row) => row['order_id']))
  const byOrder = Map.groupBy(executions, (row) => row['order_id'])
  for (const order of account.orders as Row[]) {
    const filled = total((byOrder.get(order['id'] ?? '') ?? []).map(({ qty }) => new Big(qty ?? 0)))
    expect(filled.toFixed(), 'sum of executions = filled quantity').toBe(order['filled_qty'])
    if (amended.has(order['id'])) continue
    expect(filled.lte(order['qty'] ?? 0)).toBe(true)
    if (order['status'] === 'filled') expect(order['filled_qty']).toBe(order['qty'])
  }
  for (const { symbol, qty } of account.positions) {
    const isOwn = (row: Row): boolean => row['symbol']?.replace('/', '') === symbol
    const own = total(executions.filter(isOwn).map(signed))
    const fees = total(moves.filter(isOwn).map((row) => new Big(row['qty'] ?? 0)))
    expect(own.plus(fees).toFixed(), 'position = sum of executions and activities').toBe(qty)
  }
}

/**
 * Random, but the same for the same seed: a small linear congruential generator, apart from the
 * sandbox's own.
 */
export function dice(seed: number): (sides: number) => number {
  let state = seed
  return (sides) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * sides)
  }
}

/** The terms of a random order: every type, at prices round where the market is. */
export function randomOrder(roll: (sides: number) => number): Record<string, unknown> {
  const side = roll(2) === 0 ? 'buy' : 'sell'
  if (roll(8) === 0) {
    return {
      symbol: 'BTC/USD',
      side,
      type: 'market',
      time_in_force: 'gtc',
      qty: `0.0${roll(99)}${1 + roll(9)}`,
    }
  }
  const near = (offset: number): string => (185 + offset * (side === 'buy' ? 1 : -1)).toFixed(2)
  const loss = { stop_price: near(-1 - roll(9)) }
  const kinds: readonly Record<string, unknown>[] = [
    { type: 'market' },
    { type: 'limit', limit_price: near(roll(30) - 15) },
    { type: 'stop', stop_price: near(roll(20)) },
    { type: 'stop_limit', stop_price: near(roll(20)), limit_price: near(roll(20)) },
    { type: 'trailing_stop', trail_price: String(1 + roll(9)) },
    {
      type: 'market',
      order_class: 'bracket',
      take_profit: { limit_price: near(1 + roll(9)) },
      stop_loss: loss,
    },
    { type: 'limit', limit_price: near(0), order_class: 'oto', stop_loss: loss },
    {
      type: 'limit',
      order_class: 'oco',
      take_profit: { limit_price: near(-roll(9)) },
      stop_loss: { stop_price: near(9) },
    },
  ]
  return {
    symbol: roll(3) === 0 ? 'MSFT' : 'AAPL',
    side,
    time_in_force: 'day',
    ...(roll(4) === 0 ? { qty: `${roll(5)}.${roll(9) + 1}` } : { qty: String(1 + roll(40)) }),
    ...kinds[roll(kinds.length)],
  }
}
