import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Sandbox, startSandbox } from '#sandbox'
import { checkBooks } from './books.ts'
import { call, Wire } from './wire.ts'

/**
 * Differences of crypto: a fee taken from the bought quantity, and a position named without its
 * slash.
 */

let sandbox: Sandbox

beforeEach(async () => {
  sandbox = await startSandbox({ seed: 'crypto', fillDelayMs: 0, tickMs: 0, partialFills: false })
  sandbox.control.setPrice('BTC/USD', { bid: '50000', ask: '50000', last: '50000' })
})

afterEach(() => sandbox.close())

const books = () => sandbox.control.ledger('demo-key').accounts['demo-key']!
const read = async (path: string): Promise<unknown> => (await call(sandbox, 'GET', path)).body

/** A market order, filled. Answers the order as it is then. */
async function trade(side: 'buy' | 'sell', qty: string): Promise<unknown> {
  const before = books().executions.length
  const request = { symbol: 'BTC/USD', qty, side, type: 'market', time_in_force: 'gtc' }
  const { status, body } = await call(sandbox, 'POST', '/v2/orders', request)
  expect(status).toBe(200)
  await expect.poll(() => books().executions.length).toBe(before + 1)
  return read(`/v2/orders/${(body as { id: string }).id}`)
}

test('a buy of 0.1 fills 0.1 and leaves 0.09975, bought at the same price', async () => {
  expect(await trade('buy', '0.1')).toMatchObject({
    symbol: 'BTC/USD',
    status: 'filled',
    filled_qty: '0.1',
  })
  expect(await read('/v2/positions/BTCUSD')).toMatchObject({
    symbol: 'BTCUSD',
    qty: '0.09975',
    qty_available: '0.09975',
    avg_entry_price: '50000',
    cost_basis: '4987.5',
  })
  // The fee is in coins: 0.1 x 0.0025 at 50,000 is 12.50, none of it from the cash.
  expect(books()).toMatchObject({ cash: '95000', fees: '12.5', realized: '0' })
  expect(await read('/v2/account/activities/CFEE')).toMatchObject([
    { activity_type: 'CFEE', symbol: 'BTCUSD', qty: '-0.00025', net_amount: '0' },
  ])
  checkBooks(books())
})

test('the fill on the stream is gross, and has the remaining position', async () => {
  const stream = await new Wire(`${sandbox.wsUrl}/stream`).opened()
  stream.send({ action: 'auth', key: 'demo-key', secret: 'demo-secret' })
  stream.send({ action: 'listen', data: { streams: ['trade_updates'] } })
  await expect.poll(() => stream.heard.length).toBe(2)
  await trade('buy', '0.1')
  await expect
    .poll(() => stream.heard.at(-1))
    .toMatchObject({ data: { event: 'fill', qty: '0.1', position_qty: '0.09975' } })
})

test('only the position after the fee can be sold, and a sale pays its fee in dollars', async () => {
  await trade('buy', '0.1')
  const gross = {
    symbol: 'BTC/USD',
    qty: '0.1',
    side: 'sell',
    type: 'market',
    time_in_force: 'gtc',
  }
  const refused = await call(sandbox, 'POST', '/v2/orders', gross)
  expect([refused.status, refused.body]).toEqual([
    403,
    {
      code: 40310000,
      message: 'insufficient balance for BTC (requested: 0.1, available: 0.09975)',
    },
  ])
  await trade('sell', '0.09975')
  expect((await call(sandbox, 'GET', '/v2/positions/BTCUSD')).status).toBe(404)
  // 0.09975 x 50,000 = 4,987.50 received, less 25 basis points of it, 12.47.
  expect(books()).toMatchObject({ cash: '99975.03', fees: '24.97', positions: [] })
  expect(await read('/v2/account/activities/FEE')).toMatchObject([
    { activity_type: 'FEE', net_amount: '-12.47' },
  ])
  checkBooks(books())
})

test('a busted trade returns its fee', async () => {
  sandbox.control.armFault({ kind: 'bust_trade' })
  const request = {
    symbol: 'BTC/USD',
    qty: '0.1',
    side: 'buy',
    type: 'market',
    time_in_force: 'gtc',
  }
  await call(sandbox, 'POST', '/v2/orders', request)
  await expect.poll(() => books().activities.length).toBe(2)
  expect(books()).toMatchObject({
    cash: '100000',
    fees: '0',
    realized: '0',
    positions: [],
    executions: [],
  })
  checkBooks({ ...books(), orders: [] })
})

test('stocks pay no fee', async () => {
  const request = { symbol: 'AAPL', qty: '10', side: 'buy', type: 'market', time_in_force: 'day' }
  await call(sandbox, 'POST', '/v2/orders', request)
  await expect.poll(() => books().executions.length).toBe(1)
  expect(books()).toMatchObject({
    fees: '0',
    activities: [],
    positions: [{ symbol: 'AAPL', qty: '10' }],
  })
})
