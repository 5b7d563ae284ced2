import { describe, expect, test } from 'vitest'
import { ANY_STEP, openWorld } from './world.ts'

const upTo = (end: number): number[] => Array.from({ length: end }, (_, index) => index)
const LOCK_MS = 15_000

describe('a job that is given to a second worker', () => {
  test.each(upTo(14))(
    'RDQ-01 redelivered before step %s of the first run - one order',
    async (step) => {
      const world = await openWorld({ seed: step, workers: 3 })
      const job = world.submit()
      world.at(ANY_STEP, () => world.queue.redeliver(job), step)
      await world.settle()
      await world.advance(60_000)
      expect(world.broker.orders.size).toBe(1)
      world.fill('t1', '180.5')
      await world.quiesce()
      expect(world.told('t1')).toEqual(['trade.submitted', 'trade.filled'])
    },
  )

  test.each(upTo(14))(
    'RDQ-01 lock expired before step %s, the first run goes on - one order',
    async (step) => {
      const world = await openWorld({ seed: 100 + step, workers: 2 })
      world.submit()
      world.freezeAt(ANY_STEP, LOCK_MS + 10_000, step)
      await world.advance(LOCK_MS + 60_000)
      expect(world.broker.orders.size).toBe(1)
      world.fill('t1', '180.5')
      await world.quiesce()
      expect(world.told('t1')).toEqual(['trade.submitted', 'trade.filled'])
    },
  )
})
