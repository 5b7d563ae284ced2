import { Big } from 'big.js'
import { expect, test } from 'vitest'
import { type AccountLedger, type Ledger, type Sandbox, startSandbox } from '#sandbox'
import { FakeClock } from '../support/fake-clock.ts'
import { call } from './wire.ts'

/** The ledger is the oracle of other tests, so its own books must balance, and one seed must give one run. */

type Row = Record<string, string | null>

const total = (values: readonly Big[]): Big => values.reduce((sum, value) => sum.plus(value), new Big(0))
const signed = ({ qty, side }: Row): Big => new Big(qty ?? 0).times(side === 'buy' ? 1 : -1)

function checkBooks(account: AccountLedger): void {
  const executions = account.executions as Row[]
  const atCost = total(account.positions.map(({ cost }) => new Big(cost)))
  const books = new Big(account.cash).plus(atCost).minus(account.realized)
  expect(books.toFixed(), 'cash + positions at cost = deposits + realized').toBe(account.deposits)
  const spent = total(executions.map((row) => signed(row).times(row['price'] ?? 0)))
  expect(new Big(account.cash).plus(spent).toFixed(), 'cash = deposits - executions').toBe(account.deposits)
  for (const order of account.orders as Row[]) {
    const own = executions.filter((row) => row['order_id'] === order['id'])
    const filled = total(own.map(({ qty }) => new Big(qty ?? 0)))
    expect(filled.toFixed(), 'sum of executions = filled quantity').toBe(order['filled_qty'])
    expect(filled.lte(order['qty'] ?? 0)).toBe(true)
    if (order['status'] === 'filled') expect(order['filled_qty']).toBe(order['qty'])
  }
  for (const { symbol, qty } of account.positions) {
    const own = total(executions.filter((row) => row['symbol'] === symbol).map(signed))
    expect(own.toFixed(), 'position = sum of executions').toBe(qty)
  }
}

/** Random, but the same for the same seed: a small linear congruential generator, apart from the sandbox's own. */
function dice(seed: number): (sides: number) => number {
  let state = seed
  return (sides) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * sides)
  }
}

/** The terms of a random order: every type, at prices round where the market is. */
function randomOrder(roll: (sides: number) => number): Record<string, unknown> {
  const side = roll(2) === 0 ? 'buy' : 'sell'
  const near = (offset: number): string => (185 + offset * (side === 'buy' ? 1 : -1)).toFixed(2)
  const loss = { stop_price: near(-1 - roll(9)) }
  const kinds: readonly Record<string, unknown>[] = [
    { type: 'market' },
    { type: 'limit', limit_price: near(roll(30) - 15) },
    { type: 'stop', stop_price: near(roll(20)) },
    { type: 'stop_limit', stop_price: near(roll(20)), limit_price: near(roll(20)) },
    { type: 'trailing_stop', trail_price: String(1 + roll(9)) },
    { type: 'market', order_class: 'bracket', take_profit: { limit_price: near(1 + roll(9)) }, stop_loss: loss },
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

/** Asks to replace the newest open order; whether it may is the broker's business. */
async function replaceNewest(sandbox: Sandbox, roll: (sides: number) => number): Promise<void> {
  const [newest] = (await call(sandbox, 'GET', '/v2/orders?limit=1')).body as Row[]
  if (newest === undefined) return
  await call(sandbox, 'PATCH', `/v2/orders/${newest['id']}`, { qty: String(1 + roll(60)) })
}

/** The close, the night and the next opening. */
function nextDay(sandbox: Sandbox): void {
  sandbox.control.setMarketOpen(false)
  sandbox.control.endDay()
  sandbox.control.setMarketOpen(true)
}

async function randomStep(sandbox: Sandbox, clock: FakeClock, roll: (sides: number) => number): Promise<void> {
  const limit = (170 + roll(30)).toFixed(2)
  const kind = roll(10)
  if (kind === 0) await call(sandbox, 'DELETE', '/v2/orders')
  else if (kind === 1) sandbox.control.setPrice('AAPL', { last: limit })
  else if (kind === 2) sandbox.control.releasePrice('AAPL')
  else if (kind === 3) await replaceNewest(sandbox, roll)
  else if (kind === 4 && roll(3) === 0) nextDay(sandbox)
  else await call(sandbox, 'POST', '/v2/orders', randomOrder(roll))
  await clock.advance(roll(2) * 300)
}

async function play(seed: string, steps: number): Promise<Ledger> {
  const clock = new FakeClock()
  await using sandbox = await startSandbox({ seed, clock, partialFillShare: 0.5 })
  const roll = dice(seed.length)
  for (let step = 0; step < steps; step += 1) {
    await randomStep(sandbox, clock, roll)
    const account = sandbox.control.ledger('demo-key').accounts['demo-key']
    if (account !== undefined) checkBooks(account)
  }
  return sandbox.control.ledger()
}

test('random orders keep every accounting identity after each step', async () => {
  const ledger = await play('books', 250)
  const account = ledger.accounts['demo-key']
  expect(new Set(account?.orders.map(({ type }) => type))).toHaveProperty('size', 5)
  expect(new Set(account?.orders.map((order) => order['order_class']))).toHaveProperty('size', 4)
  expect(account?.orders.some(({ status }) => status === 'replaced')).toBe(true)
  expect(account?.executions.length).toBeGreaterThan(30)
  expect(account?.orders.some(({ status }) => status === 'canceled')).toBe(true)
})

test('the same seed and commands give byte-identical ledgers, another seed gives another', async () => {
  const [first, second, other] = [await play('same', 40), await play('same', 40), await play('diff', 40)]
  expect(JSON.stringify(second)).toBe(JSON.stringify(first))
  expect(JSON.stringify(other)).not.toBe(JSON.stringify(first))
})
