import { describe, expect, test } from 'vitest'
import { openWorld, type World } from './world.ts'

describe('RDQ-04 the record of a bracket is lost, and its session still knows its exits', () => {
  const exits = { takeProfit: { limitPrice: '190' }, stopLoss: { stopPrice: '170' } }

  /**
   * Filled at the entry; of the trade nothing is left here. The exits are the broker's second and
   * third order.
   */
  async function forgotten(): Promise<World> {
    const world = await openWorld({ seed: 48 })
    world.submit({ orderClass: 'bracket', orderType: 'limit', limitPrice: '180', ...exits })
    await world.advance(1_000)
    world.fill('t1', '180')
    await world.advance(1_000)
    while ((await world.order('t1')) !== null) world.store.loseLast(1)
    expect(world.store.accountOf('u1', 'broker_1')).not.toBeNull()
    return world
  }

  test.each([
    [
      'an exit executes',
      (world: World) => world.broker.fill('b-2', '190'),
      ['submitted', 'filled'],
    ],
    [
      'an exit changes its status',
      (world: World) => world.broker.move('b-3', 'new'),
      ['submitted', 'filled'],
    ],
  ])('RDQ-04 %s - the record starts with the entry', async (_what, happen, told) => {
    const world = await forgotten()
    happen(world)
    await world.quiesce()
    expect(await world.order('t1')).toMatchObject({
      side: 'buy',
      orderType: 'limit',
      quantity: '100',
    })
    expect((await world.order('t1'))?.placements.map(({ leg }) => leg)).toEqual([
      'entry',
      'takeProfit',
      'stopLoss',
    ])
    expect(world.told('t1').map((event) => event.replace('trade.', ''))).toEqual(told)
  })

  test('RDQ-04 whole account lost, entry no longer listed - the record has all legs', async () => {
    const world = await forgotten()
    const entry = world.broker.orders.get('b-1')!
    world.broker.orders.set('b-1', { ...entry, submittedAt: '2024-03-01T14:00:00.000000000Z' })
    world.store.loseLast(1_000)
    await world.quiesce()
    expect(await world.order('t1')).toMatchObject({ side: 'buy', status: 'filled' })
    expect((await world.order('t1'))?.placements.map(({ leg }) => leg)).toEqual([
      'entry',
      'takeProfit',
      'stopLoss',
    ])
  })
})
