import { EventEmitter } from 'node:events'
import { expect, test } from 'vitest'
import { RedisReconnects } from '../../workers/redis-reconnects.ts'
import { FakeClock } from '../support/fake-clock.ts'

const MINUTE_MS = 60_000

test('a store that came back shortly ago, or at a worker’s start, may have lost data', async () => {
  const redis = new EventEmitter()
  const clock = new FakeClock()
  const reconnects = new RedisReconnects(redis, clock, false)
  let told = 0
  reconnects.listen(() => (told += 1))
  expect([reconnects.mayHaveLostWrites(), told]).toEqual([true, 0])
  await clock.advance(6 * MINUTE_MS)
  expect(reconnects.mayHaveLostWrites()).toBe(false)
  redis.emit('ready')
  expect([reconnects.mayHaveLostWrites(), told]).toEqual([true, 1])
  await clock.advance(6 * MINUTE_MS)
  expect(reconnects.mayHaveLostWrites()).toBe(false)
})

test.each(['+node', '-node'])(
  'of a Cluster, each node that comes or goes counts (%s)',
  async (event) => {
    const redis = new EventEmitter()
    const clock = new FakeClock()
    const reconnects = new RedisReconnects(redis, clock, false)
    await clock.advance(6 * MINUTE_MS)
    redis.emit(event)
    expect(reconnects.mayHaveLostWrites()).toBe(true)
  },
)

test('just after a loss requests may be in flight; after a full loss no trade is new', async () => {
  const redis = new EventEmitter()
  const clock = new FakeClock()
  const reconnects = new RedisReconnects(redis, clock, false)
  const doubts = () => [reconnects.mayHaveJustLost(), reconnects.hasLostAll()]
  expect(doubts()).toEqual([false, false])
  redis.emit('ready')
  expect(doubts()).toEqual([true, false])
  reconnects.noteLoss()
  expect(doubts()).toEqual([true, true])
  await clock.advance(MINUTE_MS)
  expect(doubts()).toEqual([false, true])
  await clock.advance(6 * MINUTE_MS)
  expect(doubts()).toEqual([false, false])
})

test('a worker started without the store assumes that earlier requests are in flight', async () => {
  const clock = new FakeClock()
  const reconnects = new RedisReconnects(new EventEmitter(), clock, true)
  expect(reconnects.mayHaveJustLost()).toBe(true)
  await clock.advance(MINUTE_MS)
  expect(reconnects.mayHaveJustLost()).toBe(false)
})
