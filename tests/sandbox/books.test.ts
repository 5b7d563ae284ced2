import { expect, test } from 'vitest'
import { type Ledger, type Sandbox, startSandbox } from '#sandbox'
import { FakeClock } from '../support/fake-clock.ts'
import { checkBooks, dice, randomOrder, type Row } from './books.ts'
import { call } from './wire.ts'

/**
 * The ledger is the oracle of other tests, so its own books must balance, and one seed must give
 * one run.
 */

/** Requests a replacement of the newest open order; the broker accepts or refuses. */
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

/** Undoes or changes any execution, as long ago as it may be. */
function amendAny(sandbox: Sandbox, roll: (sides: number) => number): void {
  const executions = sandbox.control.ledger('demo-key').accounts['demo-key']?.executions ?? []
  const id = executions[roll(Math.max(1, executions.length))]?.['execution_id'] as
    string | undefined
  if (id === undefined) return
  if (roll(2) === 0) sandbox.control.bustExecution(id)
  else
    sandbox.control.correctExecution(id, {
      price: String(180 + roll(9)),
      qty: String(1 + roll(20)),
    })
}

async function randomStep(
  sandbox: Sandbox,
  clock: FakeClock,
  roll: (sides: number) => number,
): Promise<void> {
  const limit = (170 + roll(30)).toFixed(2)
  const kind = roll(10)
  if (kind === 0) await call(sandbox, 'DELETE', '/v2/orders')
  else if (kind === 1) sandbox.control.setPrice('AAPL', { last: limit })
  else if (kind === 2) sandbox.control.releasePrice('AAPL')
  else if (kind === 3) await replaceNewest(sandbox, roll)
  else if (kind === 4 && roll(3) === 0) nextDay(sandbox)
  else if (kind === 5 && roll(3) === 0) amendAny(sandbox, roll)
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
  const ledger = await play('books', 500)
  const account = ledger.accounts['demo-key']
  expect(new Set(account?.orders.map(({ type }) => type))).toHaveProperty('size', 5)
  expect(new Set(account?.orders.map((order) => order['order_class']))).toHaveProperty('size', 4)
  expect(account?.orders.some(({ status }) => status === 'replaced')).toBe(true)
  expect(account?.executions.length).toBeGreaterThan(30)
  expect(account?.orders.some(({ status }) => status === 'canceled')).toBe(true)
  expect(new Set(account?.amendments.map(({ event }) => event))).toHaveProperty('size', 2)
})

test('one seed with the same commands gives byte-identical ledgers, another seed others', async () => {
  const first = await play('same', 40)
  const second = await play('same', 40)
  const other = await play('diff', 40)
  expect(JSON.stringify(second)).toBe(JSON.stringify(first))
  expect(JSON.stringify(other)).not.toBe(JSON.stringify(first))
})
