import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Sandbox, startSandbox } from '#sandbox'
import { type Answer, call } from './wire.ts'

/** Closing positions: one, a part of one, all of them. */

let sandbox: Sandbox

beforeEach(async () => {
  sandbox = await startSandbox({ seed: 'closing', fillDelayMs: 0, tickMs: 0, partialFills: false })
})

afterEach(() => sandbox.close())

const close = (path: string): Promise<Answer> => call(sandbox, 'DELETE', `/v2/positions${path}`)
const qtyOf = (symbol: string): string | undefined =>
  sandbox.control
    .ledger('demo-key')
    .accounts['demo-key']?.positions.find((row) => row.symbol === symbol)?.qty

async function hold(symbol: string, qty: string, side = 'buy'): Promise<void> {
  const timeInForce = symbol === 'BTC/USD' ? 'gtc' : 'day'
  const order = { symbol, qty, side, type: 'market', time_in_force: timeInForce }
  expect((await call(sandbox, 'POST', '/v2/orders', order)).status).toBe(200)
  await expect
    .poll(() => qtyOf(symbol.replace('/', '')) ?? '')
    .toMatch(side === 'buy' ? /^\d/ : /^-\d/)
}

const rest = {
  symbol: 'AAPL',
  qty: '4',
  side: 'sell',
  type: 'limit',
  limit_price: '900',
  time_in_force: 'day',
}

test('a position is closed by a market order of its full size', async () => {
  await hold('AAPL', '10')
  const answer = await close('/AAPL')
  expect(answer).toMatchObject({
    status: 200,
    body: { symbol: 'AAPL', qty: '10', side: 'sell', type: 'market' },
  })
  expect(answer.body).toMatchObject({
    position_intent: 'sell_to_close',
    time_in_force: 'day',
    order_class: '',
  })
  await expect.poll(() => qtyOf('AAPL')).toBeUndefined()
})

test('a short is bought back, and a pair is found by its slashless name', async () => {
  await hold('TSLA', '3', 'sell')
  await hold('BTC/USD', '0.5')
  expect((await close('/TSLA')).body).toMatchObject({
    side: 'buy',
    qty: '3',
    position_intent: 'buy_to_close',
  })
  expect((await close('/BTCUSD')).body).toMatchObject({ symbol: 'BTC/USD', time_in_force: 'gtc' })
  await expect.poll(() => [qtyOf('TSLA'), qtyOf('BTCUSD')]).toEqual([undefined, undefined])
})

test('a part is closed by quantity or by percentage', async () => {
  await hold('AAPL', '10')
  expect((await close('/AAPL?qty=2.5')).body).toMatchObject({ qty: '2.5' })
  await expect.poll(() => qtyOf('AAPL')).toBe('7.5')
  expect((await close('/AAPL?percentage=33.333333333')).body).toMatchObject({ qty: '2.499999999' })
  await expect.poll(() => qtyOf('AAPL')).toBe('5.000000001')
})

describe('refusals', () => {
  const table: [query: string, code: number, message: string][] = [
    ['qty=1&percentage=5', 40010001, 'only one of qty or percentage is accepted'],
    ['percentage=100.5', 40010001, 'percentage must be between 0 and 100'],
    ['qty=1.0000000001', 40010001, 'qty is limited to 9 decimal places'],
    ['percentage=0.0000000001', 40010001, 'percentage is limited to 9 decimal places'],
    ['qty=0', 40010001, 'qty must be > 0'],
    ['qty=all', 40010001, 'qty must be a decimal number'],
  ]
  test.each(table)('%s', async (query, code, message) => {
    await hold('AAPL', '10')
    const answer = await close(`/AAPL?${query}`)
    expect([answer.status, answer.body]).toEqual([422, { code, message }])
  })

  test.each(['/AAPL', '/NOPE'])('no position in %s', async (path) => {
    const answer = await close(path)
    expect([answer.status, answer.body]).toEqual([
      404,
      { code: 40410000, message: 'position does not exist' },
    ])
  })

  test('shares that an open order holds', async () => {
    await hold('AAPL', '10')
    await call(sandbox, 'POST', '/v2/orders', rest)
    const answer = await close('/AAPL')
    expect(answer).toMatchObject({
      status: 403,
      body: {
        code: 40310000,
        message: 'insufficient qty available for order (requested: 10, available: 6)',
        held_for_orders: '4',
      },
    })
  })
})

describe('all positions', () => {
  test('answer 207 with a row each, the refused ones too', async () => {
    await hold('AAPL', '10')
    await hold('MSFT', '2')
    await call(sandbox, 'POST', '/v2/orders', rest)
    const answer = await close('')
    expect(answer).toMatchObject({
      status: 207,
      body: [
        { symbol: 'AAPL', status: 403, body: { code: 40310000 } },
        { symbol: 'MSFT', status: 200, body: { symbol: 'MSFT', qty: '2', side: 'sell' } },
      ],
    })
    await expect.poll(() => qtyOf('MSFT')).toBeUndefined()
    expect(qtyOf('AAPL')).toBe('10')
  })

  test('with cancel_orders no shares stay held, and all positions are closed', async () => {
    await hold('AAPL', '10')
    await call(sandbox, 'POST', '/v2/orders', rest)
    expect(await close('?cancel_orders=true')).toMatchObject({
      status: 207,
      body: [{ symbol: 'AAPL', status: 200 }],
    })
    await expect.poll(() => qtyOf('AAPL')).toBeUndefined()
    const { body } = await call(sandbox, 'GET', '/v2/orders?status=closed')
    expect((body as { status: string }[]).map(({ status }) => status)).toEqual([
      'filled',
      'canceled',
      'filled',
    ])
  })

  test('are an empty list when there are none', async () => {
    const answer = await close('?cancel_orders=false')
    expect([answer.status, answer.body]).toEqual([207, []])
    expect((await close('?cancel_orders=maybe')).status).toBe(422)
  })
})
