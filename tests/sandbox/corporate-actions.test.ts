import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Sandbox, startSandbox } from '#sandbox'
import { checkBooks } from './books.ts'
import { call, demoKeys } from './wire.ts'

/** Corporate actions: positions and prices change in every account, without an order. */

const otherKeys = { 'apca-api-key-id': 'demo-key-2', 'apca-api-secret-key': 'demo-secret-2' }
let sandbox: Sandbox

beforeEach(async () => {
  sandbox = await startSandbox({
    seed: 'corporate actions',
    fillDelayMs: 0,
    tickMs: 0,
    partialFills: false,
  })
  sandbox.control.setPrice('AAPL', { bid: '100', ask: '100', last: '100' })
})

afterEach(() => sandbox.close())

const books = (keyId = 'demo-key') => sandbox.control.ledger(keyId).accounts[keyId]!
const act = (action: unknown) => call(sandbox, 'POST', '/_sandbox/corporate-actions', action, {})
const read = async (path: string, headers = demoKeys): Promise<unknown> =>
  (await call(sandbox, 'GET', path, undefined, headers)).body

async function trade(side: 'buy' | 'sell', qty: string, headers = demoKeys): Promise<void> {
  const request = { symbol: 'AAPL', qty, side, type: 'market', time_in_force: 'day' }
  const { body } = await call(sandbox, 'POST', '/v2/orders', request, headers)
  sandbox.control.fillOrder((body as { id: string }).id)
}

async function rest(side: 'buy' | 'sell', limit: string): Promise<string> {
  const request = {
    symbol: 'AAPL',
    qty: '2',
    side,
    type: 'limit',
    limit_price: limit,
    time_in_force: 'gtc',
  }
  const { body } = await call(sandbox, 'POST', '/v2/orders', request)
  const { id } = body as { id: string }
  await expect.poll(() => read(`/v2/orders/${id}`)).toMatchObject({ status: 'new' })
  return id
}

describe('a split', () => {
  test('forward - more shares at a smaller price, worth the same, in every account', async () => {
    await trade('buy', '10')
    await trade('sell', '3', otherKeys)
    const day = await read('/v2/stocks/AAPL/snapshot')
    expect(day).toMatchObject({
      dailyBar: { h: 185.1, l: 100, c: 100, v: 100 },
      prevDailyBar: { c: 185.1 },
    })
    expect(await act({ type: 'split', symbol: 'AAPL', ratio: '10' })).toMatchObject({
      body: { accounts: 2 },
    })
    expect(await read('/v2/positions/AAPL')).toMatchObject({
      qty: '100',
      avg_entry_price: '10',
      cost_basis: '1000',
      current_price: '10',
      market_value: '1000',
      lastday_price: '18.51',
    })
    expect(await read('/v2/positions/AAPL', otherKeys)).toMatchObject({
      qty: '-30',
      avg_entry_price: '10',
    })
    expect(await read('/v2/account')).toMatchObject({ cash: '99000', equity: '100000' })
    expect(await read('/v2/account/activities/SPLIT')).toMatchObject([
      { symbol: 'AAPL', qty: '90', net_amount: '0' },
    ])
    expect(await read('/v2/stocks/AAPL/snapshot')).toMatchObject({
      latestQuote: { bp: 10, ap: 10 },
      dailyBar: { h: 18.51, l: 10, c: 10, v: 1000 },
      prevDailyBar: { c: 18.51 },
    })
    checkBooks(books())
    checkBooks(books('demo-key-2'))
  })

  test('in reverse - fractions of whole-share holdings are paid in cash at the new price', async () => {
    await trade('buy', '25')
    await trade('sell', '7', otherKeys)
    await act({ type: 'split', symbol: 'AAPL', ratio: '0.1' })
    // 25 become 2.5: two shares, and half of 1,000 in cash. 7 short become 0.7, all of it bought
    // back.
    expect(await read('/v2/positions/AAPL')).toMatchObject({
      qty: '2',
      avg_entry_price: '1000',
      current_price: '1000',
    })
    expect(books()).toMatchObject({ cash: '98000', realized: '0' })
    expect(await read('/v2/account/activities/SPLIT')).toMatchObject([
      { qty: '-23', net_amount: '500' },
    ])
    expect(books('demo-key-2')).toMatchObject({ cash: '100000', positions: [] })
    expect(await read('/v2/account/activities/SPLIT', otherKeys)).toMatchObject([
      { qty: '7', net_amount: '-700' },
    ])
    checkBooks(books())
    checkBooks(books('demo-key-2'))
  })

  test('a fractional holding stays fractional', async () => {
    await trade('buy', '2.5')
    await act({ type: 'split', symbol: 'AAPL', ratio: '0.5' })
    expect(books()).toMatchObject({ cash: '99750', positions: [{ qty: '1.25', cost: '250' }] })
    checkBooks(books())
  })

  test('resting orders stay as they are, at the old prices', async () => {
    await trade('buy', '10')
    const take = await rest('sell', '130')
    const bid = await rest('buy', '5')
    await act({ type: 'split', symbol: 'AAPL', ratio: '10' })
    expect(await read(`/v2/orders/${take}`)).toMatchObject({
      status: 'new',
      qty: '2',
      limit_price: '130',
    })
    expect(await read(`/v2/orders/${bid}`)).toMatchObject({
      status: 'new',
      qty: '2',
      limit_price: '5',
    })
    // A bid of before is suddenly above the market, and fills there.
    const high = await rest('buy', '9.99')
    await act({ type: 'split', symbol: 'AAPL', ratio: '2' })
    await expect
      .poll(() => read(`/v2/orders/${high}`))
      .toMatchObject({ status: 'filled', filled_avg_price: '5' })
  })

  test('a trade from before it can still be busted', async () => {
    await trade('buy', '25')
    await trade('buy', '10')
    await act({ type: 'split', symbol: 'AAPL', ratio: '0.1' })
    const [, second] = books().executions as { execution_id: string }[]
    sandbox.control.bustExecution(second!.execution_id)
    expect(books().positions).toMatchObject([{ symbol: 'AAPL', qty: '2', cost: '2000' }])
  })
})

describe('a new symbol', () => {
  test('positions keep their cost under the new symbol; old orders are canceled', async () => {
    await trade('buy', '10')
    const take = await rest('sell', '130')
    const other = await rest('buy', '5')
    expect(await act({ type: 'symbol_change', symbol: 'AAPL', to: 'NVDA' })).toMatchObject({
      body: { accounts: 1 },
    })
    expect((await call(sandbox, 'GET', '/v2/positions/AAPL')).status).toBe(404)
    expect(await read('/v2/positions/NVDA')).toMatchObject({
      symbol: 'NVDA',
      qty: '10',
      qty_available: '10',
      avg_entry_price: '100',
      current_price: '100',
    })
    for (const id of [take, other])
      expect(await read(`/v2/orders/${id}`)).toMatchObject({ status: 'canceled' })
    expect(await read('/v2/account/activities/NC?direction=asc')).toMatchObject([
      { symbol: 'AAPL', qty: '-10', net_amount: '0' },
      { symbol: 'NVDA', qty: '10', net_amount: '0' },
    ])
    expect(await read('/v2/account')).toMatchObject({ equity: '100000', buying_power: '199000' })
    checkBooks(books())
  })

  test('trades from before it stay valid', async () => {
    await trade('buy', '10')
    await act({ type: 'symbol_change', symbol: 'AAPL', to: 'NVDA' })
    const [execution] = books().executions as { execution_id: string }[]
    expect(() => sandbox.control.bustExecution(execution!.execution_id)).toThrow(
      'the symbol has changed since',
    )
    checkBooks(books())
  })
})

test.each([
  ['a ratio of one', { type: 'split', symbol: 'AAPL', ratio: '1' }],
  ['a ratio of nothing', { type: 'split', symbol: 'AAPL', ratio: '0' }],
  ['no ratio', { type: 'split', symbol: 'AAPL' }],
  ['a price that would be nothing', { type: 'split', symbol: 'TSLA', ratio: '1000' }],
  ['a coin', { type: 'split', symbol: 'BTC/USD', ratio: '2' }],
  ['an unknown stock', { type: 'split', symbol: 'NOPE', ratio: '2' }],
  ['its own symbol', { type: 'symbol_change', symbol: 'AAPL', to: 'AAPL' }],
  ['a symbol that is held', { type: 'symbol_change', symbol: 'NVDA', to: 'AAPL' }],
  ['an unknown action', { type: 'merger', symbol: 'AAPL' }],
])('%s is refused, and nothing has changed', async (_name, action) => {
  await trade('buy', '10')
  sandbox.control.setPrice('TSLA', { bid: '0.01', ask: '0.02', last: '0.02' })
  const before = JSON.stringify(books())
  expect(await act(action)).toMatchObject({ status: 422 })
  expect(JSON.stringify(books())).toBe(before)
})
