import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Sandbox, startSandbox } from '#sandbox'
import { type Answer, call, demoKeys } from './wire.ts'

/** The status code and the error body of each order that is refused. */

let sandbox: Sandbox

beforeEach(async () => {
  sandbox = await startSandbox({
    seed: 'order-refusals',
    fillDelayMs: 0,
    tickMs: 0,
    partialFills: false,
    accounts: [{ keyId: 'cash', secret: 'only', cash: '1000', multiplier: 1 }],
  })
})

afterEach(() => sandbox.close())

const buy = { symbol: 'AAPL', qty: '10', side: 'buy', type: 'market', time_in_force: 'day' }
const rest = { ...buy, type: 'limit', limit_price: '100' }
const get = (path: string): Promise<Answer> => call(sandbox, 'GET', path)
const post = (body: unknown, headers: Record<string, string> = demoKeys): Promise<Answer> =>
  call(sandbox, 'POST', '/v2/orders', body, headers)
const idOf = ({ body }: Answer): string => (body as { id: string }).id
const settled = (count: number): Promise<void> =>
  expect
    .poll(() => sandbox.control.ledger('demo-key').accounts['demo-key']?.executions.length)
    .toBe(count)

describe('refusals of an order', () => {
  const table: [
    name: string,
    change: Record<string, unknown>,
    status: number,
    code: number,
    message: string,
  ][] = [
    ['no symbol', { symbol: undefined }, 422, 40010001, 'symbol is required'],
    ['unknown symbol', { symbol: 'ZZZZ' }, 422, 42210000, 'asset "ZZZZ" not found'],
    ['no size', { qty: undefined }, 422, 40010001, 'qty or notional is required'],
    ['two sizes', { notional: '5' }, 422, 40010001, 'only one of qty or notional is accepted'],
    ['negative qty', { qty: '-1' }, 422, 40010001, 'qty must be > 0'],
    ['qty that is no number', { qty: 'ten' }, 422, 40010001, 'qty must be a decimal number'],
    ['absurd qty', { qty: '1e99' }, 422, 40010001, 'qty must be a decimal number'],
    ['unknown type', { type: 'hope' }, 422, 40010001, 'invalid order type'],
    ['unknown time in force', { time_in_force: 'soon' }, 422, 40010001, 'invalid time_in_force'],
    ['limit without price', { type: 'limit' }, 422, 40010001, 'limit orders require a limit price'],
    [
      'market with price',
      { limit_price: '1' },
      422,
      40010001,
      'market orders require no stop or limit price',
    ],
    [
      'sub-penny price',
      { type: 'limit', limit_price: '290.123' },
      422,
      42210000,
      'invalid limit_price 290.123. sub-penny increment does not fulfill minimum pricing criteria',
    ],
    [
      'client id too long',
      { client_order_id: 'x'.repeat(129) },
      422,
      40010001,
      'client_order_id must be no more than 128 characters',
    ],
    [
      'fractional gtc',
      { qty: '0.5', time_in_force: 'gtc' },
      422,
      42210000,
      'fractional orders must be DAY orders',
    ],
    [
      'small notional',
      { qty: undefined, notional: '0.5' },
      422,
      42210000,
      'notional must be >= 1.00',
    ],
    [
      'extended hours market',
      { extended_hours: true },
      422,
      42210000,
      'extended hours order must be DAY or GTC limit orders',
    ],
    [
      'extended hours as text',
      { extended_hours: 'true' },
      422,
      40010001,
      'extended_hours must be true or false',
    ],
    [
      'unknown intent',
      { position_intent: 'to_the_moon' },
      422,
      40010001,
      'invalid position_intent',
    ],
    [
      'the intent to close without a position',
      { side: 'sell', position_intent: 'sell_to_close' },
      422,
      42210000,
      'position intent mismatch, inferred: sell_to_open, specified: sell_to_close',
    ],
    [
      'fractional short',
      { side: 'sell', qty: '0.5' },
      422,
      42210000,
      'fractional orders cannot be sold short',
    ],
    [
      'an asset that is not traded',
      { symbol: 'RGC' },
      422,
      42210000,
      'asset "RGC" is not tradable',
    ],
    [
      'a coin of the past',
      { symbol: 'MKR/USD', time_in_force: 'gtc' },
      422,
      40010001,
      'asset MKR/USD is not active',
    ],
    [
      'not lent',
      { symbol: 'AMC', side: 'sell' },
      422,
      42210000,
      'asset "AMC" cannot be sold short',
    ],
    [
      'not cut',
      { symbol: 'BRK.A', qty: '0.1' },
      403,
      40310000,
      'asset "BRK.A" is not fractionable',
    ],
    [
      'crypto day',
      { symbol: 'BTC/USD', qty: '0.1' },
      422,
      42210000,
      'invalid crypto time_in_force',
    ],
    [
      'crypto short',
      { symbol: 'BTC/USD', qty: '1', side: 'sell', time_in_force: 'gtc' },
      403,
      40310000,
      'insufficient balance for BTC (requested: 1, available: 0)',
    ],
  ]
  test.each(table)('%s', async (_name, change, status, code, message) => {
    const answer = await post({ ...buy, ...change })
    expect([answer.status, answer.body]).toEqual([status, { code, message }])
    expect(sandbox.control.ledger('demo-key').accounts['demo-key']?.orders).toEqual([])
  })

  test('too little buying power - the refusal has the available and the needed amount', async () => {
    const answer = await post({ ...rest, limit_price: '150' }, cashKeys)
    expect(answer.status).toBe(403)
    expect(answer.body).toEqual({
      code: 40310000,
      message: 'insufficient buying power',
      buying_power: '1000',
      cost_basis: '1500',
    })
  })

  test('open buys hold buying power, and a cancel releases it', async () => {
    const first = await post({ ...rest, limit_price: '60' }, cashKeys)
    expect((await post({ ...rest, limit_price: '60' }, cashKeys)).status).toBe(403)
    expect(
      (await call(sandbox, 'DELETE', `/v2/orders/${idOf(first)}`, undefined, cashKeys)).status,
    ).toBe(204)
    await expect
      .poll(async () => (await post({ ...rest, limit_price: '60' }, cashKeys)).status)
      .toBe(200)
  })

  test('a cash account cannot sell short', async () => {
    const answer = await post({ ...buy, side: 'sell', qty: '1' }, cashKeys)
    expect(answer.body).toEqual({ code: 40310000, message: 'account is not allowed to short' })
  })

  test('shares held by an open sell are not sold twice', async () => {
    await post(buy)
    await settled(1)
    const sell = await post({ ...rest, side: 'sell', limit_price: '900' })
    const answer = await post({ ...rest, side: 'sell', limit_price: '900', qty: '1' })
    expect([answer.status, answer.body]).toEqual([
      403,
      {
        code: 40310000,
        message: 'insufficient qty available for order (requested: 1, available: 0)',
        available: '0',
        existing_qty: '10',
        held_for_orders: '10',
        related_orders: [idOf(sell)],
        symbol: 'AAPL',
      },
    ])
  })

  test('a wash trade is refused', async () => {
    const resting = await post(rest)
    const answer = await post({ ...buy, side: 'sell' })
    expect(answer.body).toMatchObject({ code: 40310000, existing_order_id: idOf(resting) })
  })

  test('a blocked account is refused', async () => {
    sandbox.control.setFlags('demo-key', { tradingBlocked: true })
    expect((await post(buy)).body).toEqual({
      code: 40310000,
      message: 'account is not authorized to trade',
    })
    expect((await get('/v2/account')).body).toMatchObject({
      trading_blocked: true,
      status: 'ACTIVE',
    })
  })

  const cashKeys = { 'apca-api-key-id': 'cash', 'apca-api-secret-key': 'only' }
})
