import { describe, expect, test } from 'vitest'
import { replaceOrderSchema } from '#contract'
import { clientOrderIdOf, dec } from '#domain'
import { openWorld, type World } from './world.ts'

// The rules about replacements and limits, each shown a violation, as in rules.test.ts.

describe('rules about replacements and limits find a violation', () => {
  const halt = {
    allows: 'nothing',
    by: 'ops',
    reason: 'drill',
    at: '2024-03-15T14:00:00Z',
  } as const
  const user = { scope: 'user', userId: 'u1' } as const
  async function resting(): Promise<World> {
    const world = await openWorld({ seed: 9 })
    world.submit({ orderType: 'limit', limitPrice: '150' })
    await world.settle()
    return world
  }
  const reprice = (world: World, over: object = { limitPrice: '151' }): void => {
    const ref = { userId: 'u1', connectionId: 'broker_1' }
    const command = replaceOrderSchema.parse({ ...ref, tradeId: 't1', commandId: 'r1', ...over })
    world.queue.add('commands', 'replaceOrder', command, 'r1')
  }

  test('S3 finds a replacement sent without permission', async () => {
    const world = await resting()
    const broker = world.workers[0]!.door('broker', world.broker, false, 'u1 broker_1')
    const terms = {
      quantity: null,
      limitPrice: dec('151'),
      stopPrice: null,
      trail: null,
      timeInForce: null,
    }
    void broker.replace({
      brokerOrderId: 'b-1',
      clientOrderId: clientOrderIdOf('u1', 't1', '0.1'),
      terms,
    })
    await expect(world.settle()).rejects.toThrow(
      'S3 a replacement of t1 is sent without leave of its own',
    )
  })

  test('S17 finds a change permitted by a script that ignores the halts of its slot', async () => {
    const world = await resting()
    await world.store.controls.setHalt(user, halt)
    world.store.controls.haltOf = () => null
    reprice(world)
    await expect(world.settle()).rejects.toThrow('S17 t1 is changed under the halt of its user')
  })

  test('S17 finds a replacement that is falsely treated as a correction', async () => {
    const world = await resting()
    await world.store.controls.setHalt(user, halt)
    const haltOf = world.store.controls.haltOf.bind(world.store.controls)
    world.store.controls.haltOf = (ref) => haltOf(ref, 'shrinks')
    reprice(world, { quantity: '50' })
    await expect(world.settle()).rejects.toThrow('S17 t1 is changed under the halt of its user')
  })

  test('S17 finds a complete halt() while a replacement has no outcome', async () => {
    const world = await resting()
    world.broker.fail('replace', { kind: 'lose_request' })
    reprice(world)
    await world.advance(1_000)
    world.store.recordsOf = () => new Map()
    void world.halt({}, { waitMs: 0 })
    await expect(world.settle()).rejects.toThrow('S17 halt() is complete, and t1 has no outcome')
  })

  test('S17 finds a complete halt() while a canceled order may still be replaced', async () => {
    const world = await resting()
    world.broker.fail('replace', { kind: 'lose_request' })
    reprice(world)
    await world.advance(1_000)
    world.broker.move('b-1', 'canceled')
    await world.advance(50)
    world.store.recordsOf = () => new Map()
    void world.halt({}, { waitMs: 0 })
    await expect(world.settle()).rejects.toThrow('S17 halt() is complete, and t1 has no outcome')
  })

  test('S19 finds executions that take a position over the limit of its user', async () => {
    const world = await openWorld({ seed: 9 })
    await world.limit('u1', { positionNotionalMax: '1000' })
    await world.store.controls.setLimits(user, null) // so no order is judged by the limit
    for (const tradeId of ['t1', 't2'])
      world.submit({ tradeId, orderType: 'limit', limitPrice: '100', quantity: '6' })
    await world.settle()
    world.fill('t1', '100')
    await world.settle()
    world.fill('t2', '100')
    await expect(world.settle()).rejects.toThrow('S19 u1 holds 12 AAPL, at most 10 are allowed')
  })

  test('S19 finds executions over two accounts that exceed the limit of their user', async () => {
    const accounts = ['broker_1', 'broker_2'].map((connectionId) => ({
      userId: 'u1',
      connectionId,
    }))
    const world = await openWorld({ seed: 9, accounts })
    await world.limit('u1', { positionNotionalMax: '1000' })
    await world.store.controls.setLimits(user, null) // so no order is judged by the limit
    for (const { connectionId } of accounts)
      world.submit({
        tradeId: `t-${connectionId}`,
        connectionId,
        orderType: 'limit',
        limitPrice: '100',
        quantity: '6',
      })
    await world.settle()
    world.fill('t-broker_1', '100', '6', accounts[0])
    await world.settle()
    world.fill('t-broker_2', '100', '6', accounts[1])
    await expect(world.settle()).rejects.toThrow('S19 u1 holds 12 AAPL, at most 10 are allowed')
  })
})
