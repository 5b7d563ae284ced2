import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Sandbox, startSandbox } from '#sandbox'
import { type Answer, call } from './wire.ts'

/** Orders that wait for a price: refusals, triggers, and trailing prices. */

let sandbox: Sandbox

beforeEach(async () => {
  sandbox = await startSandbox({ seed: 'stops', fillDelayMs: 0, tickMs: 0, partialFills: false })
  sandbox.control.setPrice('AAPL', { last: '100' })
})

afterEach(() => sandbox.close())

const buy = { symbol: 'AAPL', qty: '10', side: 'buy', time_in_force: 'gtc' }
const sell = { ...buy, side: 'sell' }
const post = (body: unknown): Promise<Answer> => call(sandbox, 'POST', '/v2/orders', body)
const stateOf = async (placed: Answer): Promise<unknown> =>
  (await call(sandbox, 'GET', `/v2/orders/${(placed.body as { id: string }).id}`)).body
const becomes = (placed: Answer, state: object): Promise<void> =>
  expect.poll(() => stateOf(placed)).toMatchObject(state)
const price = (last: string): void => sandbox.control.setPrice('AAPL', { last })

describe('refusals', () => {
  const below = { market_price: '100', stop_price: '101' }
  const trailWords = 'trailing stop orders must specify one of trail_price or trail_percent'
  const table: [name: string, order: object, code: number, message: string, fields?: object][] = [
    ['stop without price', { ...buy, type: 'stop' }, 40010001, 'stop orders require a stop price'],
    [
      'stop limit without limit',
      { ...buy, type: 'stop_limit', stop_price: '101' },
      40010001,
      'stop limit orders require both stop and limit price',
    ],
    [
      'stop limit without stop',
      { ...buy, type: 'stop_limit', limit_price: '101' },
      40010001,
      'stop limit orders require both stop and limit price',
    ],
    [
      'stop with limit',
      { ...buy, type: 'stop', stop_price: '101', limit_price: '1' },
      40010001,
      'stop orders require no limit price',
    ],
    ['trail without distance', { ...sell, type: 'trailing_stop' }, 40010001, trailWords],
    [
      'trail with two distances',
      { ...sell, type: 'trailing_stop', trail_price: '1', trail_percent: '1' },
      40010001,
      trailWords,
    ],
    [
      'a trail of everything',
      { ...sell, type: 'trailing_stop', trail_percent: '100' },
      40010001,
      'trail_percent must be < 100',
    ],
    [
      'trail of the wrong time in force',
      { ...sell, type: 'trailing_stop', trail_price: '1', time_in_force: 'ioc' },
      42210000,
      'trailing stop orders must be DAY or GTC orders',
    ],
    [
      'sub-penny stop',
      { ...buy, type: 'stop', stop_price: '101.001' },
      42210000,
      'invalid stop_price 101.001. sub-penny increment does not fulfill minimum pricing criteria',
    ],
    [
      'sell stop above the market',
      { ...sell, type: 'stop', stop_price: '101' },
      42210000,
      'stop price must be less than current price',
      below,
    ],
    [
      'buy stop below the market',
      { ...buy, type: 'stop', stop_price: '99' },
      42210000,
      'stop price must be greater than current price',
      { market_price: '100', stop_price: '99' },
    ],
    [
      'crypto stop',
      { ...buy, symbol: 'BTC/USD', qty: '0.1', type: 'stop', stop_price: '99000' },
      40010001,
      'invalid order type for crypto order',
    ],
  ]
  test.each(table)('%s', async (_name, order, code, message, fields = {}) => {
    const answer = await post(order)
    expect([answer.status, answer.body]).toEqual([422, { code, message, ...fields }])
  })
})

test('a buy stop waits for a trade at its price, not a quote, then fills at the market', async () => {
  const stop = await post({ ...buy, type: 'stop', stop_price: '102' })
  await becomes(stop, { status: 'new', stop_price: '102' })
  sandbox.control.setPrice('AAPL', { bid: '102.50', ask: '102.60' })
  price('101.99')
  await becomes(stop, { status: 'new', filled_qty: '0' })
  price('102')
  await becomes(stop, { status: 'filled', filled_avg_price: '102.01' })
})

test('a triggered stop limit is a limit order: it fills no worse than its limit', async () => {
  const stop = await post({ ...buy, type: 'stop_limit', stop_price: '102', limit_price: '102.50' })
  await becomes(stop, { status: 'new' })
  price('103')
  await becomes(stop, { status: 'new', filled_qty: '0' })
  price('101')
  await becomes(stop, { status: 'filled', filled_avg_price: '101.01' })
})

test('a trailing sell follows the price up, never down, and sells when it turns', async () => {
  const trail = await post({ ...sell, type: 'trailing_stop', trail_price: '2' })
  expect(trail.body).toMatchObject({
    type: 'trailing_stop',
    trail_price: '2',
    trail_percent: null,
    hwm: '100',
    stop_price: '98',
  })
  await becomes(trail, { status: 'new' })
  price('110')
  await becomes(trail, { hwm: '110', stop_price: '108' })
  price('108.01')
  await becomes(trail, { status: 'new', hwm: '110', stop_price: '108' })
  price('108')
  await becomes(trail, { status: 'filled', filled_avg_price: '107.99' })
})

test('a trailing buy follows the market down by its percentage', async () => {
  const trail = await post({ ...buy, type: 'trailing_stop', trail_percent: '10' })
  expect(trail.body).toMatchObject({ hwm: '100', stop_price: '110', trail_percent: '10' })
  await becomes(trail, { status: 'new' })
  price('80')
  await becomes(trail, { hwm: '80', stop_price: '88' })
  price('88')
  await becomes(trail, { status: 'filled', filled_avg_price: '88.01' })
})

test('a buy stop holds buying power above its stop price, and releases it', async () => {
  const power = async (): Promise<unknown> =>
    ((await call(sandbox, 'GET', '/v2/account')).body as { buying_power: string }).buying_power
  const stop = await post({ ...buy, type: 'stop', stop_price: '200' })
  expect(await power()).toBe('197940')
  await call(sandbox, 'DELETE', `/v2/orders/${(stop.body as { id: string }).id}`)
  await expect.poll(power).toBe('200000')
})
