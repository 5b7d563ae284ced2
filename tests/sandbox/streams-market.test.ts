import { Alpaca } from '@alpacahq/alpaca-trade-api'
import { decode } from '@msgpack/msgpack'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type MarketMessage, type Sandbox, startSandbox } from '#sandbox'
import { FakeClock } from '../support/fake-clock.ts'
import { problemsOf } from './schema-check.ts'
import { call, demoKeys, Wire } from './wire.ts'

/**
 * Messages that do not arise from the market, sent by command. AAPL last traded 100 shares at
 * 185.10.
 */

const AT = '2024-03-15T14:00:00.000Z'
const packedHeader = { 'content-type': 'application/msgpack' }
const wires: Wire[] = []
let clock: FakeClock
let sandbox: Sandbox

beforeEach(async () => {
  clock = new FakeClock()
  sandbox = await startSandbox({ seed: 'market messages', tickMs: 0, clock })
})
afterEach(async () => {
  wires.splice(0).forEach(({ socket }) => socket.terminate())
  await sandbox.close()
})

async function subscribed(
  path: string,
  channels: Record<string, string[]>,
  headers = {},
): Promise<Wire> {
  const wire = new Wire(sandbox.wsUrl + path, { ...demoKeys, ...headers })
  wires.push(wire)
  await wire.opened()
  wire.send(JSON.stringify({ action: 'subscribe', ...channels }))
  await expect.poll(() => wire.frames.length).toBe(3)
  return wire
}

const tell = (message: unknown) => call(sandbox, 'POST', '/_sandbox/streams/market', message, {})

const id: unknown = expect.any(Number)
const onTape = { S: 'AAPL', t: AT, z: 'C' }
const halt = { T: 's', sc: 'H', sm: 'Trading Halt', rc: 'T1', rm: 'Halt - News Pending' }
const resumption = { sm: 'Trading Resumption', rc: 'T3', rm: 'News and Resumption Times' }
const corrected = { oi: id, op: 185.1, os: 100, oc: ['@'], ci: id, cp: 184.9, cs: 90, cc: ['@'] }
const cases: readonly (readonly [
  channel: string,
  message: MarketMessage,
  told: Record<string, unknown>,
])[] = [
  ['statuses', { kind: 'status', symbol: 'AAPL', status: 'halt' }, halt],
  [
    'statuses',
    { kind: 'status', symbol: 'AAPL', status: 'trades' },
    { T: 's', sc: 'T', ...resumption },
  ],
  ['lulds', { kind: 'luld', symbol: 'AAPL' }, { T: 'l', u: 194.36, d: 175.85, i: 'B' }],
  [
    'lulds',
    { kind: 'luld', symbol: 'AAPL', up: 200, down: 170.5, indicator: 'A' },
    { T: 'l', u: 200, d: 170.5, i: 'A' },
  ],
  [
    'trades',
    { kind: 'correction', symbol: 'AAPL', price: 184.9, size: 90 },
    { T: 'c', x: 'V', ...corrected },
  ],
  [
    'trades',
    { kind: 'cancelError', symbol: 'AAPL' },
    { T: 'x', i: id, x: 'V', p: 185.1, s: 100, a: 'C' },
  ],
  ['imbalances', { kind: 'imbalance', symbol: 'AAPL', price: 185.2 }, { T: 'i', p: 185.2 }],
]

describe('a message about a stock', () => {
  test.each(cases)('%s: %o', async (channel, message, told) => {
    const wire = await subscribed('/v2/iex', { [channel]: ['AAPL'] })
    const packed = await subscribed('/v2/sip', { [channel]: ['*'] }, packedHeader)
    const other = await subscribed('/v2/iex', { [channel]: ['MSFT'], quotes: ['AAPL'] })
    expect(await tell(message)).toMatchObject({ status: 200, body: { told: 2 } })
    await expect.poll(() => [wire.frames.length, packed.frames.length]).toEqual([4, 4])
    expect(wire.heard[3]).toEqual([{ ...onTape, ...told }])
    expect(wire.heard.flatMap((frame) => problemsOf('data-stream', frame))).toEqual([])
    const [frame] = packed.frames.slice(3)
    expect(frame?.binary).toBe(true)
    expect(decode(frame?.data ?? [])).toEqual([{ ...onTape, ...told, t: new Date(AT) }])
    expect(other.frames).toHaveLength(3)
  })

  test('reaches the delayed feed a quarter of an hour later', async () => {
    const late = await subscribed('/v2/delayed_sip', { statuses: ['AAPL'] })
    await tell({ kind: 'status', symbol: 'AAPL', status: 'pause' })
    await clock.advance(15 * 60_000)
    await tell({ kind: 'status', symbol: 'AAPL', status: 'quotes' })
    await expect.poll(() => late.heard[3]).toMatchObject([{ T: 's', sc: 'P', rc: 'LUDP', t: AT }])
    expect(late.frames).toHaveLength(4)
  })

  test('imbalances are acknowledged while subscribed', async () => {
    const wire = await subscribed('/v2/iex', { imbalances: ['AAPL'], lulds: ['SPY'] })
    wire.send({ action: 'unsubscribe', imbalances: ['AAPL'] })
    await expect.poll(() => wire.frames.length).toBe(4)
    expect(wire.heard[2]).toMatchObject([{ imbalances: ['AAPL'], lulds: ['SPY'] }])
    expect(wire.heard[3]).not.toMatchObject([{ imbalances: expect.anything() as unknown }])
  })

  test.each([
    ['an unknown kind', { kind: 'rumor', symbol: 'AAPL' }],
    ['an unknown symbol', { kind: 'luld', symbol: 'NOPE' }],
    ['a pair, which has no tape', { kind: 'luld', symbol: 'BTC/USD' }],
    ['a correction without a price', { kind: 'correction', symbol: 'AAPL' }],
    ['a price of nothing', { kind: 'imbalance', symbol: 'AAPL', price: 0 }],
    ['a field too many', { kind: 'status', symbol: 'AAPL', status: 'halt', reason: 'T2' }],
    ['an article about nothing', { kind: 'news', symbols: [], headline: 'Nothing' }],
  ])('%s is refused', async (_name, message) => {
    expect(await tell(message)).toMatchObject({ status: 422 })
  })
})

describe('news', () => {
  const article = {
    kind: 'news',
    symbols: ['AAPL', 'BTCUSD'],
    headline: 'Apple buys a coin',
  } as const

  test('an article arrives once at each follower of any of its symbols', async () => {
    const both = await subscribed('/v1beta1/news', { news: ['AAPL', 'BTCUSD'] })
    const all = await subscribed('/v1beta1/news', { news: ['*'] }, packedHeader)
    const other = await subscribed('/v1beta1/news', { news: ['MSFT'] })
    expect(both.heard[2]).toEqual([{ T: 'subscription', news: ['AAPL', 'BTCUSD'] }])
    expect(await tell(article)).toMatchObject({ body: { told: 2 } })
    await expect.poll(() => [both.frames.length, all.frames.length]).toEqual([4, 4])
    const at = '2024-03-15T14:00:00Z'
    const told = {
      T: 'n',
      headline: 'Apple buys a coin',
      created_at: at,
      updated_at: at,
      symbols: ['AAPL', 'BTCUSD'],
    }
    expect(both.heard[3]).toMatchObject([told])
    expect(decode(all.frames[3]?.data ?? [])).toEqual(both.heard[3])
    expect(both.heard.flatMap((frame) => problemsOf('data-stream', frame))).toEqual([])
    expect(other.frames).toHaveLength(3)
  })

  test('the feed has no prices, and the price feeds have no news', async () => {
    const wrong = [
      await subscribed('/v1beta1/news', { trades: ['AAPL'] }),
      await subscribed('/v2/iex', { news: ['AAPL'] }),
    ]
    for (const wire of wrong) expect(wire.heard[2]).toMatchObject([{ T: 'error', code: 410 }])
  })
})

test('the official SDK gets every article', async () => {
  const alpaca = new Alpaca({ keyId: 'demo-key', secret: 'demo-secret', paper: true })
  const stocks = alpaca.marketData.stockStream({ feed: 'iex', url: `${sandbox.wsUrl}/v2/iex` })
  const articles = alpaca.marketData.newsStream({ url: `${sandbox.wsUrl}/v1beta1/news` })
  const told: unknown[] = []
  const note = (message: unknown): void => void told.push(message)
  const acknowledged = new Set<unknown>()
  for (const stream of [stocks, articles])
    stream.on('subscription', () => void acknowledged.add(stream))
  stocks.onStatus(note).onLuld(note).onCorrection(note).onCancelError(note).onImbalance(note)
  articles.onNews(note)
  stocks.subscribeForTrades(['AAPL'])
  stocks.subscribeForStatuses(['AAPL'])
  stocks.subscribeForLulds(['AAPL'])
  stocks.subscribeForImbalances(['AAPL'])
  articles.subscribeForNews(['AAPL'])
  stocks.connect()
  articles.connect()
  await expect.poll(() => acknowledged.size).toBe(2)
  const kinds = ['status', 'luld', 'correction', 'cancelError', 'imbalance']
  for (const kind of kinds) {
    const [, message] = cases.find(([, candidate]) => candidate.kind === kind)!
    sandbox.control.sendMarketMessage(message)
  }
  sandbox.control.sendMarketMessage({ kind: 'news', symbols: ['AAPL'], headline: 'News' })
  await expect.poll(() => told.length).toBe(6)
  const ofStock = told.filter((message) => !Object.hasOwn(message as object, 'headline'))
  expect(ofStock).toMatchObject([
    { symbol: 'AAPL', statusCode: 'H' },
    { symbol: 'AAPL', limitUpPrice: 194.36, limitDownPrice: 175.85 },
    { symbol: 'AAPL', originalPrice: 185.1, correctedPrice: 184.9 },
    { symbol: 'AAPL', price: 185.1, size: 100 },
    { symbol: 'AAPL', price: 185.2 },
  ])
  stocks.disconnect()
  articles.disconnect()
})
