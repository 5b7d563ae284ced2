import { EventEmitter } from 'node:events'
import { expect, test } from 'vitest'
import { StoreReturns } from '../../workers/returns.ts'
import { FakeClock } from '../support/fake-clock.ts'

const MINUTE_MS = 60_000

test('a store that came back a short while ago may have lost something, and so may the one that a worker starts with', async () => {
  const [redis, clock] = [new EventEmitter(), new FakeClock()]
  const returns = new StoreReturns(redis, clock)
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

test.each(['+node', '-node'])('of a Cluster, each node that comes or goes counts (%s)', async (event) => {
  const [redis, clock] = [new EventEmitter(), new FakeClock()]
  const returns = new StoreReturns(redis, clock)
  await clock.advance(6 * MINUTE_MS)
  redis.emit(event)
  expect(returns.mayHaveLost()).toBe(true)
})
