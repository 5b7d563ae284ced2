import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { pino } from 'pino'
import { ASSETS_REFRESH_MS, createAssetReader, createAssets } from '#store'
import { keepAssets } from '../../workers/connections/assets.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { makeWorker, ref } from './harness.ts'

let redis: TestRedis
beforeAll(async () => {
  redis = await startRedis()
})
afterAll(() => redis.stop())
beforeEach(async () => {
  await redis.connect().flushall()
})

function keeper() {
  const { broker, brokers, clock } = makeWorker()
  const assets = createAssets(redis.connect(), () => 'draft')
  const keep = keepAssets({
    assets,
    brokers,
    env: 'sandbox',
    clock,
    log: pino({ level: 'silent' }),
  })
  const readings = (): number => broker.calls.filter(({ on }) => on === 'listAssets').length
  return { broker, clock, readings, keep: () => keep(ref) }
}
const kindOf = async (symbol: string) =>
  (await createAssetReader(redis.connect()).find([symbol])).get(symbol)?.kind

test('the first login reads the list, and the next logins skip it', async () => {
  const one = keeper()
  const other = keeper()
  await one.keep()
  expect([await kindOf('AAPL'), await kindOf('BTCUSD'), await kindOf('ZZZZ')]).toEqual([
    'listed',
    'listed',
    'not_listed',
  ])
  await other.keep()
  await one.clock.advance(600_000)
  await one.keep()
  expect([one.readings(), other.readings()]).toEqual([1, 0])
  expect(await redis.connect().pttl('assets:{sandbox}:turn')).toBeGreaterThan(
    ASSETS_REFRESH_MS - 60_000,
  )
})

test('a reading that fails or is empty leaves the list unchanged', async () => {
  const { broker, clock, keep, readings } = keeper()
  await keep()
  for (const spoil of [
    () => (broker.assets = []),
    () => void broker.fail('listAssets', { kind: 'error_before' }),
  ]) {
    await redis.connect().del('assets:{sandbox}:turn')
    await clock.advance(60_000)
    spoil()
    await keep()
    expect(await kindOf('AAPL')).toBe('listed')
  }
  expect(readings()).toBe(3)
})

test('many logins of one worker request the turn only now and then', async () => {
  const { keep, clock } = keeper()
  await keep()
  const before = Number(
    /cmdstat_set:calls=(\d+)/.exec(await redis.connect().info('commandstats'))?.[1],
  )
  for (let n = 0; n < 20; n += 1) await keep()
  await clock.advance(60_000)
  await keep()
  expect(
    Number(/cmdstat_set:calls=(\d+)/.exec(await redis.connect().info('commandstats'))?.[1]),
  ).toBe(before + 1)
})
