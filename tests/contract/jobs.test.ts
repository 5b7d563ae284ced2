import { describe, expect, test } from 'vitest'
import {
  describeIssues,
  type JobName,
  jobs,
  queues,
  type SubmitOrder,
  submitOrderSchema,
} from '#contract'
import { bracket, crypto, limit, market, oco, oto, sized, trailing } from './payloads.ts'

/** The lines that a caller reads; empty for a good payload. */
const problems = (job: JobName, payload: unknown): string => {
  const { error } = jobs[job].schema.safeParse(payload)
  return error ? describeIssues(error) : ''
}

const good: [name: string, order: SubmitOrder][] = [
  ['market', market],
  ['limit', limit],
  ['stop', { ...market, orderType: 'stop', stopPrice: '145' }],
  ['stop limit', { ...limit, orderType: 'stop_limit', stopPrice: '145' }],
  ['trailing by percent', trailing],
  ['trailing by price', { ...trailing, trailPercent: null, trailPrice: '2.5', timeInForce: 'gtc' }],
  ['bracket', bracket],
  [
    'bracket, sold short',
    { ...bracket, side: 'sell', takeProfit: { limitPrice: '145' }, stopLoss: { stopPrice: '155' } },
  ],
  ['oco', oco],
  ['oto with a stop loss', oto],
  ['oto with a take profit', { ...oto, stopLoss: null, takeProfit: { limitPrice: '155' } }],
  ['in money', sized],
  ['fractional', { ...market, quantity: '0.5' }],
  ['a limit order in money', { ...limit, quantity: null, notional: '100' }],
  [
    'a stop limit order in money',
    { ...limit, orderType: 'stop_limit', stopPrice: '1', quantity: null, notional: '100' },
  ],
  ['crypto', crypto],
  [
    'crypto limit in money',
    { ...crypto, orderType: 'limit', limitPrice: '0.12345678', quantity: null, notional: '20' },
  ],
  ['outside regular hours', { ...limit, extendedHours: true, timeInForce: 'gtc' }],
  ['below one dollar', { ...limit, limitPrice: '0.1234' }],
  ['with a deadline', { ...market, notAfter: '2026-01-02T15:04:05-05:00' }],
  ...(['day', 'gtc', 'opg', 'cls', 'ioc', 'fok'] as const).map(
    (timeInForce): [string, SubmitOrder] => [timeInForce, { ...limit, timeInForce }],
  ),
]

/** The error text of an order, and the order; the text names every error. */
const bad: [text: string, order: object][] = [
  ['quantity: must be greater than 0', { ...market, quantity: '-5' }],
  ['quantity: must be greater than 0', { ...market, quantity: '0.00' }],
  ['quantity: write it as a decimal string, like "1.5"', { ...market, quantity: 10 }],
  ['quantity: write a plain decimal, like "1.5"', { ...market, quantity: '1e3' }],
  ['quantity: write a plain decimal, like "1.5"', { ...market, quantity: ' 1' }],
  ['quantity: at most 9 decimals', { ...crypto, quantity: '0.0000000001' }],
  ['quantity: must be at most 1000000000000', { ...market, quantity: '18446744073709551615' }],
  ['quantity: must be at most 1000000000000', { ...crypto, quantity: '1000000000000.000000001' }],
  ['limitPrice: must be at most 10000000', { ...limit, limitPrice: '10000000.01' }],
  ['notional: must be at most 1000000000000', { ...sized, notional: '18446744073709551616' }],
  ['trailPercent: must be at most 10000', { ...trailing, trailPercent: '10001' }],
  ['stopLoss.stopPrice: must be at most 10000000', { ...oto, stopLoss: { stopPrice: '99999999' } }],
  [
    'quantity: quantity times price must be at most 1000000000000',
    { ...limit, quantity: '9999999999' },
  ],
  ['quantity: give a quantity (or a notional)', { ...market, quantity: null }],
  ['notional: give quantity or notional, not both', { ...market, notional: '100' }],
  ['notional: must be at least 1.00', { ...sized, notional: '0.99' }],
  [
    'notional: a trailing-stop order is sized by quantity',
    { ...trailing, quantity: null, notional: '100' },
  ],
  ['symbol: is missing', { ...market, symbol: undefined }],
  ['side: is missing', { ...market, side: undefined }],
  ['tradeId: is missing', { ...market, tradeId: undefined }],
  [
    'symbol: options are not supported; use a stock or a pair',
    { ...market, symbol: 'AAPL240119C00100000' },
  ],
  ['symbol: pairs are traded in USD, like ETH/USD', { ...crypto, symbol: 'ETH/BTC' }],
  ['symbol: pairs are traded in USD, like ETH/USD', { ...crypto, symbol: 'ETHUSDT' }],
  ['timeinforce: is not a field; check its spelling', { ...market, timeinforce: 'ioc' }],
  [
    'stopLoss.limit: is not a field; check its spelling',
    { ...bracket, stopLoss: { stopPrice: '145', limit: '144' } },
  ],
  [
    'orderType: must be one of market, limit, stop, stop_limit, trailing_stop',
    { ...market, orderType: 'iceberg' },
  ],
  ['side: must be one of buy, sell', { ...market, side: 'short' }],
  ['timeInForce: must be one of day, gtc, opg, cls, ioc, fok', { ...market, timeInForce: 'gtd' }],
  ['orderClass: must be one of simple, bracket, oco, oto', { ...market, orderClass: 'mleg' }],
  ['symbol: use a symbol like AAPL, BRK.B or BTC/USD', { ...market, symbol: 'aapl' }],
  ['tradeId: use 1 to 64 of A-Z a-z 0-9 _ -', { ...market, tradeId: 'a:b' }],
  ['notAfter: write an ISO time, like 2026-01-02T15:04:05Z', { ...market, notAfter: 'tomorrow' }],
  ['limitPrice: a limit order needs a limitPrice', { ...limit, limitPrice: null }],
  [
    'limitPrice: a stop-limit order needs a limitPrice',
    { ...market, orderType: 'stop_limit', stopPrice: '1' },
  ],
  ['limitPrice: a market order takes no limitPrice', { ...market, limitPrice: '150' }],
  ['limitPrice: at most 2 decimals at this price', { ...limit, limitPrice: '150.001' }],
  ['limitPrice: at most 4 decimals at this price', { ...limit, limitPrice: '0.12345' }],
  ['stopPrice: a stop order needs a stopPrice', { ...market, orderType: 'stop' }],
  ['stopPrice: a stop-limit order needs a stopPrice', { ...limit, orderType: 'stop_limit' }],
  ['stopPrice: a market order takes no stopPrice', { ...market, stopPrice: '145' }],
  ['stopPrice: a limit order takes no stopPrice', { ...limit, stopPrice: '145' }],
  ['trailPrice: a market order takes no trail', { ...market, trailPercent: '1' }],
  [
    'trailPrice: a trailing-stop order needs trailPrice or trailPercent, one of them',
    { ...trailing, trailPercent: null },
  ],
  [
    'trailPrice: a trailing-stop order needs trailPrice or trailPercent, one of them',
    { ...trailing, trailPrice: '1' },
  ],
  ['timeInForce: a trailing-stop order works as day or gtc', { ...trailing, timeInForce: 'ioc' }],
  [
    'timeInForce: fractional and notional orders work as day',
    { ...market, quantity: '0.5', timeInForce: 'gtc' },
  ],
  ['timeInForce: crypto orders work as gtc or ioc', { ...crypto, timeInForce: 'day' }],
  ['timeInForce: a bracket order works as day or gtc', { ...bracket, timeInForce: 'ioc' }],
  ['extendedHours: only for limit orders with day or gtc', { ...market, extendedHours: true }],
  [
    'extendedHours: only for limit orders with day or gtc',
    { ...limit, timeInForce: 'ioc', extendedHours: true },
  ],
  [
    'extendedHours: a bracket order works in regular hours only',
    { ...bracket, extendedHours: true },
  ],
  ['orderClass: fractional and notional orders are simple', { ...bracket, quantity: '0.5' }],
  ['orderClass: crypto orders are simple', { ...bracket, symbol: 'BTC/USD', timeInForce: 'gtc' }],
  ['orderType: an oco order is of type limit', { ...oco, orderType: 'market' }],
  [
    'takeProfit: a simple order has no takeProfit; set orderClass',
    { ...market, takeProfit: { limitPrice: '155' } },
  ],
  [
    'stopLoss: a simple order has no stopLoss; set orderClass',
    { ...market, stopLoss: { stopPrice: '145' } },
  ],
  ['takeProfit: a bracket order needs a takeProfit', { ...bracket, takeProfit: null }],
  ['stopLoss: a bracket order needs a stopLoss', { ...bracket, stopLoss: null }],
  ['takeProfit: an oco order needs a takeProfit', { ...oco, takeProfit: null }],
  [
    'takeProfit: an oto order needs takeProfit or stopLoss, one of them',
    { ...oto, stopLoss: null },
  ],
  [
    'takeProfit: an oto order needs takeProfit or stopLoss, one of them',
    { ...oto, takeProfit: { limitPrice: '155' } },
  ],
  [
    'takeProfit: takeProfit.limitPrice must be above stopLoss.stopPrice',
    { ...bracket, takeProfit: { limitPrice: '145' } },
  ],
  [
    'takeProfit: takeProfit.limitPrice must be below stopLoss.stopPrice',
    { ...bracket, side: 'sell' },
  ],
  [
    'limitPrice: an oco order takes no limitPrice; its takeProfit has the price',
    { ...oco, limitPrice: '155' },
  ],
  [
    'takeProfit.limitPrice: at most 2 decimals at this price',
    { ...bracket, takeProfit: { limitPrice: '155.123' } },
  ],
  [
    'stopLoss.stopPrice: at most 2 decimals at this price',
    { ...bracket, stopLoss: { stopPrice: '145.001' } },
  ],
  [
    'stopLoss.stopPrice: must be at least 0.01 below the limitPrice',
    { ...bracket, stopLoss: { stopPrice: '150' } },
  ],
  ['extendedHours: must be true or false', { ...market, extendedHours: 'yes' }],
  ['stopLoss.stopPrice: must be greater than 0', { ...bracket, stopLoss: { stopPrice: '-1' } }],
]

describe('submitOrder', () => {
  test.each(good)('%s is accepted', (_name, order) =>
    expect(problems('submitOrder', order)).toBe(''),
  )

  test('omitted fields get their defaults, decimals get their canonical text', () => {
    expect(submitOrderSchema.parse({ ...market, quantity: '010.50' })).toEqual({
      ...market,
      quantity: '10.5',
      timeInForce: 'day',
      orderClass: 'simple',
      notional: null,
      limitPrice: null,
      stopPrice: null,
      trailPrice: null,
      trailPercent: null,
      extendedHours: false,
      takeProfit: null,
      stopLoss: null,
      notAfter: null,
    })
  })

  test('parsing a parsed order changes nothing, so a job carries the checked order', () => {
    for (const order of [market, limit, trailing, bracket, oco, oto, crypto, sized]) {
      const intent = submitOrderSchema.parse(order)
      expect(submitOrderSchema.parse(JSON.parse(JSON.stringify(intent)))).toEqual(intent)
    }
  })

  test.each(bad)('%s', (text, order) => expect(problems('submitOrder', order)).toBe(text))

  test('every error is reported at once', () => {
    expect(
      problems('submitOrder', { ...market, side: 'short', quantity: '-5', symbol: '?' }).split(
        '\n',
      ),
    ).toEqual([
      'symbol: use a symbol like AAPL, BRK.B or BTC/USD',
      'side: must be one of buy, sell',
      'quantity: must be greater than 0',
    ])
    expect(
      problems('submitOrder', { ...limit, quantity: null, limitPrice: null }).split('\n'),
    ).toEqual([
      'quantity: give a quantity (or a notional)',
      'limitPrice: a limit order needs a limitPrice',
    ])
  })

  test.each(['userId', 'connectionId', 'tradeId', 'symbol', 'side', 'orderType'])(
    '%s cannot be left out',
    (field) => {
      expect(problems('submitOrder', { ...market, [field]: undefined })).toMatch(
        new RegExp(`^${field}: `),
      )
    },
  )

  test.each([null, undefined, 'order', 7, []])('%j is no order', (payload) => {
    expect(problems('submitOrder', payload)).toMatch(/^payload: /)
  })
})

describe('commands', () => {
  const command = { userId: 'u1', connectionId: 'broker_1', tradeId: 'trade_1', commandId: 'c1' }

  test.each<[JobName, object]>([
    ['cancelOrder', command],
    ['cancelOrder', { ...command, by: 'system', reason: 'end of the session' }],
    ['replaceOrder', { ...command, limitPrice: '151' }],
    ['replaceOrder', { ...command, timeInForce: 'gtc' }],
    ['replaceOrder', { ...command, trail: '0.5' }],
    ['closePosition', { ...command, symbol: 'BTC/USD' }],
    ['closePosition', { ...command, symbol: 'AAPL', percentage: '50' }],
    ['closePosition', { ...command, symbol: 'AAPL', quantity: '1', positionSide: 'short' }],
    ['closePosition', { ...command, symbol: 'AAPL', positionSide: null }],
    ['closePosition', { ...command, symbol: 'AAPL', limitPrice: '180.5', extendedHours: true }],
    ['closePosition', { ...command, symbol: 'BTC/USD', limitPrice: '60000.123' }],
    ['closeAllPositions', { userId: 'u1', connectionId: 'broker_1', commandId: 'c1' }],
    ['checkConnection', { userId: 'u1', connectionId: 'broker_1' }],
  ])('%s accepts %j', (job, payload) => expect(problems(job, payload)).toBe(''))

  test.each<[string, JobName, object]>([
    ['commandId: use 1 to 64 of A-Z a-z 0-9 _ -', 'cancelOrder', { ...command, commandId: '' }],
    ['quantity: must be greater than 0', 'replaceOrder', { ...command, quantity: '-5' }],
    [
      'quantity: say what to change: quantity, limitPrice, stopPrice, trail or timeInForce',
      'replaceOrder',
      command,
    ],
    [
      'percentage: give quantity or percentage, not both',
      'closePosition',
      { ...command, symbol: 'AAPL', quantity: '1', percentage: '50' },
    ],
    [
      'limitPrice: a close in extended hours needs a limitPrice',
      'closePosition',
      { ...command, symbol: 'AAPL', extendedHours: true },
    ],
    [
      'limitPrice: at most 2 decimals at this price',
      'closePosition',
      { ...command, symbol: 'AAPL', limitPrice: '180.505' },
    ],
    [
      'extendedHours: pairs trade at any time',
      'closePosition',
      { ...command, symbol: 'BTC/USD', limitPrice: '1', extendedHours: true },
    ],
    [
      'percentage: must be at most 100',
      'closePosition',
      { ...command, symbol: 'AAPL', percentage: '100.1' },
    ],
    [
      'symbol: use a symbol like AAPL, BRK.B or BTC/USD',
      'closePosition',
      { ...command, symbol: 'BTCUSD/' },
    ],
    [
      'positionSide: must be one of long, short',
      'closePosition',
      { ...command, symbol: 'AAPL', positionSide: 'buy' },
    ],
  ])('%s - %s', (text, job, payload) => expect(problems(job, payload)).toBe(text))

  test('a close without a side is a job that the previous version of the workers reads', () => {
    const close = jobs.closePosition.schema.parse({ ...command, symbol: 'AAPL' })
    expect(JSON.parse(JSON.stringify(close))).toEqual({
      ...command,
      symbol: 'AAPL',
      quantity: null,
      percentage: null,
    })
  })

  test('commands never wait behind new orders or health checks', () => {
    expect(Object.entries(jobs).map(([job, { queue }]) => `${job} ${queue}`)).toEqual([
      'submitOrder orders',
      'cancelOrder commands',
      'replaceOrder commands',
      'cancelAll commands',
      'closePosition commands',
      'closeAllPositions commands',
      'resolveOrder orders',
      'checkConnection connections',
      'disconnect connections',
    ])
  })

  test('each queue has a hash tag of its own', () => {
    for (const [key, { name, prefix }] of Object.entries(queues)) {
      expect({ name, prefix }).toEqual({ name: key, prefix: `{fc:${key}}` })
    }
  })
})
