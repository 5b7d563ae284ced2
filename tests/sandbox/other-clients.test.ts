import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Sandbox, startSandbox } from '#sandbox'
import { call, Wire } from './wire.ts'

/**
 * Requests of clients other than the official SDK, as on the wire: odd, but accepted by the broker.
 */

let sandbox: Sandbox

beforeEach(async () => {
  sandbox = await startSandbox({ seed: 'others', tickMs: 0, fillDelayMs: 0, partialFills: false })
})
afterEach(() => sandbox.close())

const get = (path: string) => call(sandbox, 'GET', path)
const post = (body: unknown) => call(sandbox, 'POST', '/v2/orders', body)

/** Go: every field is there, null or empty when it is not set. */
const unset = {
  notional: null,
  limit_price: null,
  stop_price: null,
  trail_price: null,
  trail_percent: null,
  take_profit: null,
  stop_loss: null,
  legs: null,
  order_class: '',
  position_intent: '',
  client_order_id: '',
}

describe('orders', () => {
  test('fields that are null or empty count as absent', async () => {
    const body = {
      ...unset,
      symbol: 'AAPL',
      qty: '1',
      side: 'buy',
      type: 'limit',
      time_in_force: 'gtc',
    }
    const placed = await post({ ...body, limit_price: '10', extended_hours: false })
    expect(placed.body).toMatchObject({
      qty: '1',
      order_class: '',
      limit_price: '10',
      position_intent: 'buy_to_open',
    })
    const { id, client_order_id } = placed.body as { id: string; client_order_id: string }
    expect(client_order_id).toMatch(/^[\da-f-]{36}$/)
    await expect
      .poll(async () => (await get(`/v2/orders/${id}`)).body)
      .toMatchObject({ status: 'new' })
    const change = {
      qty: null,
      limit_price: '11',
      stop_price: null,
      trail: null,
      time_in_force: '',
      client_order_id: '',
    }
    const replaced = await call(sandbox, 'PATCH', `/v2/orders/${id}`, change)
    expect(replaced.body).toMatchObject({
      qty: '1',
      limit_price: '11',
      time_in_force: 'gtc',
      replaces: id,
    })
  })

  test.each([
    ['1e-05', '0.00001'],
    ['0.5', '0.5'],
    ['1e-3', '0.001'],
  ])('the JSON number %s is a quantity', async (written, qty) => {
    const body = `{"symbol":"BTC/USD","qty":${written},"side":"buy","type":"market","time_in_force":"gtc"}`
    expect((await post(body)).body).toMatchObject({ qty })
  })

  test('fields that the broker does not know are ignored', async () => {
    const body = {
      symbol: 'AAPL',
      qty: 1,
      side: 'buy',
      type: 'market',
      time_in_force: 'day',
      order_id: 'x',
      paper: true,
    }
    expect(await post(body)).toMatchObject({ status: 200 })
  })

  test.each([
    '2026-01-02',
    '2026-01-02T00:00:00',
    '2026-01-02 00:00:00',
    '2026-01-02T00:00:00+00:00',
    '2026-01-02T00:00:00.123456789-05:00',
  ])('%s is a time', async (time) => {
    await post({ symbol: 'AAPL', qty: 1, side: 'buy', type: 'market', time_in_force: 'day' })
    expect(
      (await get(`/v2/orders?status=all&after=${encodeURIComponent(time)}`)).body,
    ).toHaveLength(1)
    // The plus sign of an offset that was not encoded arrives as a space.
    expect((await get(`/v2/orders?status=all&until=${time}`)).body).toHaveLength(0)
  })
})

test('a timeframe is read in upper and lower case, where that is unambiguous', async () => {
  const bars = '/v1beta3/crypto/us/bars?symbols=BTC/USD&start=2024-03-04&end=2024-03-06&timeframe='
  const pairs = [
    ['1min', '1Min'],
    ['15t', '15Min'],
    ['1hour', '1H'],
    ['1day', '1Day'],
    ['1MONTH', '1M'],
  ]
  for (const [written, meant] of pairs) {
    const answer = await get(`${bars}${written ?? ''}`)
    expect([answer.status, answer.body]).toEqual([200, (await get(`${bars}${meant ?? ''}`)).body])
  }
  expect(await get(`${bars}1m`)).toMatchObject({
    status: 400,
    body: { message: 'invalid timeframe: 1m' },
  })
})

test('unlisten removes the streams that it names', async () => {
  const wire = await new Wire(`${sandbox.wsUrl}/stream`).opened()
  const streams = (action: string, ...names: string[]) =>
    wire.send({ action, data: { streams: names } })
  streams('unlisten', 'trade_updates')
  wire.send({ action: 'authenticate', data: { key_id: 'demo-key', secret_key: 'demo-secret' } })
  streams('listen', 'trade_updates')
  streams('unlisten', 'account_updates')
  streams('unlisten', 'trade_updates')
  streams('unlisten', 'trade_updates')
  await expect.poll(() => wire.frames).toHaveLength(6)
  expect(wire.heard).toEqual([
    { stream: 'authorization', data: { status: 'unauthorized', action: 'listen' } },
    { stream: 'authorization', data: { status: 'authorized', action: 'authenticate' } },
    ...[['trade_updates'], ['trade_updates'], [], []].map((left) => ({
      stream: 'listening',
      data: { streams: left },
    })),
  ])
  wire.socket.terminate()
})
