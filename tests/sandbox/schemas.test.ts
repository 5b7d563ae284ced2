import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Sandbox, startSandbox } from '#sandbox'
import { problemsOf, withOneLeafWrong } from './schema-check.ts'
import { type Answer, call, demoKeys } from './wire.ts'

/** Every REST answer against its schema, and every schema against answers that are wrong. */

type Row = Record<string, unknown>

const MINUTE_MS = 60_000
const poorKeys = { 'apca-api-key-id': 'poor', 'apca-api-secret-key': 'only' }
const secondKeys = { 'apca-api-key-id': 'demo-key-2', 'apca-api-secret-key': 'demo-secret-2' }
const market = { symbol: 'AAPL', qty: '10', side: 'buy', type: 'market', time_in_force: 'day' }
const limit = { ...market, type: 'limit', limit_price: '100' }
const exits = { take_profit: { limit_price: '400' }, stop_loss: { stop_price: '50' } }

let sandbox: Sandbox
const settle = (): Promise<unknown> => sandbox.control.advanceTime(1_000)
const get = (path: string, headers?: Record<string, string>): Promise<Answer> =>
  call(sandbox, 'GET', path, undefined, headers)
const post = (body: unknown, headers?: Record<string, string>): Promise<Answer> =>
  call(sandbox, 'POST', '/v2/orders', body, headers)
const idOf = ({ body }: Answer): string => (body as { id: string }).id

/**
 * Long, short and crypto positions; fills, deposits, fees, dividends; canceled, replaced and
 * rejected orders.
 */
async function liveADay(): Promise<void> {
  sandbox.control.setPrice('AAPL', { last: '150' })
  await post(market)
  await post({ ...market, symbol: 'MSFT', side: 'sell' })
  await post({ ...market, symbol: 'BTC/USD', qty: '0.01', time_in_force: 'gtc' })
  await post({ ...market, symbol: 'SPY', qty: undefined, notional: '250' })
  await settle()
  for (const type of ['CSD', 'CSW', 'JNLC', 'FEE'] as const) {
    sandbox.control.moveMoney('demo-key', { type, amount: '20' })
  }
  sandbox.control.moveMoney('demo-key', { type: 'DIV', amount: '0.24', symbol: 'AAPL' })
  const { body } = await post(limit)
  await settle()
  await call(sandbox, 'PATCH', `/v2/orders/${(body as Row)['id'] as string}`, {
    limit_price: '101',
  })
  const canceled = await post({ ...limit, client_order_id: 'to/cancel' })
  await settle()
  expect((await call(sandbox, 'DELETE', `/v2/orders/${idOf(canceled)}`)).body).toBeUndefined()
  sandbox.control.armFault({ kind: 'reject_order' })
  await post(market)
  sandbox.control.setPartialFills(true, 1)
  await post({ ...market, qty: '7' })
  await sandbox.control.advanceTime(2 * MINUTE_MS)
  sandbox.control.setPartialFills(false)
}

beforeAll(async () => {
  const accounts = [{ keyId: 'poor', secret: 'only', cash: '1000', multiplier: 1 as const }]
  sandbox = await startSandbox({
    seed: 'schemas',
    time: 'virtual',
    fillDelayMs: 0,
    partialFills: false,
    accounts,
  })
  await liveADay()
})
afterAll(() => sandbox.close())

const requests: readonly (readonly [name: string, request: Row])[] = [
  ['market', market],
  ['notional', { ...market, qty: undefined, notional: '100' }],
  ['limit', limit],
  ['stop', { ...market, type: 'stop', stop_price: '250' }],
  ['stop limit', { ...market, type: 'stop_limit', stop_price: '250', limit_price: '251' }],
  ['trailing by percent', { ...market, type: 'trailing_stop', trail_percent: '5' }],
  ['trailing by price', { ...market, type: 'trailing_stop', trail_price: '20' }],
  ['immediate or cancel', { ...limit, time_in_force: 'ioc' }],
  ['extended hours', { ...limit, extended_hours: true }],
  [
    'crypto',
    { ...limit, symbol: 'BTC/USD', qty: '0.01', limit_price: '2000', time_in_force: 'gtc' },
  ],
  ['bracket', { ...limit, qty: '1', order_class: 'bracket', ...exits }],
  ['one triggers another', { ...limit, qty: '1', order_class: 'oto', stop_loss: exits.stop_loss }],
  [
    'one cancels another',
    { ...limit, limit_price: undefined, qty: '1', side: 'sell', order_class: 'oco', ...exits },
  ],
]

const gets: readonly (readonly [path: string, schema: string])[] = [
  ['/v2/orders?status=all&limit=500', 'orders'],
  ['/v2/orders?status=all&nested=true', 'orders'],
  ['/v2/orders:by_client_order_id?client_order_id=to%2Fcancel', 'order'],
  ['/v2/account', 'account'],
  ['/v2/account/configurations', 'configurations'],
  ['/v2/account/activities', 'activities'],
  ['/v2/account/activities/FILL', 'activities'],
  [
    '/v2/account/portfolio/history?timeframe=1Min&period=1D&cashflow_types=ALL',
    'portfolio-history',
  ],
  ['/v2/positions', 'positions'],
  ['/v2/positions/AAPL', 'position'],
  ['/v2/positions/MSFT', 'position'],
  ['/v2/assets', 'assets'],
  ['/v2/assets?asset_class=crypto', 'assets'],
  ['/v2/assets/AAPL', 'asset'],
  ['/v2/assets/BTC%2FUSD', 'asset'],
  ['/v2/clock', 'clock'],
  ['/v2/calendar?start=2024-01-02&end=2024-01-31', 'calendar'],
  ['/v2/stocks/snapshots?symbols=AAPL,MSFT&feed=iex', 'stock-snapshots'],
  ['/v2/stocks/AAPL/snapshot?feed=iex', 'stock-snapshot'],
  ['/v1beta3/crypto/us/snapshots?symbols=BTC/USD', 'crypto-snapshots'],
  ...['quotes', 'trades', 'bars'].flatMap((kind) => [
    [`/v2/stocks/${kind}/latest?symbols=AAPL,MSFT`, `latest#/$defs/stock-latest-${kind}`] as const,
    [`/v2/stocks/AAPL/${kind}/latest`, `latest#/$defs/stock-latest-${kind.slice(0, -1)}`] as const,
  ]),
  ...['quotes', 'trades', 'bars', 'orderbooks'].map(
    (kind) =>
      [
        `/v1beta3/crypto/us/latest/${kind}?symbols=BTC/USD`,
        `latest#/$defs/crypto-latest-${kind}`,
      ] as const,
  ),
]

const nobody = '00000000-0000-4000-8000-000000000000'
const refusals: readonly (readonly [status: number, name: string, ask: () => Promise<Answer>])[] = [
  [401, 'wrong keys', () => get('/v2/account', { ...demoKeys, 'apca-api-secret-key': 'wrong' })],
  [401, 'no keys', () => get('/v2/account', {})],
  [403, 'funds', () => post({ ...market, qty: '100' }, poorKeys)],
  [403, 'shares', () => call(sandbox, 'DELETE', '/v2/positions/AAPL?qty=9999')],
  [404, 'no order', () => get(`/v2/orders/${nobody}`)],
  [404, 'no client id', () => get('/v2/orders:by_client_order_id?client_order_id=nobody')],
  [404, 'no position', () => get('/v2/positions/TSLA')],
  [404, 'no asset', () => get('/v2/assets/ZZZZQX')],
  [404, 'no path', () => get('/v2/nowhere')],
  [422, 'validation', () => post({ ...market, qty: undefined })],
  [422, 'not possible', () => post({ ...market, symbol: 'ZZZZ' })],
  [422, 'a client id again', () => post({ ...limit, client_order_id: 'to/cancel' })],
]

describe('answers follow the reference', () => {
  test.each(requests)('order: %s', async (_name, request) => {
    const answer = await post(request)
    expect([answer.status, problemsOf('order', answer.body)]).toEqual([200, []])
    await settle()
    const later = await get(`/v2/orders/${idOf(answer)}?nested=true`)
    expect(problemsOf('order', later.body)).toEqual([])
  })

  test.each(gets)('GET %s', async (path, schema) => {
    const { status, body } = await get(path)
    expect([status, problemsOf(schema, body)]).toEqual([200, []])
    expect(JSON.stringify(body).length).toBeGreaterThan('{"snapshots":{}}'.length)
  })

  test('the orders that were checked had every ending of orders', async () => {
    const { body } = await get('/v2/orders?status=all&limit=500')
    const statuses = (body as Row[]).map(({ status }) => status)
    expect(statuses).toEqual(
      expect.arrayContaining(['new', 'filled', 'canceled', 'replaced', 'rejected']),
    )
    const { body: activities } = await get('/v2/account/activities')
    const types = (activities as Row[]).map((row) => row['type'] ?? row['activity_type'])
    expect(types).toEqual(
      expect.arrayContaining(['fill', 'partial_fill', 'CSD', 'CSW', 'JNLC', 'FEE', 'DIV']),
    )
  })

  test('a replaced order and its replacement', async () => {
    const old = await post(limit)
    await settle()
    const replaced = await call(sandbox, 'PATCH', `/v2/orders/${idOf(old)}`, { limit_price: '102' })
    expect([replaced.status, problemsOf('order', replaced.body)]).toEqual([200, []])
    expect(replaced.body).toMatchObject({ replaces: idOf(old) })
  })

  test('configurations answer a change as they answer a read', async () => {
    const { body } = await call(sandbox, 'PATCH', '/v2/account/configurations', {
      trade_confirm_email: 'none',
    })
    expect(problemsOf('configurations', body)).toEqual([])
  })

  test.each(refusals)('%i %s', async (status, _name, ask) => {
    const answer = await ask()
    expect([answer.status, problemsOf('error', answer.body)]).toEqual([status, []])
  })

  test.each([true, false])('429, with headers: %s', async (headers) => {
    sandbox.control.armFault({ kind: 'rate_limit', headers })
    const answer = await get('/v2/account')
    expect([answer.status, problemsOf('error', answer.body)]).toEqual([429, []])
  })

  test('a close answers its order; close-all and cancel-all answer one row each', async () => {
    const remove = (path: string): Promise<Answer> =>
      call(sandbox, 'DELETE', path, undefined, secondKeys)
    for (const symbol of ['AAPL', 'SPY', 'MSFT']) await post({ ...market, symbol }, secondKeys)
    await settle()
    const closed = await remove('/v2/positions/SPY')
    expect([closed.status, problemsOf('order', closed.body)]).toEqual([200, []])
    await post({ ...limit, limit_price: '900', side: 'sell' }, secondKeys)
    const all = await remove('/v2/positions')
    expect([all.status, problemsOf('close-all', all.body)]).toEqual([207, []])
    expect(new Set((all.body as Row[]).map((row) => row['status']))).toEqual(new Set([200, 403]))
    const canceled = await remove('/v2/orders')
    expect([canceled.status, problemsOf('cancel-all', canceled.body)]).toEqual([207, []])
    expect(canceled.body).not.toEqual([])
  })
})

describe('wrong answers are found', () => {
  test.each(gets)('GET %s: any leaf of another type', async (path, schema) => {
    const { body } = await get(path)
    const sample: unknown = Array.isArray(body) ? body.slice(0, 3) : body
    expect(problemsOf(schema, sample)).toEqual([])
    const copies = withOneLeafWrong(sample)
    expect(copies.length).toBeGreaterThan(0)
    expect(
      copies.filter(([, copy]) => problemsOf(schema, copy).length === 0).map(([at]) => at),
    ).toEqual([])
  })

  const row = { id: nobody, status: 404, body: { code: 40410000, message: 'order not found' } }
  const bad: readonly (readonly [name: string, schema: string, good: unknown, wrong: unknown])[] = [
    ['a failed row without its reason', 'cancel-all', [row], [{ id: nobody, status: 404 }]],
    ['a row with text for a status', 'cancel-all', [row], [{ ...row, status: '404' }]],
    ['a closing row without a body', 'close-all', [], [{ symbol: 'AAPL', status: 200 }]],
    [
      'a code on unauthorized',
      'error',
      { message: 'unauthorized.' },
      { message: 'unauthorized.', code: 40110000 },
    ],
    ['a code as text', 'error', row.body, { ...row.body, code: '40410000' }],
    ['a not-found without a code', 'error', row.body, { message: 'order not found' }],
    ['an envelope around a list', 'orders', [], { orders: [] }],
  ]
  test.each(bad)('%s', (_name, schema, good, wrong) => {
    expect(problemsOf(schema, good)).toEqual([])
    expect(problemsOf(schema, wrong)).not.toEqual([])
  })

  const changes: readonly (readonly [name: string, path: string, schema: string, change: Row])[] = [
    ['a price as a number', '/v2/orders?status=all', 'orders', { filled_qty: 0 }],
    ['a null left out', '/v2/orders?status=all', 'orders', { hwm: undefined }],
    ['a status in capitals', '/v2/orders?status=all', 'orders', { status: 'FILLED' }],
    ['null for nothing filled', '/v2/orders?status=all', 'orders', { filled_qty: null }],
    ['a field of no reference', '/v2/orders?status=all', 'orders', { account: 'x' }],
    [
      'a limit order without its price',
      '/v2/orders?status=all',
      'orders',
      { type: 'limit', limit_price: null },
    ],
    ['an unknown account status', '/v2/account', 'account', { status: 'active' }],
    ['cash as a number', '/v2/account', 'account', { cash: 1 }],
    ['a margin as a number', '/v2/account', 'account', { multiplier: 2 }],
    ['a long position below zero', '/v2/positions/AAPL', 'position', { qty: '-5' }],
    [
      'asset_class for class',
      '/v2/assets/AAPL',
      'asset',
      { class: undefined, asset_class: 'us_equity' },
    ],
    ['a time without its offset', '/v2/clock', 'clock', { timestamp: '2024-01-02T10:00:00' }],
    [
      'a session with a colon',
      '/v2/calendar?start=2024-01-02&end=2024-01-05',
      'calendar',
      { session_open: '04:00' },
    ],
    ['an id without a time', '/v2/account/activities', 'activities', { id: nobody }],
    ['worth as text', '/v2/account/portfolio/history', 'portfolio-history', { equity: ['1'] }],
    [
      'an unknown setting',
      '/v2/account/configurations',
      'configurations',
      { trade_confirm_email: 'some' },
    ],
  ]
  test.each(changes)('%s: %s', async (_name, path, schema, change) => {
    const { body } = await get(path)
    const [first, list] = Array.isArray(body) ? [body[0] as Row, true] : [body as Row, false]
    const planted = JSON.parse(JSON.stringify({ ...first, ...change })) as Row
    expect(problemsOf(schema, list ? [first] : first)).toEqual([])
    expect(problemsOf(schema, list ? [planted] : planted)).not.toEqual([])
  })
})
