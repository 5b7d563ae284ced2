import { describe, expect, test } from 'vitest'
import { boundaryNames } from '#runtime'
import { openWorld } from './world.ts'

const STEPS = boundaryNames.filter((name) => name.startsWith('submit.'))
const halt = { allows: 'nothing', by: 'ops', reason: 'drill', at: '2024-03-15T14:00:00Z' } as const

describe('SUB-13 a halt between dequeue and request', () => {
  test.each(['user', 'connection', 'global'] as const)(
    'SUB-13 %s halt at every step - no request once the halt is visible',
    async (scope) => {
      for (const step of STEPS) {
        const world = await openWorld({ seed: 13 })
        const at =
          scope === 'global' ? { scope } : { scope, userId: 'u1', connectionId: 'broker_1' }
        world.at(step, () => void world.store.controls.setHalt(at, halt))
        world.submit()
        await world.settle()
        // Set before the claim it is seen by the claim; a global one is read once more right behind
        // it.
        const isSeen = step === 'submit.dequeued'
        expect([step, world.broker.submissions.length]).toEqual([step, isSeen ? 0 : 1])
        if (isSeen)
          expect(world.store.log('u1').at(-1)).toMatchObject({ payload: { code: 'HALTED' } })
      }
    },
  )

  test.each(['global', 'user', 'connection'] as const)(
    'SUB-13 reducing allowed under a %s halt - only the reducing order is sent',
    async (scope) => {
      const world = await openWorld({ seed: 13 })
      world.submit()
      await world.settle()
      world.fill('t1', '180.5')
      await world.settle()
      const at = scope === 'global' ? { scope } : { scope, userId: 'u1', connectionId: 'broker_1' }
      await world.store.controls.setHalt(at, { ...halt, allows: 'reducing' })
      world.submit({ tradeId: 't2' })
      world.submit({ tradeId: 't3', symbol: 'MSFT', side: 'sell' })
      world.submit({ tradeId: 't4', side: 'sell', quantity: '40' })
      await world.settle()
      expect([world.told('t2'), world.told('t3')]).toEqual([['trade.rejected'], ['trade.rejected']])
      expect(world.entries('t2', 'trade.rejected')).toMatchObject([{ code: 'HALTED' }])
      expect(world.told('t4')).toEqual(['trade.submitted'])
      expect(world.broker.submissions).toHaveLength(2)
    },
  )

  test('SUB-13 parked order under a halt - rejected, a reducing one is sent if allowed', async () => {
    const world = await openWorld({ seed: 13 })
    world.submit()
    await world.settle()
    world.fill('t1', '180.5')
    await world.settle()
    world.broker.fail('submit', { kind: 'rate_limit', retryAfterMs: 5_000 })
    world.submit({ tradeId: 't2' })
    await world.settle()
    await world.store.controls.setHalt(
      { scope: 'user', userId: 'u1' },
      { ...halt, allows: 'reducing' },
    )
    world.submit({ tradeId: 't3', side: 'sell', quantity: '40' })
    await world.advance(10_000)
    expect(world.told('t2')).toEqual(['trade.rejected'])
    expect(world.told('t3')).toEqual(['trade.submitted'])
    expect(world.broker.submissions).toHaveLength(3)
  })
})

describe('SUB-13 a global halt while an outcome is unknown', () => {
  test('SUB-13 the order is not sent again, and few look-ups are made', async () => {
    const world = await openWorld({ seed: 14 })
    world.broker.fail('submit', { kind: 'lose_request' })
    world.submit()
    await world.settle()
    await world.store.controls.setHalt({ scope: 'global' }, halt)
    const lookUps = (): number =>
      world.broker.calls.filter(({ on }) => on === 'findByClientOrderId').length
    const before = lookUps()
    await world.advance(50_000)
    expect(world.broker.submissions).toHaveLength(1)
    expect(lookUps() - before).toBeLessThan(12)
    await world.advance(20 * 60_000)
    expect(world.told('t1')).toEqual(['trade.rejected'])
  })
})
