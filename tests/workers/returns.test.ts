import { EventEmitter } from 'node:events'
import { expect, test } from 'vitest'
import { StoreReturns } from '../../workers/returns.ts'
import { FakeClock } from '../support/fake-clock.ts'

const MINUTE_MS = 60_000

test('a store that came back a short while ago may have lost something, and so may the one that a worker starts with', async () => {
  const redis = new EventEmitter()
  const clock = new FakeClock()
  const returns = new StoreReturns(redis, clock, false)
  let told = 0
  returns.listen(() => (told += 1))
  expect([returns.mayHaveLost(), told]).toEqual([true, 0])
  await clock.advance(6 * MINUTE_MS)
  expect(returns.mayHaveLost()).toBe(false)
  redis.emit('ready')
  expect([returns.mayHaveLost(), told]).toEqual([true, 1])
  await clock.advance(6 * MINUTE_MS)
  expect(returns.mayHaveLost()).toBe(false)
})

test.each(['+node', '-node'])(
  'of a Cluster, each node that comes or goes counts (%s)',
  async (event) => {
    const redis = new EventEmitter()
    const clock = new FakeClock()
    const returns = new StoreReturns(redis, clock, false)
    await clock.advance(6 * MINUTE_MS)
    redis.emit(event)
    expect(returns.mayHaveLost()).toBe(true)
  },
)

test('just after a loss, what was sent before may be on its way; of a store that lost everything, no trade is known to be new', async () => {
  const redis = new EventEmitter()
  const clock = new FakeClock()
  const returns = new StoreReturns(redis, clock, false)
  const doubts = () => [returns.mayHaveJustLost(), returns.hasLostAll()]
  expect(doubts()).toEqual([false, false])
  redis.emit('ready')
  expect(doubts()).toEqual([true, false])
  returns.lost()
  expect(doubts()).toEqual([true, true])
  await clock.advance(MINUTE_MS)
  expect(doubts()).toEqual([false, true])
  await clock.advance(6 * MINUTE_MS)
  expect(doubts()).toEqual([false, false])
})

test('a worker that could not reach the store when it started: what was sent before may be on its way', async () => {
  const clock = new FakeClock()
  const returns = new StoreReturns(new EventEmitter(), clock, true)
  expect(returns.mayHaveJustLost()).toBe(true)
  await clock.advance(MINUTE_MS)
  expect(returns.mayHaveJustLost()).toBe(false)
})
