import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Asset } from '#domain'
import {
  ASSETS_MAX,
  ASSETS_REFRESH_MS,
  ASSETS_TTL_MS,
  ASSETS_TURN_MS,
  createAssetReader,
  createAssets,
} from '#store'
import { startRedis, type TestRedis } from '../support/redis.ts'

let redis: TestRedis
beforeAll(async () => {
  redis = await startRedis()
})
afterAll(() => redis.stop())
beforeEach(async () => {
  await redis.connect().flushall()
})

let drafts = 0
const writer = () => createAssets(redis.connect(), () => `draft${(drafts += 1)}`)
const reader = () => createAssetReader(redis.connect())
const share = (symbol: string, over: Partial<Asset> = {}): Asset => ({
  symbol,
  assetClass: 'us_equity',
  isTradable: true,
  isFractionable: true,
  isShortable: true,
  quantityMin: null,
  quantityIncrement: null,
  priceIncrement: null,
  ...over,
})
const listed = (asset: Asset) => ({ kind: 'listed', asset })

test('while there is no list, every symbol is unknown', async () => {
  expect(await reader().find(['AAPL'], 'paper')).toEqual(new Map([['AAPL', { kind: 'unknown' }]]))
  expect(await reader().find([])).toEqual(new Map())
})

test('a symbol is listed with its terms, or not in the list of its environment', async () => {
  const held = share('GME', { isTradable: false })
  await writer().put('paper', [share('AAPL'), held])
  const answers = await reader().find(['AAPL', 'GME', 'ZZZZ'], 'paper')
  expect([...answers.values()]).toEqual([
    listed(share('AAPL')),
    listed(held),
    { kind: 'not_listed' },
  ])
  expect((await reader().find(['AAPL'], 'live')).get('AAPL')).toEqual({ kind: 'unknown' })
  expect((await reader().find(['AAPL'])).get('AAPL')).toEqual(listed(share('AAPL')))
})

test('a pair without its slash is its canonical symbol, unless the spelling is taken', async () => {
  const pair = (symbol: string) => share(symbol, { assetClass: 'crypto', isShortable: false })
  await writer().put('paper', [pair('ETH/USD'), share('SOLUSD'), pair('SOL/USD')])
  const answers = await reader().find(['ETHUSD', 'ETH/USD', 'SOLUSD'], 'paper')
  expect([...answers.values()]).toEqual([
    listed(pair('ETH/USD')),
    listed(pair('ETH/USD')),
    listed(share('SOLUSD')),
  ])
})

test('a new list replaces the old one as a whole', async () => {
  await writer().put('paper', [share('AAPL'), share('OLD')])
  await writer().put('paper', [share('AAPL', { isShortable: false })])
  const answers = await reader().find(['AAPL', 'OLD'], 'paper')
  expect([...answers.values()]).toEqual([
    listed(share('AAPL', { isShortable: false })),
    { kind: 'not_listed' },
  ])
  const keys = await redis.connect().keys('assets:*')
  expect(keys.toSorted()).toEqual(['assets:{paper}', 'assets:{paper}:turn'])
})

test('a list lives for a day, and is due again long before', async () => {
  await writer().put('paper', [share('AAPL')])
  const left = await redis.connect().pttl('assets:{paper}')
  expect(left).toBeGreaterThan(ASSETS_TTL_MS - 60_000)
  expect(left).toBeLessThanOrEqual(ASSETS_TTL_MS)
  expect(await writer().takeTurn('paper')).toBe(false)
  expect(await redis.connect().pttl('assets:{paper}:turn')).toBeLessThanOrEqual(ASSETS_REFRESH_MS)
})

test('one worker at a time reads the list, and another takes over when it fails to end', async () => {
  expect(await writer().takeTurn('paper')).toBe(true)
  expect(await writer().takeTurn('paper')).toBe(false)
  expect(await writer().takeTurn('live')).toBe(true)
  expect(await redis.connect().pttl('assets:{paper}:turn')).toBeLessThanOrEqual(ASSETS_TURN_MS)
})

test('a list that is too long is cut, and symbols outside it are unknown, not unlisted', async () => {
  await writer().put(
    'paper',
    Array.from({ length: ASSETS_MAX + 1 }, (_, n) => share(`A${n}`)),
  )
  const answers = await reader().find(['A0', `A${ASSETS_MAX}`], 'paper')
  expect([...answers.values()]).toEqual([listed(share('A0')), { kind: 'unknown' }])
})

test('a list in a later format is ignored without an error', async () => {
  await redis.connect().hset('assets:{paper}', { '#': '{"schema":2}', AAPL: '{"schema":2}' })
  expect((await reader().find(['AAPL'], 'paper')).get('AAPL')).toEqual({ kind: 'unknown' })
})
