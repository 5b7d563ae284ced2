import { expect, test } from 'vitest'
import { openWorld, type World } from './world.ts'

// The rules about averages and costs, shown a violation, as in rules.test.ts.

async function executed(
  ...parts: readonly (readonly [quantity: string, price: string])[]
): Promise<World> {
  const world = await openWorld({ seed: 9 })
  world.submit({ quantity: '30', orderType: 'limit', limitPrice: '180' })
  await world.settle()
  for (const [quantity, price] of parts) world.fill('t1', price, quantity)
  await world.settle()
  return world
}

/** The event was told with other figures. */
function retell(world: World, event: string, figures: object): void {
  const told = world.store.log('u1').find((entry) => entry.event === event)
  Object.assign(told?.payload ?? {}, figures)
}

test('C2 finds a partial fill with the average of executions in another order', async () => {
  const world = await executed(['1', '180'], ['1', '179'], ['1', '178'])
  retell(world, 'trade.partialFill', { averageFillPrice: 179 })
  await expect(world.quiesce()).rejects.toThrow('C2 t1 is told at 179 after 1, executed at 180')
})

test('C2 finds a cost that is a billionth too high', async () => {
  const world = await executed(['10', '180'], ['20', '179'])
  retell(world, 'trade.filled', { totalCost: 5_380.000000002 })
  await expect(world.quiesce()).rejects.toThrow('C2 t1 cost 5380, told 5380.000000002')
})
