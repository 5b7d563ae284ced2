import { expect, test } from 'vitest'
import { openWorld } from './world.ts'

/** More than one worker takes at once, and more than may clash with one commit in a row. */
const AT_ONCE = 99
/** Nothing but a few round trips: no pause of a job, and no backoff. */
const SOON_MS = 2_000

test.each([1, 2, 3, 4, 5])(
  '99 orders of one user at once, two workers - all sent within 2 s, seed %s',
  async (seed) => {
    const world = await openWorld({ seed, workers: 2 })
    for (let count = 1; count <= AT_ONCE; count += 1)
      world.submit({ tradeId: `t${count}`, quantity: '1' })
    await world.advance(SOON_MS)
    expect(world.broker.orders.size).toBe(AT_ONCE)
    expect(world.warnings.filter((line) => line.includes('CONTENTION'))).toEqual([])
    expect(world.queue.open().map(({ why }) => why)).toEqual([])
  },
)
