import { decode, encode } from '@msgpack/msgpack'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Sandbox, startSandbox } from '#sandbox'
import { call, demoKeys, Wire } from './wire.ts'

/** The two streams, frame by frame. */

let sandbox: Sandbox
const wires: Wire[] = []

beforeEach(async () => {
  sandbox = await startSandbox({ seed: 'streams', fillDelayMs: 0, tickMs: 0, partialFills: false })
})

afterEach(async () => {
  wires.splice(0).forEach(({ socket }) => socket.terminate())
  await sandbox.close()
})

async function open(path: string, headers: Record<string, string> = {}): Promise<Wire> {
  const wire = new Wire(sandbox.wsUrl + path, headers)
  wires.push(wire)
  return wire.opened()
}

const credentials = { action: 'auth', key: 'demo-key', secret: 'demo-secret' }
const heard = (wire: Wire, count: number): Promise<void> =>
  expect.poll(() => wire.frames.length).toBe(count)

describe('trade stream', () => {
  const listen = { action: 'listen', data: { streams: ['trade_updates', 'other'] } }
  const authorization = (status: string, action: string): unknown => ({
    stream: 'authorization',
    data: { status, action },
  })
  const buy = {
    symbol: 'AAPL',
    qty: '10',
    side: 'buy',
    type: 'market',
    time_in_force: 'day',
    client_order_id: 'c1',
  }

  test.each([
    [
      '/stream',
      { action: 'authenticate', data: { key_id: 'demo-key', secret_key: 'demo-secret' } },
    ],
    ['/stream/', credentials],
  ])('%s accepts %o, without a welcome, in binary frames', async (path, authenticate) => {
    const wire = await open(path)
    wire.send(authenticate)
    wire.send(listen)
    await heard(wire, 2)
    expect(wire.heard).toEqual([
      authorization('authorized', 'authenticate'),
      { stream: 'listening', data: { streams: ['trade_updates'] } },
    ])
    expect(wire.frames.every(({ binary }) => binary)).toBe(true)
  })

  test('refuses wrong keys, listening before keys, and malformed data', async () => {
    const wire = await open('/stream')
    wire.send(listen)
    wire.send({ ...credentials, secret: 'wrong' })
    wire.send('{"action":')
    await heard(wire, 3)
    expect(wire.heard).toEqual([
      authorization('unauthorized', 'listen'),
      authorization('unauthorized', 'authenticate'),
      { action: 'error', data: { error_message: 'invalid syntax' } },
    ])
  })

  test('an update carries ids, times, its execution, the position and the whole order', async () => {
    const wire = await open('/stream')
    wire.send(credentials)
    wire.send(listen)
    await heard(wire, 2)
    await call(sandbox, 'POST', '/v2/orders', buy)
    await heard(wire, 4)
    const [, , created, filled] = wire.heard as { stream: string; data: Record<string, unknown> }[]
    const ulid: unknown = expect.stringMatching(/^[0-9A-HJKMNP-TV-Z]{26}$/)
    const text: unknown = expect.any(String)
    const common = { event_id: ulid, at: text, timestamp: text, execution_id: text }
    expect(created?.stream).toBe('trade_updates')
    const order: unknown = expect.objectContaining({
      client_order_id: 'c1',
      filled_qty: '0',
      status: 'new',
    })
    expect(created?.data).toStrictEqual({ event: 'new', ...common, order })
    expect(filled?.data).toMatchObject({
      event: 'fill',
      ...common,
      price: '185.11',
      qty: '10',
      position_qty: '10',
    })
    expect(String(filled?.data['event_id']) > String(created?.data['event_id'])).toBe(true)
    expect(filled?.data['order']).toEqual(
      (await call(sandbox, 'GET', '/v2/orders?status=all')).body?.[0 as never],
    )
  })

  test('an empty listen stops the updates', async () => {
    const wire = await open('/stream')
    wire.send(credentials)
    wire.send(listen)
    wire.send({ action: 'listen', data: { streams: [] } })
    await heard(wire, 3)
    await call(sandbox, 'POST', '/v2/orders', buy)
    await expect
      .poll(() => sandbox.control.ledger().accounts['demo-key']?.executions.length)
      .toBe(1)
    wire.send(listen)
    await heard(wire, 4)
    expect(wire.heard.slice(2)).toEqual([
      { stream: 'listening', data: { streams: [] } },
      { stream: 'listening', data: { streams: ['trade_updates'] } },
    ])
  })

  test('an unknown path is no stream, a huge message ends its socket, streams can be cut', async () => {
    await expect(open('/nope')).rejects.toThrow('404')
    const huge = await open('/stream')
    const cut = await open('/stream')
    huge.send('x'.repeat(100_000))
    await huge.closed()
    cut.send(credentials)
    await heard(cut, 1)
    expect(sandbox.control.cutStreams({ stream: 'trade', keyId: 'demo-key' })).toBe(1)
    await cut.closed()
  })
})

describe('data stream', () => {
  const connected = [{ T: 'success', msg: 'connected' }]
  const authenticated = [{ T: 'success', msg: 'authenticated' }]
  const subscription = (trades: string[], quotes: string[]): unknown => [
    {
      T: 'subscription',
      trades,
      quotes,
      bars: [],
      updatedBars: [],
      dailyBars: [],
      statuses: [],
      lulds: [],
      corrections: trades,
      cancelErrors: trades,
    },
  ]

  test('JSON: welcome, keys, and the complete set after every change', async () => {
    const wire = await open('/v2/iex')
    wire.send({ ...credentials, paper: true })
    wire.send({ action: 'subscribe', trades: ['AAPL'], quotes: ['MSFT'] })
    wire.send({ action: 'subscribe', quotes: ['AAPL'] })
    wire.send({ action: 'unsubscribe', quotes: ['MSFT'] })
    await heard(wire, 5)
    expect(wire.heard).toEqual([
      connected,
      authenticated,
      subscription(['AAPL'], ['MSFT']),
      subscription(['AAPL'], ['MSFT', 'AAPL']),
      subscription(['AAPL'], ['AAPL']),
    ])
    sandbox.control.setPrice('AAPL', { bid: '1.01', ask: '1.03', last: '1.02' })
    sandbox.control.setPrice('MSFT', { last: '400' })
    await heard(wire, 6)
    const time: unknown = expect.stringMatching(/Z$/)
    expect(wire.heard.at(-1)).toMatchObject([
      { T: 'q', S: 'AAPL', bp: 1.01, ap: 1.03, t: time },
      { T: 't', S: 'AAPL', p: 1.02, t: time },
    ])
  })

  test('MessagePack: the same, with times as the timestamp extension', async () => {
    const wire = await open('/v2/iex', { 'content-type': 'application/msgpack' })
    wire.send(encode(credentials))
    wire.send(encode({ action: 'subscribe', quotes: ['*'] }))
    await heard(wire, 3)
    sandbox.control.setPrice('SPY', { last: '500' })
    await heard(wire, 4)
    const messages = wire.frames.map(({ data }) => decode(data))
    expect(messages.slice(0, 3)).toEqual([connected, authenticated, subscription([], ['*'])])
    expect(messages[3]).toMatchObject([{ T: 'q', S: 'SPY', t: expect.any(Date) as unknown }])
    // fixext 4 or 8 of type -1
    expect(wire.frames[3]?.data.toString('latin1')).toMatch(/[\xd6\xd7]\xff/)
    expect(wire.frames.every(({ binary }) => binary)).toBe(true)
  })

  test('keys may come with the upgrade', async () => {
    const wire = await open('/v2/iex', demoKeys)
    await heard(wire, 2)
    expect(wire.heard).toEqual([connected, authenticated])
  })

  test('crypto has its own feed', async () => {
    const wire = await open('/v1beta3/crypto/us', demoKeys)
    wire.send({ action: 'subscribe', quotes: ['BTC/USD'] })
    await heard(wire, 3)
    sandbox.control.setPrice('BTC/USD', { bid: '60000', ask: '60001' })
    await heard(wire, 4)
    expect(wire.heard.at(-1)).toMatchObject([{ T: 'q', S: 'BTC/USD', bp: 60_000, ap: 60_001 }])
  })

  test('mistakes have their codes', async () => {
    const wire = await open('/v2/iex')
    const error = (code: number, msg: string): unknown => [{ T: 'error', code, msg }]
    wire.send({ action: 'subscribe', trades: ['AAPL'] })
    wire.send('nonsense')
    wire.send(credentials)
    wire.send(credentials)
    wire.send({ action: 'subscribe', trades: ['aa pl'] })
    await heard(wire, 6)
    expect(wire.heard.slice(1)).toEqual([
      error(401, 'not authenticated'),
      error(400, 'invalid syntax'),
      authenticated,
      error(403, 'already authenticated'),
      error(400, 'invalid syntax'),
    ])
    const stranger = await open('/v2/iex')
    stranger.send({ ...credentials, key: 'nobody' })
    await stranger.closed()
    expect(stranger.heard).toEqual([connected, error(402, 'auth failed')])
  })
})
