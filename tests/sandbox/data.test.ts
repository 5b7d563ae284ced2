import { Alpaca } from '@alpacahq/alpaca-trade-api'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Sandbox, startSandbox } from '#sandbox'
import { FakeClock } from '../support/fake-clock.ts'
import { call } from './wire.ts'

/**
 * Market data over REST, as the wire and as the official SDK see it. The clock stands at Friday
 * 2024-03-15, 10:00 in New York.
 */

const clock = new FakeClock()
let sandbox: Sandbox

beforeEach(async () => {
  sandbox = await startSandbox({ seed: 'data', tickMs: 0, clock })
})
afterEach(() => sandbox.close())

const get = (path: string): Promise<{ status: number; body: unknown }> => call(sandbox, 'GET', path)
const body = async (path: string): Promise<unknown> => (await get(path)).body
type Bar = {
  t: string
  o: number
  h: number
  l: number
  c: number
  v: number
  n: number
  vw: number
}
type Bars = { bars: Record<string, Bar[]>; next_page_token: string | null }
const barsOf = async (query: string): Promise<Bars> =>
  (await body(`/v2/stocks/bars?${query}`)) as Bars

const number: unknown = expect.any(Number)
const text: unknown = expect.any(String)
const bar = {
  t: text,
  o: number,
  h: number,
  l: number,
  c: number,
  v: number,
  n: number,
  vw: number,
}
const stockQuote = {
  t: text,
  ax: 'V',
  ap: 185.11,
  as: 100,
  bx: 'V',
  bp: 185.09,
  bs: 100,
  c: ['R'],
  z: 'C',
}
const stockTrade = { t: text, x: 'V', p: 185.1, s: 100, c: ['@'], i: number, z: 'C' }
const cryptoQuote = { t: text, ap: 64250.01, as: 100, bp: 64249.99, bs: 100 }
const cryptoTrade = { t: text, p: 64250, s: 100, i: number, tks: 'B' }

describe('latest trades, quotes and bars', () => {
  test.each([
    ['/v2/stocks/quotes/latest?symbols=AAPL,NOPE', { quotes: { AAPL: stockQuote } }],
    ['/v2/stocks/trades/latest?symbols=AAPL&feed=iex', { trades: { AAPL: stockTrade } }],
    ['/v2/stocks/bars/latest?symbols=AAPL&feed=delayed_sip', { bars: { AAPL: bar } }],
    ['/v2/stocks/AAPL/quotes/latest?feed=sip', { symbol: 'AAPL', quote: stockQuote }],
    ['/v2/stocks/AAPL/trades/latest', { symbol: 'AAPL', trade: stockTrade }],
    ['/v2/stocks/AAPL/bars/latest?currency=USD', { symbol: 'AAPL', bar }],
    ['/v1beta3/crypto/us/latest/quotes?symbols=BTC/USD', { quotes: { 'BTC/USD': cryptoQuote } }],
    [
      '/v1beta3/crypto/us/latest/trades?symbols=BTC%2FUSD,AAPL',
      { trades: { 'BTC/USD': cryptoTrade } },
    ],
    ['/v1beta3/crypto/us-1/latest/bars?symbols=BTC/USD', { bars: { 'BTC/USD': bar } }],
    [
      '/v1beta3/crypto/us/latest/orderbooks?symbols=BTC/USD',
      {
        orderbooks: {
          'BTC/USD': { t: text, b: [{ p: 64249.99, s: 100 }], a: [{ p: 64250.01, s: 100 }] },
        },
      },
    ],
  ])('%s', async (path, expected) => {
    expect(await get(path)).toMatchObject({ status: 200 })
    expect(await body(path)).toStrictEqual(expected)
  })

  test('snapshots have all five parts, stocks by symbol and crypto below `snapshots`', async () => {
    const parts = { minuteBar: bar, dailyBar: bar, prevDailyBar: bar }
    const stock = { latestTrade: stockTrade, latestQuote: stockQuote, ...parts }
    expect(await body('/v2/stocks/snapshots?symbols=AAPL,NOPE&feed=iex')).toStrictEqual({
      AAPL: stock,
    })
    expect(await body('/v2/stocks/AAPL/snapshot')).toStrictEqual({ symbol: 'AAPL', ...stock })
    const crypto = { latestTrade: cryptoTrade, latestQuote: cryptoQuote, ...parts }
    const path = '/v1beta3/crypto/us/snapshots?symbols=BTC/USD'
    expect(await body(path)).toStrictEqual({ snapshots: { 'BTC/USD': crypto } })
  })
})

describe('refusals have a message and no code', () => {
  test.each([
    ['/v2/stocks/quotes/latest', 400, 'symbols is required'],
    ['/v2/stocks/quotes/latest?symbols=AAPL,a$pl', 400, 'invalid symbol: a$pl'],
    ['/v2/stocks/snapshots?symbols=AAPL&feed=moon', 400, 'invalid feed: moon'],
    ['/v2/stocks/NOPE/quotes/latest', 404, 'no quote found for NOPE'],
    ['/v2/stocks/NOPE/snapshot', 404, 'no snapshot found for NOPE'],
    ['/v1beta3/crypto/mars/latest/quotes?symbols=BTC/USD', 400, 'invalid location: mars'],
    ['/v2/stocks/bars?symbols=AAPL', 400, 'invalid timeframe: '],
    ['/v2/stocks/AAPL/bars?timeframe=60Min', 400, 'invalid timeframe: 60Min'],
    [
      '/v2/stocks/AAPL/bars?timeframe=1Day&limit=10001',
      400,
      'invalid limit: must be between 1 and 10000',
    ],
    ['/v2/stocks/AAPL/bars?timeframe=1Day&page_token=x', 400, 'invalid page_token'],
    ['/v2/stocks/AAPL/bars?timeframe=1Day&sort=up', 400, 'invalid sort: up'],
    [
      '/v2/stocks/AAPL/bars?timeframe=1Day&start=soon',
      400,
      'invalid start: must be a date or an RFC 3339 time',
    ],
    [
      '/v2/stocks/AAPL/bars?timeframe=1Day&start=2024-02-02&end=2024-02-01',
      400,
      'end should not be before start',
    ],
  ])('%s: %i %s', async (path, status, message) => {
    expect(await get(path)).toMatchObject({ status, body: { message } })
    expect(await body(path)).toStrictEqual({ message })
  })

  test('stocks without keys are 401, over the limit 429; crypto needs no keys', async () => {
    const path = '/v2/stocks/snapshots?symbols=AAPL'
    expect(await call(sandbox, 'GET', path, undefined, {})).toMatchObject({
      status: 401,
      body: { message: 'unauthorized.' },
    })
    const crypto = '/v1beta3/crypto/us/snapshots?symbols=BTC/USD'
    expect(await call(sandbox, 'GET', crypto, undefined, {})).toMatchObject({ status: 200 })
    sandbox.control.armFault({ kind: 'rate_limit', path: '/v2/stocks/*' })
    const { status, body: answered } = await get(path)
    expect([status, answered]).toEqual([429, { message: 'too many requests.' }])
  })

  test('a plan without the consolidated tape gets it a quarter of an hour late', async () => {
    await sandbox.close()
    sandbox = await startSandbox({ seed: 'data', tickMs: 0, clock, dataPlan: { feeds: ['iex'] } })
    const refused = {
      status: 403,
      body: { message: 'subscription does not permit querying recent SIP data' },
    }
    const bars = '/v2/stocks/AAPL/bars?timeframe=1Hour&start=2024-03-14&feed=sip'
    expect(await get('/v2/stocks/snapshots?symbols=AAPL&feed=sip')).toMatchObject(refused)
    expect(await get(`${bars}&end=2024-03-15T13:50:00Z`)).toMatchObject(refused)
    expect(await get(`${bars}&end=2024-03-15T13:40:00Z`)).toMatchObject({ status: 200 })
    expect(await get(bars)).toMatchObject({ status: 200 })
  })
})

describe('bars', () => {
  test('the past is listed, trades on weekdays only, and a week is the sum of its days', async () => {
    const range = 'symbols=AAPL,NOPE&start=2024-03-04&end=2024-03-14'
    const { bars, next_page_token } = await barsOf(`${range}&timeframe=1Day`)
    const days = bars['AAPL'] ?? []
    expect(next_page_token).toBeNull()
    expect(days.map(({ t }) => t.slice(0, 13))).toEqual([
      '2024-03-04T05',
      '2024-03-05T05',
      '2024-03-06T05',
      '2024-03-07T05',
      '2024-03-08T05',
      // New York puts its clocks forward on the 10th.
      '2024-03-11T04',
      '2024-03-12T04',
      '2024-03-13T04',
    ])
    expect(days[0]).toStrictEqual(bar)
    for (const { o, h, l, c, vw } of days)
      expect([o, c, vw].every((price) => price >= l && price <= h)).toBe(true)
    const weeks =
      (await barsOf('symbols=AAPL&start=2024-03-04&end=2024-03-08&timeframe=1Week')).bars['AAPL'] ??
      []
    expect(weeks).toHaveLength(1)
    expect(weeks[0]).toMatchObject({ t: days[0]?.t, o: days[0]?.o })
    const months = await barsOf('symbols=AAPL&start=2023-12-15&end=2024-03-14&timeframe=1Month')
    expect(months.bars['AAPL']?.map(({ t }) => t.slice(0, 10))).toEqual([
      '2024-01-01',
      '2024-02-01',
      '2024-03-01',
    ])
  })

  test('bars are equal from another start, in reverse, and from another sandbox', async () => {
    const query = 'symbols=AAPL&timeframe=1Hour&start=2024-03-13T14:00:00Z&end=2024-03-13T17:00:00Z'
    const hours = (await barsOf(query)).bars['AAPL'] ?? []
    expect(hours.map(({ t }) => t)).toEqual(
      [14, 15, 16, 17].map((hour) => `2024-03-13T${hour}:00:00.000Z`),
    )
    expect((await barsOf(`${query}&sort=desc`)).bars['AAPL']).toEqual(hours.toReversed())
    await sandbox.close()
    sandbox = await startSandbox({ seed: 'other', tickMs: 0, clock })
    expect((await barsOf(query)).bars['AAPL']).toEqual(hours)
  })

  test('pages run through the symbols in turn, in either direction, and lose nothing', async () => {
    const range = 'symbols=MSFT,AAPL&timeframe=1Day&start=2024-03-04&end=2024-03-08T23:00:00Z'
    for (const sort of ['asc', 'desc']) {
      const whole = await barsOf(`${range}&sort=${sort}`)
      const seen: [string, string][] = []
      let token: string | null = ''
      do {
        const page: Bars = await barsOf(
          `${range}&sort=${sort}&limit=3&page_token=${encodeURIComponent(token)}`,
        )
        for (const [symbol, bars] of Object.entries(page.bars))
          seen.push(...bars.map(({ t }) => [symbol, t] as [string, string]))
        token = page.next_page_token
      } while (token !== null)
      expect(seen).toEqual(
        Object.entries(whole.bars).flatMap(([symbol, bars]) => bars.map(({ t }) => [symbol, t])),
      )
      expect(seen).toHaveLength(10)
    }
  })

  test('trades become bars, and the bar of the day agrees with the snapshot', async () => {
    const fresh = new FakeClock()
    await sandbox.close()
    sandbox = await startSandbox({ seed: 'data', tickMs: 0, clock: fresh })
    for (const last of ['190', '180', '186']) sandbox.control.setPrice('AAPL', { last })
    await fresh.advance(60_000)
    sandbox.control.setPrice('AAPL', { last: '187' })
    const start = '2024-03-15T14:00:00Z'
    const minutes = (await barsOf(`symbols=AAPL&timeframe=1Min&start=${start}`)).bars['AAPL']
    expect(minutes).toMatchObject([
      { t: '2024-03-15T14:00:00.000Z', o: 190, h: 190, l: 180, c: 186, v: 300, n: 3 },
      { t: '2024-03-15T14:01:00.000Z', o: 187, c: 187, n: 1 },
    ])
    const fives = (await barsOf(`symbols=AAPL&timeframe=5Min&start=${start}`)).bars['AAPL']
    expect(fives).toMatchObject([
      { t: '2024-03-15T14:00:00.000Z', o: 190, h: 190, l: 180, c: 187, v: 400, n: 4 },
    ])
    const { AAPL } = (await body('/v2/stocks/snapshots?symbols=AAPL')) as {
      AAPL: { dailyBar: Bar; prevDailyBar: Bar }
    }
    const days = (await barsOf('symbols=AAPL&timeframe=1Day&start=2024-03-14')).bars['AAPL'] ?? []
    expect(days.at(-1)).toEqual(AAPL.dailyBar)
    expect(days.at(-2)?.c).toBe(AAPL.prevDailyBar.c)
  })

  test('crypto has bars at the weekend, and one symbol has its own shape', async () => {
    const saturday = 'timeframe=1Hour&start=2024-03-09T12:00:00Z&end=2024-03-09T14:00:00Z'
    const crypto = (await body(`/v1beta3/crypto/us/bars?symbols=BTC/USD&${saturday}`)) as Bars
    expect(crypto).toStrictEqual({ bars: { 'BTC/USD': [bar, bar, bar] }, next_page_token: null })
    expect(await body(`/v2/stocks/AAPL/bars?${saturday}`)).toStrictEqual({
      symbol: 'AAPL',
      bars: [],
      next_page_token: null,
    })
    expect(await barsOf(`symbols=AAPL&${saturday}`)).toStrictEqual({
      bars: {},
      next_page_token: null,
    })
  })
})

describe('the official SDK', () => {
  const sdk = (): Alpaca =>
    new Alpaca({
      keyId: 'demo-key',
      secret: 'demo-secret',
      paper: true,
      rateLimit: false,
      retry: false,
      fetchApi: (url, init) =>
        fetch(sandbox.url + new URL(url).pathname + new URL(url).search, init),
    })

  test('reads quotes, trades, bars and snapshots', async () => {
    const { stocks, crypto } = sdk().marketData
    expect(await stocks.stockLatestQuoteSingle({ symbol: 'AAPL', feed: 'iex' })).toMatchObject({
      symbol: 'AAPL',
      quote: { ap: 185.11, t: expect.any(Date) as unknown },
    })
    expect(await stocks.stockLatestTrades({ symbols: 'AAPL,MSFT' })).toMatchObject({
      trades: { MSFT: { p: 410.25 } },
    })
    expect(await stocks.stockLatestBarSingle({ symbol: 'SPY' })).toMatchObject({ bar: { c: 520 } })
    const range = {
      timeframe: '1Day',
      start: new Date('2024-03-11'),
      end: new Date('2024-03-13T12:00:00Z'),
    }
    const single = await stocks.stockBarSingle({ symbol: 'AAPL', ...range })
    expect(single).toMatchObject({ symbol: 'AAPL', nextPageToken: null })
    expect(single.bars).toHaveLength(3)
    expect((await stocks.stockBars({ symbols: 'AAPL,SPY', ...range })).bars['SPY']).toHaveLength(3)
    expect(await crypto.cryptoSnapshots({ loc: 'us', symbols: 'BTC/USD' })).toMatchObject({
      snapshots: { 'BTC/USD': { latestQuote: { ap: 64250.01 } } },
    })
    expect(await crypto.cryptoLatestOrderbooks({ loc: 'us', symbols: 'BTC/USD' })).toMatchObject({
      orderbooks: { 'BTC/USD': { a: [{ p: 64250.01 }] } },
    })
  })

  test('gets its mistakes by name', async () => {
    const { stocks } = sdk().marketData
    await expect(stocks.stockLatestQuoteSingle({ symbol: 'NOPE' })).rejects.toMatchObject({
      name: 'NotFoundError',
    })
    await expect(
      stocks.stockBarSingle({ symbol: 'AAPL', timeframe: '7Weeks' }),
    ).rejects.toMatchObject({
      name: 'ValidationError',
      status: 400,
      message: 'invalid timeframe: 7Weeks',
    })
  })
})

test("the bar of the day stays the last day's until the first trade", async () => {
  await using virtual = await startSandbox({ time: 'virtual', tickMs: 0 })
  const snapshot = async (): Promise<unknown> =>
    (await call(virtual, 'GET', '/v2/stocks/AAPL/snapshot')).body
  virtual.control.setPrice('AAPL', { last: '190' })
  await virtual.control.advanceTime(24 * 3_600_000)
  expect(await snapshot()).toMatchObject({
    dailyBar: { t: '2024-01-02T05:00:00.000Z', c: 190, v: 100 },
  })
  virtual.control.setPrice('AAPL', { last: '180' })
  expect(await snapshot()).toMatchObject({
    dailyBar: { t: '2024-01-03T05:00:00.000Z', o: 180, h: 180, c: 180, v: 100 },
  })
})
