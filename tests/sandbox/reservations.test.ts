import { Big } from 'big.js'
import { expect, test } from 'vitest'
import { type Sandbox, startSandbox } from '#sandbox'
import { FakeClock } from '../support/fake-clock.ts'
import { dice, type Row } from './books.ts'
import { call } from './wire.ts'

/** The holds of open orders on an account, against figures worked out from its ledger. */

const keys = { 'apca-api-key-id': 'cash', 'apca-api-secret-key': 'only' }
const closed = new Set(['filled', 'canceled', 'expired', 'rejected', 'replaced'])
const sum = (values: readonly Big[]): Big =>
  values.reduce((total, value) => total.plus(value), new Big(0))
const left = ({ qty, filled_qty: filled }: Row): Big => new Big(qty ?? 0).minus(filled ?? 0)

/** A cash account holds the limit value of its remaining buys; its sells hold the shares. */
async function checkHolds(sandbox: Sandbox): Promise<void> {
  const books = sandbox.control.ledger('cash').accounts['cash']!
  const open = (books.orders as Row[]).filter(({ status }) => !closed.has(status ?? ''))
  const buys = open.filter(({ side }) => side === 'buy')
  const power = new Big(books.cash).minus(
    sum(buys.map((row) => left(row).times(row['limit_price'] ?? 0))),
  )
  const account = (await call(sandbox, 'GET', '/v2/account', undefined, keys)).body as Row
  expect(account['buying_power']).toBe(power.round(2).toFixed())
  for (const position of (await call(sandbox, 'GET', '/v2/positions', undefined, keys))
    .body as Row[]) {
    const sells = open.filter(
      ({ side, symbol }) => side === 'sell' && symbol === position['symbol'],
    )
    const free = new Big(position['qty'] ?? 0).minus(sum(sells.map(left)))
    expect(position['qty_available']).toBe(free.toFixed())
  }
}

async function step(sandbox: Sandbox, roll: (sides: number) => number): Promise<void> {
  const { body } = await call(sandbox, 'GET', '/v2/orders?limit=500', undefined, keys)
  const open = body as Row[]
  const any = open[roll(open.length)]?.['id']
  const price = (170 + roll(30)).toFixed(2)
  const kind = roll(8)
  if (kind === 0 && any != null) await call(sandbox, 'DELETE', `/v2/orders/${any}`, undefined, keys)
  else if (kind === 1 && any != null) {
    await call(
      sandbox,
      'PATCH',
      `/v2/orders/${any}`,
      { qty: String(1 + roll(40)), limit_price: price },
      keys,
    )
  } else if (kind === 2 && any != null) sandbox.control.fillOrder(any, { qty: '1' })
  else if (kind === 3) sandbox.control.setPrice('AAPL', { last: price })
  else if (kind === 4 && roll(9) === 0) await call(sandbox, 'DELETE', '/v2/orders', undefined, keys)
  else {
    const side = roll(3) === 0 ? 'sell' : 'buy'
    const request = {
      symbol: roll(2) === 0 ? 'AAPL' : 'MSFT',
      side,
      qty: String(1 + roll(20)),
      limit_price: price,
    }
    await call(
      sandbox,
      'POST',
      '/v2/orders',
      { ...request, type: 'limit', time_in_force: 'gtc' },
      keys,
    )
  }
}

test('the buying power held is exactly the rest of the open orders, after any command', async () => {
  const clock = new FakeClock()
  const accounts = [{ keyId: 'cash', secret: 'only', cash: '50000', multiplier: 1 as const }]
  await using sandbox = await startSandbox({
    seed: 'holds',
    clock,
    accounts,
    tickMs: 0,
    partialFillShare: 0.5,
  })
  const roll = dice(7)
  for (let done = 0; done < 300; done += 1) {
    await step(sandbox, roll)
    // Replacements and cancels are decided, so that no two orders stand for one.
    await clock.advance(roll(3) * 200 + 1)
    await checkHolds(sandbox)
  }
  const orders = sandbox.control.ledger('cash').accounts['cash']!.orders as Row[]
  const seen = new Set(orders.map(({ status }) => status))
  for (const status of ['filled', 'canceled', 'replaced', 'partially_filled', 'new'])
    expect(seen).toContain(status)
})
