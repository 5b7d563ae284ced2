import { describe, expect, test } from 'vitest'
import { replaceOrderSchema, type ReplaceOrder } from '#contract'
import { boundaryNames } from '#runtime'
import { openWorld, type World } from './world.ts'

// What leaves under a halt besides new orders: replacements of orders that rest already.

const of = { userId: 'u1', connectionId: 'broker_1' }
const halt = { allows: 'nothing', by: 'ops', reason: 'drill', at: '2024-03-15T14:00:00Z' } as const
const rests = { orderType: 'limit', timeInForce: 'gtc' } as const
const SCOPES = ['global', 'user', 'connection'] as const
const STEPS = boundaryNames.filter((name) => name.startsWith('replace.'))

const scopeOf = (scope: (typeof SCOPES)[number]) =>
  scope === 'global' ? { scope } : { scope, ...of }

function replace(world: World, over: Partial<ReplaceOrder>, commandId = 'r1'): string {
  const command = replaceOrderSchema.parse({ ...of, tradeId: 't1', commandId, ...over })
  world.queue.add('commands', 'replaceOrder', command, commandId)
  return commandId
}

/** A buy of 100 at 150 that rests at the broker. */
async function resting(): Promise<World> {
  const world = await openWorld({ seed: 1 })
  world.submit({ ...rests, limitPrice: '150' })
  await world.settle()
  return world
}

const resultOf = async (world: World) => (await world.order('t1'))?.replaceResults.at(-1)
const open = (world: World): (string | null)[] =>
  [...world.broker.orders.values()].flatMap(({ status, quantity }) =>
    status === 'new' ? [quantity] : [],
  )

describe('SUB-13 a halt between a replacement and its request', () => {
  test.each(SCOPES)(
    'SUB-13 %s halt at every step - no request once the halt is visible',
    async (scope) => {
      for (const step of STEPS) {
        const world = await resting()
        world.at(step, () => void world.store.controls.setHalt(scopeOf(scope), halt))
        replace(world, { limitPrice: '151' })
        await world.advance(5_000)
        const isSeen = step === 'replace.dequeued' || step === 'replace.noted'
        expect([step, world.broker.replaces.length]).toEqual([step, isSeen ? 0 : 1])
        if (isSeen) expect((await resultOf(world))?.message).toContain('New orders are halted')
      }
    },
  )

  test.each(SCOPES)(
    'SUB-13 %s halt while the outcome is unknown - not sent again, ends as refused',
    async (scope) => {
      const world = await resting()
      world.broker.fail('replace', { kind: 'lose_request' })
      const job = replace(world, { limitPrice: '151' })
      await world.advance(1_000)
      await world.store.controls.setHalt(scopeOf(scope), halt)
      await world.advance(120_000)
      expect([world.broker.replaces.length, world.queue.stateOf(job)]).toEqual([1, 'failed'])
      expect(await resultOf(world)).toMatchObject({ outcome: 'refused' })
    },
  )
})

describe('a halt allows our own corrections', () => {
  test.each(SCOPES)(
    'a replacement that turns out too large - corrected under a %s halt',
    async (scope) => {
      const world = await resting()
      world.fill('t1', '150', '70')
      await world.settle()
      world.at('replace.answered', () => void world.store.controls.setHalt(scopeOf(scope), halt))
      replace(world, { limitPrice: '151' })
      await world.advance(30_000)
      expect(world.broker.replaces.map(({ terms }) => terms.quantity)).toEqual(['100', '30'])
      expect(open(world)).toEqual(['30'])
    },
  )

  test('a requested size equal to the present size - not a correction, refused', async () => {
    const world = await resting()
    world.fill('t1', '150', '4')
    await world.settle()
    await world.store.controls.setHalt({ scope: 'global' }, halt)
    const job = replace(world, { quantity: '100' })
    await world.advance(10_000)
    expect([world.broker.replaces, world.queue.stateOf(job)]).toEqual([[], 'failed'])
    expect(await resultOf(world)).toMatchObject({ outcome: 'refused' })
  })

  test('a smaller size that a user requests - not a correction, refused', async () => {
    const world = await resting()
    await world.store.controls.setHalt({ scope: 'user', userId: 'u1' }, halt)
    const job = replace(world, { quantity: '50' })
    await world.quiesce()
    expect([world.broker.replaces, world.queue.stateOf(job)]).toEqual([[], 'failed'])
  })
})

describe('a halt that allows reducing', () => {
  test.each([
    ['60', true],
    ['100', true],
    ['101', false],
  ])('a sell of part of 100 becomes one of %s: %s', async (quantity, passes) => {
    const world = await openWorld({ seed: 2 })
    world.submit({ tradeId: 't0' })
    await world.settle()
    world.fill('t0', '150')
    world.submit({ ...rests, side: 'sell', quantity: '40', limitPrice: '160' })
    await world.settle()
    await world.store.controls.setHalt({ scope: 'global' }, { ...halt, allows: 'reducing' })
    replace(world, { quantity })
    await world.quiesce()
    expect(open(world)).toEqual([passes ? quantity : '40'])
  })

  test('a higher price for a resting buy - not sent', async () => {
    const world = await resting()
    await world.store.controls.setHalt({ scope: 'global' }, { ...halt, allows: 'reducing' })
    replace(world, { limitPrice: '151' })
    await world.quiesce()
    expect(world.broker.replaces).toEqual([])
  })
})

describe('S17 a halt is complete once every replacement sent has its outcome', () => {
  test.each(['replaced', 'rejected'] as const)(
    'S17 the broker holds the replacement, then it is %s - complete afterwards',
    async (to) => {
      const world = await resting()
      world.broker.holdsReplaces = true
      replace(world, { limitPrice: '151' })
      await world.advance(3_000)
      const halted = world.halt({ userId: 'u1' }, { waitMs: 1_000 })
      await world.advance(2_000)
      expect(await halted).toEqual({ isComplete: false, waitingFor: 1 })
      world.broker.settleReplace(world.broker.replaces[0]!.clientOrderId, to)
      const again = world.halt({ userId: 'u1' }, { waitMs: 10_000 })
      await world.advance(11_000)
      expect(await again).toEqual({ isComplete: true, waitingFor: 0 })
    },
  )

  test.each([
    ['resumed', (world: World) => world.resume({ userId: 'u1' })],
    [
      'halted less strictly',
      (world: World) => world.halt({ userId: 'u1' }, { by: 'desk', allows: 'reducing' }),
    ],
  ])(
    'S17 the target is %s during the wait - not complete, since orders leave again',
    async (_how, happen) => {
      const world = await resting()
      world.broker.holdsReplaces = true
      replace(world, { limitPrice: '151' })
      await world.advance(3_000)
      const halted = world.halt({ userId: 'u1' }, { waitMs: 5_000 })
      await world.advance(1_000)
      void happen(world)
      await world.advance(1_000)
      world.broker.settleReplace(world.broker.replaces[0]!.clientOrderId, 'replaced')
      await world.advance(5_000)
      expect(await halted).toEqual({ isComplete: false, waitingFor: 0 })
    },
  )

  test('S17 a waiting replacement and one never sent - the halt is complete', async () => {
    const world = await resting()
    world.broker.fail('replace', { kind: 'rate_limit', retryAfterMs: 30_000 })
    replace(world, { limitPrice: '151' })
    replace(world, { limitPrice: '152' }, 'r2')
    await world.advance(1_000)
    const halted = world.halt({ userId: 'u1' }, { waitMs: 1_000 })
    await world.advance(2_000)
    expect(await halted).toEqual({ isComplete: true, waitingFor: 0 })
    await world.advance(120_000)
    expect(world.broker.replaces).toHaveLength(1)
  })
  test('S17 a refused replacement of a filled order, no look-up - the halt is complete', async () => {
    const world = await resting()
    world.broker.fail('replace', { kind: 'refuse' })
    world.broker.fail('findByBrokerOrderId', { kind: 'lose_request' }, { times: Infinity })
    replace(world, { limitPrice: '151' })
    await world.advance(50)
    world.fill('t1', '150')
    await world.advance(50)
    const order = await world.order('t1')
    expect(order?.status).toBe('filled')
    expect(order?.replaces[0]?.sentAt).toBeTypeOf('string')
    const halted = world.halt({ userId: 'u1' }, { waitMs: 0 })
    await world.settle()
    expect(await halted).toEqual({ isComplete: true, waitingFor: 0 })
  })
})
