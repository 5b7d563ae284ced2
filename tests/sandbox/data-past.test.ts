import { Alpaca } from '@alpacahq/alpaca-trade-api'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Sandbox, startSandbox } from '#sandbox'
import { FakeClock } from '../support/fake-clock.ts'
import { call } from './wire.ts'

/**
 * The trades and quotes since the start, one by one. The clock starts on Friday 2024-03-15, at
 * 10:00 in New York.
 */

let clock: FakeClock
let sandbox: Sandbox

beforeEach(async () => {
  clock = new FakeClock()
  sandbox = await startSandbox({ seed: 'past', tickMs: 0, clock })
  // A trade of AAPL a second, a quote alone after the second, and one trade of MSFT.
  for (const last of ['190', '191', '192']) {
    sandbox.control.setPrice('AAPL', { last })
    if (last === '191') sandbox.control.setPrice('AAPL', { bid: '190.5', ask: '190.75' })
    await clock.advance(1_000)
  }
  sandbox.control.setPrice('MSFT', { last: '400' })
})
afterEach(() => sandbox.close())

type Tick = Record<string, unknown>
type Page = {
  next_page_token: string | null
  trades?: Record<string, Tick[]>
  quotes?: Record<string, Tick[]>
}
const get = (path: string) => call(sandbox, 'GET', path)
const page = async (query: string): Promise<Page> =>
  (await get(`/v2/stocks/trades?${query}`)).body as Page
const START = '2024-03-15T14:00:00'

test('every trade and quote since the start is listed, as the streams sent it', async () => {
  const common = { x: 'V', c: ['@'], z: 'C', s: 100, i: expect.any(Number) as unknown }
  expect((await get('/v2/stocks/trades?symbols=MSFT,AAPL,NOPE')).body).toStrictEqual({
    trades: {
      AAPL: [190, 191, 192].map((p, second) => ({
        ...common,
        p,
        t: `${START.slice(0, -1)}${second}.000Z`,
      })),
      MSFT: [{ ...common, p: 400, t: `${START.slice(0, -1)}3.000Z` }],
    },
    next_page_token: null,
  })
  expect((await get('/v2/stocks/AAPL/quotes')).body).toMatchObject({
    symbol: 'AAPL',
    quotes: [189.99, 190.99, 190.5, 191.99].map((bp) => ({ bp })),
    next_page_token: null,
  })
})

test('a range, the newest first, and page by page over the symbols', async () => {
  const prices = (ticks: readonly Tick[] = []): unknown[] => ticks.map(({ p }) => p)
  const stretch = await page(`symbols=AAPL&start=${START}.500Z&end=${START.slice(0, -1)}2Z`)
  expect(prices(stretch.trades?.['AAPL'])).toEqual([191, 192])
  expect(prices((await page('symbols=AAPL&sort=desc&limit=2')).trades?.['AAPL'])).toEqual([
    192, 191,
  ])
  for (const [sort, expected] of [
    ['asc', [190, 191, 192, 400]],
    ['desc', [192, 191, 190, 400]],
  ] as const) {
    const seen: unknown[] = []
    let token = ''
    for (let pages = 0; pages < 2; pages += 1) {
      const { trades = {}, next_page_token } = await page(
        `symbols=AAPL,MSFT&limit=2&sort=${sort}&page_token=${token}`,
      )
      seen.push(...Object.values(trades).flatMap(prices))
      token = next_page_token ?? ''
    }
    expect([sort, seen, token]).toEqual([sort, expected, ''])
  }
})

test('a range before the start is empty, and a wrong query is refused', async () => {
  const before = 'start=2024-03-14&end=2024-03-15T13:00:00Z'
  expect((await get(`/v2/stocks/AAPL/trades?${before}`)).body).toEqual({
    symbol: 'AAPL',
    trades: [],
    next_page_token: null,
  })
  expect(await page(`symbols=AAPL&${before}`)).toEqual({ trades: {}, next_page_token: null })
  expect(await get('/v2/stocks/NOPE/trades')).toMatchObject({
    status: 404,
    body: { message: 'no trade found for NOPE' },
  })
  expect(await get('/v2/stocks/trades')).toMatchObject({
    status: 400,
    body: { message: 'symbols is required' },
  })
  expect(await get('/v2/stocks/AAPL/quotes?limit=0')).toMatchObject({ status: 400 })
  expect(await get('/v2/stocks/AAPL/quotes?page_token=x')).toMatchObject({ status: 400 })
})

test('crypto needs no keys', async () => {
  sandbox.control.setPrice('BTC/USD', { last: '65000' })
  const path = '/v1beta3/crypto/us/trades?symbols=BTC/USD'
  expect((await call(sandbox, 'GET', path, undefined, {})).body).toMatchObject({
    trades: { 'BTC/USD': [{ p: 65_000, tks: 'B' }] },
    next_page_token: null,
  })
})

test('the oldest entries are dropped over the limit, and the other pages stay whole', async () => {
  for (let trade = 0; trade < 7_000; trade += 1)
    sandbox.control.setPrice('AAPL', { last: String(1_000 + trade) })
  const { trades, next_page_token: token } = await page('symbols=AAPL&limit=2000')
  const first = trades?.['AAPL'] ?? []
  const rest =
    (await page(`symbols=AAPL&limit=2000&page_token=${token ?? ''}`)).trades?.['AAPL'] ?? []
  const prices = [...first, ...rest].map(({ p }) => p)
  expect(prices).toEqual(Array.from({ length: 3_000 }, (_, index) => 5_000 + index))
})

test('the official SDK reads the lists', async () => {
  const { marketData } = new Alpaca({
    keyId: 'demo-key',
    secret: 'demo-secret',
    paper: true,
    rateLimit: false,
    retry: false,
    fetchApi: (url, init) => fetch(sandbox.url + new URL(url).pathname + new URL(url).search, init),
  })
  expect(await marketData.stocks.stockTradeSingle({ symbol: 'AAPL', limit: 1 })).toMatchObject({
    symbol: 'AAPL',
    trades: [{ p: 190, t: new Date(`${START}Z`) }],
  })
})
