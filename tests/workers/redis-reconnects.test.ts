import { EventEmitter } from 'node:events'
import { expect, test } from 'vitest'
import { RedisReconnects } from '../../workers/redis-reconnects.ts'
import { FakeClock } from '../support/fake-clock.ts'

const MINUTE_MS = 60_000

test('a store that came back a short while ago may have lost something, and so may the one that a worker starts with', async () => {
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

test('just after a loss, what was sent before may be on its way; of a store that lost everything, no trade is known to be new', async () => {
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

test('a worker that could not reach the store when it started: what was sent before may be on its way', async () => {
  const clock = new FakeClock()
  const reconnects = new RedisReconnects(new EventEmitter(), clock, true)
  expect(reconnects.mayHaveJustLost()).toBe(true)
  await clock.advance(MINUTE_MS)
  expect(reconnects.mayHaveJustLost()).toBe(false)
})
