import { Big } from 'big.js'
import { expect, test } from 'vitest'
import { type Sandbox, startSandbox } from '#sandbox'
import { checkBooks, dice, randomOrder, type Row } from './books.ts'
import { call } from './wire.ts'

const ACCOUNTS = 50
const ORDERS = 10_000

const keysOf = (n: number) => ({ keyId: `many-${n}`, secret: `secret-${n}` })
const headersOf = (n: number) => ({
  'apca-api-key-id': keysOf(n).keyId,
  'apca-api-secret-key': keysOf(n).secret,
})

/** Open orders never hold more than there is, and never less than zero. */
async function checkReservations(sandbox: Sandbox, n: number): Promise<void> {
  const account = (await call(sandbox, 'GET', '/v2/account', undefined, headersOf(n))).body as Row
  expect(new Big(account['buying_power'] ?? -1).gte(0), 'no negative buying power').toBe(true)
  for (const position of (await call(sandbox, 'GET', '/v2/positions', undefined, headersOf(n)))
    .body as Row[]) {
    const qty = new Big(position['qty'] ?? 0).abs()
    const free = new Big(position['qty_available'] ?? -1).abs()
    expect(free.lte(qty), 'no more available than held').toBe(true)
  }
}

test(
  '10,000 random orders over 50 accounts keep each accounting identity at each step',
  { timeout: 240_000 },
  async () => {
    const accounts = Array.from({ length: ACCOUNTS }, (_, n) => keysOf(n))
    await using sandbox = await startSandbox({
      seed: 'many',
      accounts,
      fillDelayMs: 0,
      tickMs: 20,
      partialFillShare: 0.3,
    })
    const roll = dice(50)
    let accepted = 0
    for (let sent = 0; sent < ORDERS; sent += ACCOUNTS) {
      // One order of every account at once, so that their steps interleave.
      const answers = await Promise.all(
        accounts.map((_, n) =>
          call(sandbox, 'POST', '/v2/orders', randomOrder(roll), headersOf(n)),
        ),
      )
      accepted += answers.filter(({ status }) => status === 200).length
      expect(answers.every(({ status }) => [200, 403, 422].includes(status))).toBe(true)
      const { accounts: books } = sandbox.control.ledger()
      for (const { keyId } of accounts) checkBooks(books[keyId]!)
      await checkReservations(sandbox, roll(ACCOUNTS))
      if (roll(10) === 0)
        await call(sandbox, 'DELETE', '/v2/orders', undefined, headersOf(roll(ACCOUNTS)))
    }
    const { accounts: books } = sandbox.control.ledger()
    const executions = accounts.reduce((sum, { keyId }) => sum + books[keyId]!.executions.length, 0)
    // Many are refused, for money, shares or terms: a refusal must leave the books alone as well.
    expect(accepted).toBeGreaterThan(ORDERS / 8)
    expect(executions).toBeGreaterThan(ORDERS / 20)
  },
)
