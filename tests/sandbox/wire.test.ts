import { connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Sandbox, startSandbox } from '#sandbox'
import { type Answer, call, demoKeys } from './wire.ts'

/** Shapes, nulls, status codes and error bodies over plain HTTP. */

let sandbox: Sandbox

beforeEach(async () => {
  sandbox = await startSandbox({
    seed: 'wire',
    fillDelayMs: 0,
    tickMs: 0,
    partialFills: false,
  })
})

afterEach(() => sandbox.close())

const buy = { symbol: 'AAPL', qty: '10', side: 'buy', type: 'market', time_in_force: 'day' }
const rest = { ...buy, type: 'limit', limit_price: '100' }
const get = (path: string): Promise<Answer> => call(sandbox, 'GET', path)
const post = (body: unknown, headers: Record<string, string> = demoKeys): Promise<Answer> =>
  call(sandbox, 'POST', '/v2/orders', body, headers)
const idOf = ({ body }: Answer): string => (body as { id: string }).id
const idsOf = ({ body }: Answer): string[] =>
  (body as { client_order_id: string }[]).map((row) => row.client_order_id)
const settled = (count: number): Promise<void> =>
  expect
    .poll(() => sandbox.control.ledger('demo-key').accounts['demo-key']?.executions.length)
    .toBe(count)

describe('an order on the wire', () => {
  test('has every field, strings for amounts, and null for absent values', async () => {
    const { status, body } = await post({ ...rest, client_order_id: 'mine' })
    expect(status).toBe(200)
    const uuid: unknown = expect.stringMatching(
      /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/,
    )
    const time: unknown = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/)
    expect(body).toStrictEqual({
      id: uuid,
      client_order_id: 'mine',
      created_at: time,
      updated_at: time,
      submitted_at: time,
      expires_at: time,
      filled_at: null,
      expired_at: null,
      cancel_requested_at: null,
      canceled_at: null,
      failed_at: null,
      replaced_at: null,
      replaced_by: null,
      replaces: null,
      asset_id: 'b0b6dd9d-8b9b-48a9-ba46-b9d54906e415',
      symbol: 'AAPL',
      asset_class: 'us_equity',
      notional: null,
      qty: '10',
      filled_qty: '0',
      filled_avg_price: null,
      order_class: '',
      order_type: 'limit',
      type: 'limit',
      side: 'buy',
      position_intent: 'buy_to_open',
      time_in_force: 'day',
      limit_price: '100',
      stop_price: null,
      status: 'pending_new',
      extended_hours: false,
      legs: null,
      trail_percent: null,
      trail_price: null,
      hwm: null,
      subtag: null,
      source: null,
    })
  })

  test('may have numbers and no content type, and gets a client id of its own', async () => {
    const { body } = await post(JSON.stringify({ ...rest, qty: 10, limit_price: 100.5 }))
    expect(body).toMatchObject({ qty: '10', limit_price: '100.5' })
    expect((body as { client_order_id: string }).client_order_id).toMatch(/^[\da-f-]{36}$/)
  })

  test('notional orders may have a limit or a stop only with `notionalLimits`', async () => {
    const priced = { ...buy, qty: undefined, notional: '1000', type: 'limit', limit_price: '1.00' }
    expect(await post(priced)).toMatchObject({
      status: 422,
      body: { message: 'notional orders must be market orders' },
    })
    await using told = await startSandbox({ tickMs: 0, notionalLimits: true })
    const trailing = {
      ...priced,
      limit_price: undefined,
      type: 'trailing_stop',
      trail_percent: '1',
    }
    for (const [order, status] of [
      [priced, 200],
      [{ ...priced, limit_price: undefined, type: 'stop', stop_price: '900' }, 200],
      [trailing, 422],
    ] as const)
      expect((await call(told, 'POST', '/v2/orders', order)).status).toBe(status)
  })

  test('a notional order has no qty until it is filled', async () => {
    const answer = await post({ ...buy, qty: undefined, notional: '1000' })
    expect(answer.body).toMatchObject({ qty: null, notional: '1000' })
    await settled(1)
    const { body } = await get(`/v2/orders/${idOf(answer)}`)
    expect(body).toMatchObject({ status: 'filled', qty: '5.40219329', filled_qty: '5.40219329' })
  })

  test('two requests with one client id at the same moment make one order', async () => {
    const twice = await Promise.all([1, 2].map(() => post({ ...buy, client_order_id: 'once' })))
    expect(twice.map(({ status }) => status).sort()).toEqual([200, 422])
    expect(sandbox.control.ledger('demo-key').accounts['demo-key']?.orders).toHaveLength(1)
  })

  test('an immediate order that is not marketable is canceled', async () => {
    const answer = await post({ ...rest, time_in_force: 'ioc' })
    await expect
      .poll(async () => (await get(`/v2/orders/${idOf(answer)}`)).body)
      .toMatchObject({ status: 'canceled' })
  })

  test('is refused when it does not exist, by either id', async () => {
    const message = 'order not found for nope'
    for (const path of ['/v2/orders/nope', '/v2/orders:by_client_order_id?client_order_id=nope']) {
      const answer = await get(path)
      expect([answer.status, answer.body]).toEqual([404, { code: 40410000, message }])
    }
    expect((await call(sandbox, 'DELETE', '/v2/orders/nope')).status).toBe(404)
  })
})

describe('lists', () => {
  const place = async (ids: string[], change: object = {}): Promise<string[]> => {
    const placed: string[] = []
    for (const id of ids)
      placed.push(idOf(await post({ ...rest, qty: '1', ...change, client_order_id: id })))
    return placed
  }

  test('orders: newest first, open by default, and every filter', async () => {
    const [, b] = await place(['a', 'b', 'c'])
    await place(['m'], { symbol: 'MSFT' })
    sandbox.control.fillOrder(b ?? '')
    expect(idsOf(await get('/v2/orders'))).toEqual(['m', 'c', 'a'])
    expect(idsOf(await get('/v2/orders?status=closed'))).toEqual(['b'])
    expect(idsOf(await get('/v2/orders?status=all&direction=asc&limit=2'))).toEqual(['a', 'b'])
    expect(idsOf(await get('/v2/orders?status=all&symbols=MSFT,TSLA'))).toEqual(['m'])
    expect(idsOf(await get('/v2/orders?side=sell'))).toEqual([])
    expect(idsOf(await get('/v2/orders?asset_class=us_equity&asset_class=crypto'))).toHaveLength(3)
    expect(idsOf(await get(`/v2/orders?status=all&direction=asc&after_order_id=${b}`))).toEqual([
      'c',
      'm',
    ])
    expect(idsOf(await get(`/v2/orders?status=all&before_order_id=${b}`))).toEqual(['a'])
  })

  test('orders: `after` and `until` are exclusive, to the nanosecond', async () => {
    await place(['a', 'b', 'c'])
    const { body } = await get('/v2/orders?direction=asc')
    const times = (body as { submitted_at: string }[]).map((row) => row.submitted_at)
    expect(idsOf(await get(`/v2/orders?direction=asc&after=${times[0]}`))).toEqual(['b', 'c'])
    expect(
      idsOf(await get(`/v2/orders?direction=asc&after=${times[0]}&until=${times[2]}`)),
    ).toEqual(['b'])
  })

  test.each([
    'status=maybe',
    'limit=0',
    'limit=501',
    'direction=up',
    'after=yesterday',
    'after_order_id=a&before_order_id=b',
  ])('orders: %s is refused', async (query) => {
    expect((await get(`/v2/orders?${query}`)).status).toBe(422)
  })

  test('cancel all answers 207 with one row per open order', async () => {
    const ids = await place(['a', 'b'])
    const answer = await call(sandbox, 'DELETE', '/v2/orders')
    expect([answer.status, answer.body]).toEqual([207, ids.map((id) => ({ id, status: 200 }))])
    await expect.poll(async () => idsOf(await get('/v2/orders?status=closed'))).toEqual(['b', 'a'])
    expect((await call(sandbox, 'DELETE', '/v2/orders')).body).toEqual([])
  })

  test('activities page by the id of the last row', async () => {
    const [id = ''] = await place(['a'], { qty: '4' })
    for (let part = 0; part < 4; part += 1)
      sandbox.control.fillOrder(id, { qty: '1', price: '99.5' })
    const cumulative = ({ body }: Answer): string[] =>
      (body as { cum_qty: string }[]).map((row) => row.cum_qty)
    const first = await get('/v2/account/activities?direction=asc&page_size=3')
    expect(cumulative(first)).toEqual(['1', '2', '3'])
    const token = (first.body as { id: string }[]).at(-1)?.id ?? ''
    const next = `page_token=${encodeURIComponent(token)}`
    expect(
      cumulative(await get(`/v2/account/activities/FILL?direction=asc&page_size=3&${next}`)),
    ).toEqual(['4'])
    expect(cumulative(await get('/v2/account/activities?activity_types=CSD'))).toEqual([])
    expect((await get('/v2/account/activities')).body).toMatchObject([
      {
        activity_type: 'FILL',
        type: 'fill',
        qty: '1',
        price: '99.5',
        leaves_qty: '0',
        order_status: 'filled',
      },
      { type: 'partial_fill', leaves_qty: '1', order_status: 'partially_filled' },
      {},
      {},
    ])
  })

  test('a closed position is absent, not zero', async () => {
    await post(buy)
    await settled(1)
    expect((await get('/v2/positions/AAPL')).body).toMatchObject({
      qty: '10',
      qty_available: '10',
      side: 'long',
    })
    await post({ ...buy, side: 'sell' })
    await settled(2)
    const answer = await get('/v2/positions/AAPL')
    expect([answer.status, answer.body]).toEqual([
      404,
      { code: 40410000, message: 'position does not exist' },
    ])
    expect((await get('/v2/positions')).body).toEqual([])
  })
})

describe('the server', () => {
  test.each([
    {},
    { 'apca-api-key-id': 'demo-key' },
    { 'apca-api-key-id': 'demo-key', 'apca-api-secret-key': 'x' },
  ])('answers 401 without a code to %o', async (headers) => {
    const answer = await call(sandbox, 'GET', '/v2/account', undefined, headers)
    expect([answer.status, answer.body]).toEqual([401, { message: 'unauthorized.' }])
  })

  test('answers unknown paths, methods and ids with their errors', async () => {
    expect(await get('/v2/nothing')).toMatchObject({ status: 404, body: { code: 40410000 } })
    expect(await get('/v2/orders/%E0%A4%A')).toMatchObject({ status: 404 })
    expect(await call(sandbox, 'PUT', '/v2/orders')).toMatchObject({ status: 405 })
    expect(await get('/v2/assets/ZZZZ')).toMatchObject({
      status: 404,
      body: { message: 'asset not found for ZZZZ' },
    })
    expect(await call(sandbox, 'PATCH', '/v2/orders/x', {})).toMatchObject({ status: 404 })
    expect(await post({ ...buy, type: 'stop', stop_price: '1' })).toMatchObject({ status: 422 })
  })

  test('lists assets by class and status', async () => {
    const symbolsOf = async (query: string) =>
      ((await get(`/v2/assets?${query}`)).body as { symbol: string }[]).map(({ symbol }) => symbol)
    expect(await symbolsOf('')).toEqual(expect.arrayContaining(['AAPL', 'QQQ', 'RGC']))
    expect(await symbolsOf('asset_class=&status=')).toEqual(
      await symbolsOf('status=all&asset_class=us_equity'),
    )
    expect(await symbolsOf('asset_class=crypto')).toEqual([
      'BTC/USD',
      'ETH/USD',
      'SOL/USD',
      'MKR/USD',
    ])
    expect(await symbolsOf('asset_class=crypto&status=active')).toEqual([
      'BTC/USD',
      'ETH/USD',
      'SOL/USD',
    ])
    expect(await symbolsOf('asset_class=crypto&status=inactive')).toEqual(['MKR/USD'])
    expect((await get('/v2/assets/RGC')).body).toMatchObject({ status: 'active', tradable: false })
  })

  test.each([
    ['/v2/watchlists', 'the sandbox has no watchlists'],
    ['/v2/watchlists:by_name?name=x', 'the sandbox has no watchlists'],
    ['/v2/options/contracts', 'the sandbox trades no options'],
    ['/v3/clock', 'the sandbox has one market: ask /v2/clock and /v2/calendar'],
  ])('refuses %s with that reason', async (path, message) => {
    expect(await get(path)).toMatchObject({ status: 501, body: { message } })
    expect(await call(sandbox, 'POST', path, { name: 'x' })).toMatchObject({
      status: 501,
      body: { message },
    })
  })

  test('answers a body that is no JSON, no object or too large, and stays up', async () => {
    expect(await post('{"symbol":')).toMatchObject({ status: 400, body: { code: 40010000 } })
    expect(await post('[]')).toMatchObject({
      status: 422,
      body: { message: 'request body format is invalid' },
    })
    expect(await post(`"${'x'.repeat(70_000)}"`)).toMatchObject({ status: 413 })
    expect((await get('/v2/clock')).status).toBe(200)
  })

  test('answers bytes that are no HTTP with 400', async () => {
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connect(sandbox.port, '127.0.0.1', () => socket.write('no http\r\n\r\n'))
      socket.once('data', (data) => resolve(data.toString()))
      socket.once('error', reject)
    })
    expect(answer).toMatch(/^HTTP\/1\.1 400 /)
  })

  test('names each request', async () => {
    const first = await get('/v2/clock')
    const second = await get('/v2/clock')
    expect(first.headers.get('x-request-id')).not.toBe(second.headers.get('x-request-id'))
  })
})

test('a client that leaves in the middle of its body is no error of the server', async () => {
  const write = process.stderr.write.bind(process.stderr)
  const said: string[] = []
  process.stderr.write = (text: string | Uint8Array): boolean => said.push(String(text)) > 0
  try {
    const closing = connect(sandbox.port, '127.0.0.1')
    const keys = Object.entries(demoKeys).map(([name, value]) => `${name}: ${value}\r\n`)
    closing.write(
      `POST /v2/orders HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n${keys.join('')}\r\n{"symbol":`,
    )
    await expect.poll(() => sandbox.control.ledger().requestsReceived).toBe(1)
    closing.resetAndDestroy()
    // Its end has been seen when later connections have come and gone.
    for (let later = 0; later < 5; later += 1) {
      await fetch(`${sandbox.url}/v2/clock`, { headers: { ...demoKeys, connection: 'close' } })
    }
    expect(said).toEqual([])
    expect(sandbox.control.ledger().requests[0]).toMatchObject({ path: '/v2/orders', status: null })
  } finally {
    process.stderr.write = write
  }
})
