import { expect, test } from 'vitest'
import { createAlpacaBroker, endpointOf } from '../../workers/broker/alpaca/index.ts'
import { readTradeUpdate } from '../../workers/broker/alpaca/order-rows.ts'
import { realTimers } from '../conformance/broker-harness.ts'

// Holdings whose value is not quantity times price: contracts on 100 shares each, pairs that are
// quoted in another coin.

const OPTION = 'AAPL240119C00100000'
const contracts = {
  symbol: OPTION,
  asset_class: 'us_option',
  qty: '2',
  side: 'long',
  avg_entry_price: '2.5',
  current_price: '3.1',
  cost_basis: '500',
  market_value: '620',
}
const account = { id: 'a1', currency: 'USD', cash: '1000', status: 'ACTIVE' }
const order = {
  id: 'o-1',
  client_order_id: 'c-1',
  symbol: OPTION,
  side: 'buy',
  type: 'market',
  time_in_force: 'day',
  status: 'filled',
  qty: '2',
  filled_qty: '2',
  filled_avg_price: '2.5',
  order_class: '',
  submitted_at: '2026-01-05T10:00:00Z',
  updated_at: '2026-01-05T10:00:00Z',
}
const fill = {
  id: 'a-1',
  activity_type: 'FILL',
  transaction_time: '2026-01-05T10:00:00Z',
  order_id: 'o-1',
  symbol: OPTION,
  price: '2.5',
  qty: '2',
  cum_qty: '2',
}

function brokerWith(position: object) {
  const bodies: Record<string, unknown> = {
    '/v2/account': account,
    '/v2/positions': [position],
    '/v2/orders': [order],
    '/v2/account/activities': [fill],
  }
  const fetch = async (url: string | URL | Request): Promise<Response> => {
    const { pathname } = new URL(url instanceof Request ? url.url : url)
    return new Response(JSON.stringify(bodies[pathname]), {
      headers: { 'content-type': 'application/json' },
    })
  }
  const transport = { fetch, openEvents: () => Promise.reject(new Error('not here')) }
  const endpoint = endpointOf('sandbox', 'http://127.0.0.1:1')
  return createAlpacaBroker({ keyId: 'K', secretKey: 'S' }, endpoint, transport, realTimers())
}
const held = async (position: object) => (await brokerWith(position).readPortfolio()).positions[0]

test.each<[what: string, over: object, price: string, average: string]>([
  ['long', {}, '310', '250'],
  ['short', { qty: '-2', side: 'short', cost_basis: '-500', market_value: '-620' }, '310', '250'],
  ['on ten shares each', { cost_basis: '50', market_value: '62' }, '31', '25'],
  ['whose value the broker does not tell', { cost_basis: null, market_value: null }, '310', '250'],
])(
  'an option held %s is priced per contract, as the broker values it',
  async (_what, over, price, average) => {
    expect(await held({ ...contracts, ...over })).toMatchObject({
      currentPrice: price,
      averageEntryPrice: average,
    })
  },
)

test('executions of an option order are priced per contract, in every source', async () => {
  const broker = brokerWith(contracts)
  const [listed] = await broker.listOrders({ status: 'open' })
  expect(listed?.filledAveragePrice).toBe('250')
  const [row] = await broker.listExecutions('2026-01-01T00:00:00.000Z')
  expect(row).toMatchObject({ execution: { quantity: '2', price: '250' } })
  const message = {
    event: 'fill',
    price: '2.5',
    qty: '2',
    execution_id: 'x1',
    at: '2026-01-05T10:00:00Z',
    order,
  }
  expect(readTradeUpdate(message)).toMatchObject({
    execution: { price: '250' },
    order: { filledAveragePrice: '250' },
  })
})

test('a stock and a USD pair keep their price, for any rounding in the broker’s totals', async () => {
  const share = {
    ...contracts,
    symbol: 'AAPL',
    asset_class: 'us_equity',
    market_value: '6.21',
    cost_basis: '5.01',
  }
  expect(await held(share)).toMatchObject({ currentPrice: '3.1', averageEntryPrice: '2.5' })
  const coin = { ...share, symbol: 'ETHUSD', asset_class: 'crypto' }
  expect(await held(coin)).toMatchObject({
    symbol: 'ETH/USD',
    currentPrice: '3.1',
    averageEntryPrice: '2.5',
  })
})

test('a pair in another coin has the broker’s value', async () => {
  const pair = {
    ...contracts,
    symbol: 'ETHBTC',
    asset_class: 'crypto',
    current_price: '0.05',
    avg_entry_price: '0.04',
  }
  expect(await held({ ...pair, market_value: '5000', cost_basis: '4000' })).toMatchObject({
    symbol: 'ETH/BTC',
    currentPrice: '2500',
    averageEntryPrice: '2000',
  })
})
