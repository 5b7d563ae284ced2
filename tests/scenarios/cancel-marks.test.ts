import { expect, test } from 'vitest'
import { CANCEL_MARK_MS_MAX, CANCEL_MARKS_MAX } from '#store'
import { openWorld, type World } from './world.ts'

const marksOf = (world: World): string[] =>
  [...world.store.recordsOf('u1').keys()].filter((name) => name.startsWith('cancel:'))

test('cancels of unknown trades - at the limit, the oldest mark is dropped', async () => {
  const world = await openWorld({ seed: 10, roles: ['orders'], isAdopted: false })
  for (let i = 0; i < CANCEL_MARKS_MAX + 20; i += 1) {
    world.cancel(`made-up-${i}`)
    if (i % 50 === 0) await world.settle()
  }
  await world.settle()
  expect(marksOf(world)).toHaveLength(CANCEL_MARKS_MAX)
  world.cancel('the-last')
  await world.settle()
  expect(marksOf(world)).toHaveLength(CANCEL_MARKS_MAX)
  expect(marksOf(world)).toContain('cancel:the-last')
})

test('cancels of unknown trades - old marks are dropped, a young mark ends its trade', async () => {
  const world = await openWorld({ seed: 10 })
  const mark = { schema: 1, commandId: 'c', by: 'user', reason: 'r' } as const
  const at = (ageMs: number): string => new Date(world.nowMs - ageMs).toISOString()
  await world.store.commit('u1', {
    expectVersion: world.store.versionOf('u1'),
    fence: { kind: 'version' },
    events: [],
    writes: [
      {
        kind: 'cancelMark',
        tradeId: 'old',
        mark: { ...mark, requestedAt: at(CANCEL_MARK_MS_MAX + 1) },
      },
      {
        kind: 'cancelMark',
        tradeId: 't1',
        mark: { ...mark, requestedAt: at(CANCEL_MARK_MS_MAX - 600_000) },
      },
    ],
  })
  await world.advance(130_000)
  expect(marksOf(world)).toEqual(['cancel:t1'])
  world.submit()
  await world.settle()
  expect([world.told('t1'), world.broker.orders.size]).toEqual([['trade.cancelled'], 0])
})
