import { expect, test } from 'vitest'
import { openWorld, type World } from './world.ts'

/** Within this a told execution is in the log, however slow the readings are. */
const TOLD_MS = 500

/** A market order of 100 that is at work; the account is read every minute, next at 60 s. */
async function working(seed: number): Promise<World> {
  const world = await openWorld({ seed })
  await world.advance(50_000)
  world.submit()
  await world.settle()
  return world
}

test.each(['listExecutions', 'readPortfolio', 'listActivities'] as const)(
  'FIL-06 %s is slow during an account read - stream fills are sent at once',
  async (call) => {
    const world = await working(62)
    world.broker.fail(call, { kind: 'delay_reply', ms: 7_000 })
    while (world.nowMs % 60_000 < 58_000) await world.advance(1_000)
    await world.advance(3_000)
    world.fill('t1', '178')
    await world.advance(TOLD_MS)
    expect(world.told('t1')).toEqual(['trade.submitted', 'trade.filled'])
    await world.quiesce()
  },
)

test('FIL-05 missed executions are read slowly - stream fills are sent at once', async () => {
  const world = await working(63)
  world.submit({ tradeId: 't2', orderType: 'limit', limitPrice: '180' })
  await world.settle()
  world.broker.fail('listExecutions', { kind: 'delay_reply', ms: 7_000 })
  world.broker.isMute = true
  world.fill('t2', '178', '40')
  world.broker.isMute = false
  await world.advance(5_000)
  expect(world.told('t2')).toEqual(['trade.submitted'])
  world.fill('t1', '178')
  await world.advance(TOLD_MS)
  expect(world.told('t1')).toEqual(['trade.submitted', 'trade.filled'])
  await world.quiesce()
  expect(world.told('t2')).toContain('trade.partialFill')
})

test('CON-03 a slow account read, a faster recovery - the later read mark is kept', async () => {
  const world = await working(64)
  const readTo = () => world.store.accountOf('u1', 'broker_1')?.executionsReadTo ?? ''
  world.broker.fail('listExecutions', { kind: 'delay_reply', ms: 7_000 })
  while (world.nowMs % 60_000 < 58_000) await world.advance(1_000)
  await world.advance(3_000)
  const before = readTo()
  world.fill('t1', '178')
  world.storeReturns()
  await world.advance(3_000)
  const recovered = readTo()
  expect(recovered > before).toBe(true)
  await world.advance(10_000)
  expect(readTo()).toBe(recovered)
  await world.quiesce()
})
