import { Alpaca } from '@alpacahq/alpaca-trade-api'
import { decode, encode } from '@msgpack/msgpack'
import { once } from 'node:events'
import { afterEach, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { type Sandbox, type SandboxOptions, startSandbox } from '#sandbox'
import { FakeClock } from '../support/fake-clock.ts'
import { call, demoKeys, Wire } from './wire.ts'

/** Every market data feed: its messages, its admission, and its refusals. */

const MINUTE_MS = 60_000
const running: Sandbox[] = []
const wires: Wire[] = []

afterEach(async () => {
  wires.splice(0).forEach(({ socket }) => socket.terminate())
  await Promise.all(running.splice(0).map((sandbox) => sandbox.close()))
})

async function start(options: SandboxOptions = {}): Promise<Sandbox> {
  const sandbox = await startSandbox({ seed: 'data streams', tickMs: 0, ...options })
  running.push(sandbox)
  return sandbox
}

async function open(
  sandbox: Sandbox,
  path: string,
  headers: Record<string, string> = demoKeys,
): Promise<Wire> {
  const wire = new Wire(sandbox.wsUrl + path, headers)
  wires.push(wire)
  return wire.opened()
}

const heard = (wire: Wire, count: number): Promise<void> =>
  expect.poll(() => wire.frames.length).toBe(count)
const error = (code: number, msg: string): unknown => [{ T: 'error', code, msg }]
const connected = [{ T: 'success', msg: 'connected' }]
const authenticated = [{ T: 'success', msg: 'authenticated' }]
const credentials = { action: 'auth', key: 'demo-key', secret: 'demo-secret' }

/** Opens a feed, subscribes, and waits for the answer. */
async function subscribed(
  sandbox: Sandbox,
  path: string,
  channels: Record<string, string[]>,
): Promise<Wire> {
  const wire = await open(sandbox, path)
  wire.send({ action: 'subscribe', ...channels })
  await heard(wire, 3)
  wire.frames.length = 0
  return wire
}

describe('acknowledgements', () => {
  const none = { trades: [], quotes: [], bars: [], updatedBars: [], dailyBars: [] }
  const stock = {
    T: 'subscription',
    ...none,
    statuses: [],
    lulds: [],
    corrections: [],
    cancelErrors: [],
  }

  test.each(['/v2/iex', '/v2/sip/', '/v2/delayed_sip', '/v2/test'])(
    '%s lists every array every time',
    async (path) => {
      const wire = await open(await start(), path)
      wire.send({ action: 'subscribe', bars: ['*'] })
      wire.send({
        action: 'subscribe',
        trades: ['AAPL'],
        updatedBars: ['SPY'],
        dailyBars: ['SPY'],
        statuses: ['*'],
      })
      wire.send({ action: 'unsubscribe', trades: ['AAPL', 'MSFT'], bars: ['*'], lulds: ['*'] })
      wire.send({ action: 'subscribe' })
      await heard(wire, 6)
      const most = {
        ...stock,
        bars: ['*'],
        updatedBars: ['SPY'],
        dailyBars: ['SPY'],
        statuses: ['*'],
      }
      const rest = [{ ...most, bars: [] }]
      const all = [{ ...most, trades: ['AAPL'], corrections: ['AAPL'], cancelErrors: ['AAPL'] }]
      expect(wire.heard).toEqual([
        connected,
        authenticated,
        [{ ...stock, bars: ['*'] }],
        all,
        rest,
        rest,
      ])
    },
  )

  test('the crypto feed has order books, and neither statuses nor corrections', async () => {
    const wire = await open(await start(), '/v1beta3/crypto/us')
    wire.send({ action: 'subscribe', orderbooks: ['BTC/USD'], statuses: [] })
    wire.send({ action: 'subscribe', statuses: ['*'] })
    await heard(wire, 4)
    expect(wire.heard.slice(2)).toEqual([
      [{ T: 'subscription', ...none, orderbooks: ['BTC/USD'] }],
      error(410, 'invalid subscribe action for this feed'),
    ])
  })
})

describe('messages of the feeds', () => {
  test('a minute of trades becomes a bar and the day so far, on every live stock feed', async () => {
    const clock = new FakeClock()
    const sandbox = await start({ clock })
    const channels = { bars: ['*'], dailyBars: ['AAPL'] }
    const feeds = await Promise.all(
      ['/v2/iex', '/v2/sip'].map((path) => subscribed(sandbox, path, channels)),
    )
    const late = await subscribed(sandbox, '/v2/delayed_sip', { quotes: ['AAPL'] })
    for (const last of ['185', '190', '180', '186']) sandbox.control.setPrice('AAPL', { last })
    await clock.advance(MINUTE_MS)
    for (const wire of feeds) {
      await heard(wire, 1)
      const bar = {
        S: 'AAPL',
        h: 190,
        l: 180,
        c: 186,
        t: expect.stringMatching(/^2024-03-15T14:00:00/) as unknown,
      }
      expect(wire.heard[0]).toMatchObject([
        { ...bar, T: 'b', o: 185, n: 4, v: 400, vw: 185.25 },
        { T: 'd', S: 'AAPL', h: 190, l: 180, c: 186, t: '2024-03-15T04:00:00.000Z' },
      ])
    }
    expect(late.frames).toHaveLength(0)
    await clock.advance(14 * MINUTE_MS)
    sandbox.control.setPrice('AAPL', { last: '200' })
    await heard(late, 4)
    expect(late.heard[0]).toMatchObject([{ T: 'q', S: 'AAPL', bp: 184.99, ap: 185.01 }])
  })

  test('some bars are corrected half a minute later, for a trade reported late', async () => {
    const clock = new FakeClock()
    const sandbox = await start({ clock })
    const wire = await subscribed(sandbox, '/v2/iex', { bars: ['AAPL'], updatedBars: ['AAPL'] })
    const kinds = (): string[] => wire.heard.map((frame) => (frame as { T: string }[])[0]?.T ?? '')
    for (let minute = 1; minute <= 60; minute += 1) {
      sandbox.control.setPrice('AAPL', { last: '185' })
      await clock.advance(MINUTE_MS)
    }
    await expect.poll(() => kinds().filter((kind) => kind === 'b').length).toBe(60)
    const update = kinds().indexOf('u')
    expect(update).toBeGreaterThan(0)
    const [before, after] = [wire.heard[update - 1], wire.heard[update]] as [
      { t: string; v: number }[],
      unknown,
    ]
    expect(after).toMatchObject([
      { T: 'u', S: 'AAPL', t: before[0]?.t, v: (before[0]?.v ?? 0) + 10, n: 2 },
    ])
  })

  test('closing the market halts every stock, and opening it resumes them', async () => {
    const sandbox = await start()
    const wire = await subscribed(sandbox, '/v2/iex', { statuses: ['MSFT'] })
    sandbox.control.setMarketOpen(false)
    sandbox.control.setMarketOpen(true)
    await heard(wire, 2)
    const status = { T: 's', S: 'MSFT', sm: expect.any(String) as unknown, z: 'C' }
    expect(wire.heard).toMatchObject([
      [{ ...status, sc: 'H', rc: 'T1' }],
      [{ ...status, sc: 'T', rc: 'T3' }],
    ])
  })

  test('crypto trades name the taker, quotes and trades have no venue, the book is whole', async () => {
    const sandbox = await start()
    const wire = await subscribed(sandbox, '/v1beta3/crypto/us', {
      trades: ['*'],
      quotes: ['*'],
      orderbooks: ['*'],
    })
    sandbox.control.setPrice('BTC/USD', { bid: '60000', ask: '60010', last: '60005' })
    await heard(wire, 1)
    const [quote, trade, book] = wire.heard[0] as Record<string, unknown>[]
    expect(Object.keys(quote ?? {}).sort()).toEqual(['S', 'T', 'ap', 'as', 'bp', 'bs', 't'])
    expect(Object.keys(trade ?? {}).sort()).toEqual(['S', 'T', 'i', 'p', 's', 't', 'tks'])
    expect(book).toMatchObject({
      T: 'o',
      S: 'BTC/USD',
      b: [{ p: 60_000 }],
      a: [{ p: 60_010 }],
      r: true,
    })
  })

  test('FAKEPACA trades on the test feed while other symbols stand, and has no orders', async () => {
    const clock = new FakeClock()
    const sandbox = await start({ clock, marketOpen: false })
    const wire = await subscribed(sandbox, '/v2/test', {
      quotes: ['FAKEPACA'],
      trades: ['*'],
      bars: ['FAKEPACA'],
    })
    await clock.advance(MINUTE_MS)
    await heard(wire, 60)
    expect(wire.heard[0]).toMatchObject([
      { T: 'q', S: 'FAKEPACA' },
      { T: 't', S: 'FAKEPACA' },
    ])
    expect(wire.heard.at(-1)).toMatchObject([
      { T: 'b', S: 'FAKEPACA', n: 59 },
      { T: 'q' },
      { T: 't' },
    ])
    const order = {
      symbol: 'FAKEPACA',
      qty: '1',
      side: 'buy',
      type: 'market',
      time_in_force: 'day',
    }
    expect(await call(sandbox, 'POST', '/v2/orders', order)).toMatchObject({ status: 422 })
  })
})

describe('admission', () => {
  test.each([
    ['an OAuth token by message', { action: 'auth', key: 'oauth', secret: 'demo-token' }],
    ['unknown fields beside the keys', { ...credentials, paper: true }],
  ])('%s', async (_name, message) => {
    const wire = await open(await start(), '/v2/iex', {})
    wire.send(message)
    await heard(wire, 2)
    expect(wire.heard).toEqual([connected, authenticated])
  })

  test('an OAuth token with the upgrade; a wrong one is refused and the socket closed', async () => {
    const sandbox = await start()
    const wire = await open(sandbox, '/v2/iex', { authorization: 'Bearer demo-token' })
    await heard(wire, 2)
    expect(wire.heard[1]).toEqual(authenticated)
    const stranger = await open(sandbox, '/v2/iex', { authorization: 'Bearer nobody' })
    await stranger.closed()
    expect(stranger.heard).toEqual([connected, error(402, 'auth failed')])
  })

  test('a socket without a login within ten seconds gets an error and is closed', async () => {
    const clock = new FakeClock()
    const sandbox = await start({ clock })
    const slow = await open(sandbox, '/v2/iex', {})
    const prompt = await open(sandbox, '/v2/iex')
    await heard(prompt, 2)
    await clock.advance(9_999)
    expect(slow.frames).toHaveLength(1)
    await clock.advance(1)
    await slow.closed()
    expect(slow.heard).toEqual([connected, error(404, 'auth timeout')])
    expect(sandbox.control.streams().data).toBe(1)
  })

  test('one connection too many gets 406, and may try again on the same socket', async () => {
    const clock = new FakeClock()
    const sandbox = await start({ clock, dataPlan: { connectionsPerFeedMax: 1 } })
    const first = await open(sandbox, '/v2/iex')
    const elsewhere = await open(sandbox, '/v2/test')
    const second = await open(sandbox, '/v2/iex', {})
    await heard(elsewhere, 2)
    await clock.advance(9_000)
    second.send(credentials)
    await heard(second, 2)
    await clock.advance(9_000)
    first.socket.close()
    await expect.poll(() => sandbox.control.streams().data).toBe(2)
    second.send(credentials)
    await heard(second, 3)
    expect(second.heard.slice(1)).toEqual([error(406, 'connection limit exceeded'), authenticated])
  })

  test('a feed outside the plan answers 409', async () => {
    const sandbox = await start({ dataPlan: { feeds: ['iex'] } })
    const wire = await open(sandbox, '/v2/sip')
    await wire.closed()
    expect(wire.heard.at(-1)).toEqual(error(409, 'insufficient subscription'))
  })

  test('more symbols than the plan allows are 405, and change nothing', async () => {
    const wire = await open(await start({ dataPlan: { symbolsMax: 2 } }), '/v2/iex')
    wire.send({
      action: 'subscribe',
      trades: ['AAPL'],
      quotes: ['AAPL', 'MSFT'],
      bars: ['SPY', 'TSLA', 'NVDA'],
    })
    wire.send({ action: 'subscribe', quotes: ['SPY'], bars: ['*'] })
    wire.send({ action: 'subscribe', quotes: ['*'] })
    wire.send({ action: 'unsubscribe', quotes: ['AAPL'] })
    await heard(wire, 6)
    expect(wire.heard.slice(3)).toMatchObject([
      error(405, 'symbol limit exceeded'),
      error(405, 'symbol limit exceeded'),
      [{ trades: ['AAPL'], quotes: ['MSFT'], bars: ['SPY', 'TSLA', 'NVDA'] }],
    ])
  })
})

test('each error code reaches the client on command, in its own encoding', async () => {
  const sandbox = await start()
  const json = await open(sandbox, '/v2/iex')
  const packed = await open(sandbox, '/v1beta3/crypto/us', {
    ...demoKeys,
    'content-type': 'application/msgpack',
  })
  await Promise.all([heard(json, 2), heard(packed, 2)])
  const codes = [400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 500]
  for (const code of codes) {
    const { body } = await call(sandbox, 'POST', '/_sandbox/streams/error', { code })
    expect(body).toEqual({ told: 2 })
  }
  await Promise.all([heard(json, 14), heard(packed, 14)])
  const codeOf = (frame: unknown): unknown => (frame as { code: number }[])[0]?.code
  expect(json.heard.slice(2).map(codeOf)).toEqual(codes)
  expect(packed.frames.slice(2).map(({ data }) => codeOf(decode(data)))).toEqual(codes)
  expect(await call(sandbox, 'POST', '/_sandbox/streams/error', { code: 418 })).toMatchObject({
    status: 422,
  })
})

test('a MessagePack socket may send text, and malformed data in either form is 400', async () => {
  const wire = await open(await start(), '/v2/iex', { 'content-type': 'application/msgpack' })
  wire.send(JSON.stringify(credentials))
  wire.send(encode('auth'))
  wire.send(new Uint8Array([0xc1]))
  wire.send('[]')
  wire.send(encode({ action: 'subscribe', trades: 'AAPL' }))
  wire.send(encode({ action: 'fly' }))
  await heard(wire, 7)
  const answers = wire.frames.slice(1).map(({ data }) => decode(data))
  const invalid = error(400, 'invalid syntax')
  expect(answers).toEqual([authenticated, invalid, invalid, invalid, invalid, invalid])
})

test('sockets are pinged; one that never answers is closed', async () => {
  const clock = new FakeClock()
  const sandbox = await start({ clock })
  const alive = await open(sandbox, '/v2/iex')
  const deaf = new WebSocket(`${sandbox.wsUrl}/v2/iex`, { headers: demoKeys, autoPong: false })
  await once(deaf, 'open')
  const pinged = Promise.all([once(alive.socket, 'ping'), once(deaf, 'ping')])
  await clock.advance(20_000)
  await pinged
  // An answer to this shows that the pong before it has arrived too.
  alive.send({ action: 'subscribe' })
  await heard(alive, 3)
  const dropped = once(deaf, 'close')
  await clock.advance(20_000)
  await dropped
  expect(sandbox.control.streams().data).toBe(1)
})

test('the official SDK gets bars, statuses and its own errors', async () => {
  const clock = new FakeClock()
  const sandbox = await start({ clock })
  const alpaca = new Alpaca({ keyId: 'demo-key', secret: 'demo-secret', paper: true })
  const stream = alpaca.marketData.stockStream({ feed: 'iex', url: `${sandbox.wsUrl}/v2/iex` })
  const told: unknown[] = []
  const sets: unknown[] = []
  stream.on('subscription', (set: unknown) => void sets.push(set))
  stream.onBar((bar) => void told.push(bar))
  stream.onStatus((status) => void told.push(status))
  stream.onError((message) => void told.push(message))
  stream.subscribeForBars(['*'])
  stream.subscribeForStatuses(['AAPL'])
  stream.connect()
  await expect.poll(() => sets.at(-1)).toMatchObject({ bars: ['*'], statuses: ['AAPL'] })
  sandbox.control.setPrice('AAPL', { last: '190' })
  await clock.advance(MINUTE_MS)
  sandbox.control.setMarketOpen(false)
  sandbox.control.sendDataError(500)
  await expect.poll(() => told.length).toBe(3)
  expect(told).toMatchObject([
    { symbol: 'AAPL', close: 190 },
    { symbol: 'AAPL', statusCode: 'H' },
    'internal error',
  ])
  stream.disconnect()
})
