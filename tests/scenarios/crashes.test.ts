import { describe, expect, test } from 'vitest'
import { ANY_STEP, openWorld, type World } from './world.ts'
import { Chance } from './world/chance.ts'
import type { Process } from './world/process.ts'

// "At every boundary" is meant to the letter here: a process is stopped before each single step
// that it takes on a path, be that a named boundary, the call of a port, or the answer to one.

/** How many steps processes take while `run` runs. */
async function stepsOf(world: World, run: () => Promise<void>): Promise<number> {
  let steps = 0
  const count = (): void => {
    steps += 1
    world.at(ANY_STEP, count)
  }
  world.at(ANY_STEP, count)
  await run()
  return steps
}

const upTo = (end: number): number[] => Array.from({ length: end }, (_, index) => index)

/** A submitted order, and the way of its fills. */
async function submitted(seed: number, workers = 1): Promise<World> {
  const world = await openWorld({ seed, workers })
  world.submit()
  await world.settle()
  return world
}

async function fillInParts(world: World): Promise<void> {
  for (const [price, quantity] of [
    ['180.5', '40'],
    ['181', '35.5'],
    ['181.25', '24.5'],
  ] as const) {
    world.fill('t1', price, quantity)
    await world.settle()
  }
}

const IN_FULL = ['trade.submitted', 'trade.partialFill', 'trade.partialFill', 'trade.filled']

const fillSteps = await submitted(1).then((world) => stepsOf(world, () => fillInParts(world)))
const submitSteps = await openWorld({ seed: 1 }).then((world) => {
  world.submit()
  return stepsOf(world, () => world.settle())
})

describe('crashes while a fill is booked', () => {
  test.each(upTo(fillSteps))(
    'FIL-10 a crash before step %s - every fill is booked once',
    async (step) => {
      const world = await submitted(1)
      world.crashAt(ANY_STEP, step)
      await fillInParts(world)
      await world.quiesce()
      expect(world.told('t1')).toEqual(IN_FULL)
      expect(world.workers.map(({ name }) => name)).toEqual(['w2'])
    },
  )

  test.each(upTo(fillSteps))(
    'CRA-03 a crash before step %s - state and log agree before any repair',
    async (step) => {
      const world = await submitted(2)
      world.at(ANY_STEP, (process) => process.kill(), step)
      await fillInParts(world)
      expect(world.workers).toEqual([])
      const order = await world.order('t1')
      const told = world.entries('t1', 'trade.partialFill').at(-1) ?? { filledQuantity: 0 }
      const [whole] = world.entries('t1', 'trade.filled')
      expect(told).toMatchObject({
        filledQuantity: whole === undefined ? Number(order?.cumulativeQuantity) : 75.5,
      })
      expect(order?.status === 'filled').toBe(whole !== undefined)
      await world.quiesce()
      expect(world.told('t1')).toEqual(IN_FULL)
    },
  )
})

describe('crashes while a crash is repaired', () => {
  const pairs = upTo(submitSteps).flatMap((first) =>
    upTo(submitSteps).map((second) => [first, second] as const),
  )

  test(
    `CRA-05 every pair of crashes during a submission - one order, filled once`,
    { timeout: 120_000 },
    async () => {
      for (const [first, second] of pairs) {
        const world = await openWorld({ seed: 3 })
        world.crashAt(ANY_STEP, first)
        world.crashAt(ANY_STEP, second)
        world.submit()
        await world.advance(90_000)
        expect(world.broker.orders.size, `crashes before steps ${first} and ${second}`).toBe(1)
        world.fill('t1', '180.5')
        await world.advance(90_000)
        expect(world.told('t1')).toEqual(['trade.submitted', 'trade.filled'])
      }
    },
  )

  test.each(upTo(30))(
    'CRA-05 three crashes at random, seed %s - both trades complete once',
    async (seed) => {
      const chance = new Chance(seed)
      const world = await openWorld({ seed, workers: 2 })
      for (let crash = 0; crash < 3; crash += 1)
        world.crashAt(ANY_STEP, chance.below(60), chance.below(10_000))
      world.submit()
      world.submit({ tradeId: 't2', symbol: 'MSFT', quantity: '10' })
      await world.advance(90_000)
      world.fill('t1', '180.5', '40')
      world.fill('t2', '400', '4')
      await world.advance(chance.below(20_000))
      world.fill('t2', '401')
      world.fill('t1', '181')
      await world.quiesce()
      for (const tradeId of ['t1', 't2'])
        expect(world.told(tradeId)).toEqual([
          'trade.submitted',
          'trade.partialFill',
          'trade.filled',
        ])
    },
  )
})

/** Longer than lease and job lock. */
const LONG_MS = 40_000

describe('a frozen process that wakes up late', () => {
  test.each(upTo(submitSteps))(
    'CRA-07 frozen before step %s of a submission - another process finishes it once',
    async (step) => {
      const world = await openWorld({ seed: 4, workers: 2 })
      world.freezeAt(ANY_STEP, LONG_MS, step)
      world.submit()
      await world.advance(LONG_MS - 1)
      expect(world.broker.orders.size).toBe(1)
      expect(world.told('t1')).toEqual(['trade.submitted'])
      world.fill('t1', '180.5')
      await world.advance(20_000)
      expect(world.told('t1')).toEqual(['trade.submitted', 'trade.filled'])
      await world.quiesce()
      expect(world.broker.submissions.length).toBeLessThanOrEqual(2)
    },
  )

  test.each(upTo(fillSteps))(
    'CRA-07 frozen before step %s of a fill - another process finishes it once',
    async (step) => {
      const world = await submitted(5, 2)
      world.freezeAt(ANY_STEP, LONG_MS, step)
      await fillInParts(world)
      await world.advance(LONG_MS + 20_000)
      await world.quiesce()
      expect(world.told('t1')).toEqual(IN_FULL)
    },
  )

  test('CRA-07 a cancel frozen until the order has ended - at most one late request', async () => {
    const world = await submitted(6, 2)
    let frozen: Process | null = null
    world.at('cancel.sending', (process) => (frozen = process).freeze())
    world.cancel()
    await world.advance(LONG_MS)
    expect(world.told('t1')).toEqual(['trade.submitted', 'trade.cancelled'])
    const before = world.broker.cancels.length
    frozen!.thaw()
    await world.quiesce()
    expect(world.told('t1')).toEqual(['trade.submitted', 'trade.cancelled'])
    expect(world.broker.cancels.length - before).toBeLessThanOrEqual(1)
  })
})
