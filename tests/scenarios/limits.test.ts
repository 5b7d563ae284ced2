import { describe, expect, test } from 'vitest'
import { closePositionSchema, limitsSchema, type LimitsRequest, replaceOrderSchema, type ReplaceOrder } from '#contract'
import { openWorld, type World } from './world.ts'

// What a limit or a halt holds back, whichever way it comes: a submission, a replacement, a close, a crowd of them, two connections.

const of = { userId: 'u1', connectionId: 'broker_1' }
const user = { scope: 'user', userId: 'u1' } as const
const halt = { allows: 'nothing', by: 'ops', reason: 'drill', at: '2024-03-15T14:00:00Z' } as const
const rests = { orderType: 'limit', timeInForce: 'gtc' } as const

const limit = (world: World, limits: LimitsRequest): Promise<void> =>
  world.store.controls.setLimits(user, limitsSchema.parse(limits))

/** Queues a replacement of t1; answers the id of its job. */
function replace(world: World, over: Partial<ReplaceOrder>, commandId = 'r1'): string {
  const command = replaceOrderSchema.parse({ ...of, tradeId: 't1', commandId, ...over })
  world.queue.add('commands', 'replaceOrder', command, commandId)
  return commandId
}

function close(world: World, over: object = {}, tradeId = 'x1'): string {
  const command = closePositionSchema.parse({ ...of, tradeId, commandId: `close-${tradeId}`, symbol: 'AAPL', ...over })
  world.queue.add('commands', 'closePosition', command, `close-${tradeId}`)
  return `close-${tradeId}`
}

/** A buy of AAPL that rests at the broker. */
async function resting(quantity: string, limitPrice: string): Promise<World> {
  const world = await openWorld({ seed: 1 })
  world.submit({ ...rests, quantity, limitPrice })
  await world.settle()
  return world
}

/** AAPL, bought and told of. */
async function holding(quantity = '100'): Promise<World> {
  const world = await openWorld({ seed: 1 })
  world.submit({ quantity })
  await world.settle()
  world.fill('t1', '100')
  await world.settle()
  return world
}

const held = (world: World): string => world.broker.ledger.books.positions.get('AAPL')?.quantity ?? '0'
const outcome = async (world: World) => (await world.order('t1'))?.replaceResults.at(-1)

describe('a replacement is judged as the order that it becomes', () => {
  test.each([
    ['orderNotionalMax', { orderNotionalMax: '1000' }, 'The order is worth 60000'],
    ['positionNotionalMax', { positionNotionalMax: '1000' }, 'The position in AAPL would be worth 60000'],
    ['symbolsDenied', { symbolsDenied: ['AAPL'] }, 'AAPL is not among the symbols'],
  ])('with %s, an order of 1 at 50 does not become one of 500 at 120', async (_what, limits, why) => {
    const world = await resting('1', '50')
    await limit(world, limits)
    const job = replace(world, { quantity: '500', limitPrice: '120' })
    await world.quiesce()
    expect(world.broker.replaces).toEqual([])
    expect([world.queue.stateOf(job), await outcome(world)]).toMatchObject([
      'failed',
      { outcome: 'refused', message: expect.stringContaining(why) as string },
    ])
  })

  test.each(['global', 'user', 'connection'] as const)(
    'under a halt of the %s, nothing of it is sent, and nothing is filled',
    async (scope) => {
      const world = await resting('1', '50')
      await world.store.controls.setHalt(scope === 'global' ? { scope } : { scope, ...of }, halt)
      const job = replace(world, { quantity: '500', limitPrice: '120' })
      await world.quiesce()
      expect([world.broker.replaces, world.queue.stateOf(job)]).toEqual([[], 'failed'])
      expect((await outcome(world))?.message).toContain('halted')
    },
  )
})

describe('positions, and what may become of them', () => {
  test.each(['at once', 'one after another'])(
    'of 40 orders of 9 at 100.02 that come %s, what is held stays within 1000',
    async (how) => {
      const world = await openWorld({ seed: 2 })
      await limit(world, { positionNotionalMax: '1000' })
      for (let index = 1; index <= 40; index += 1) {
        world.submit({ ...rests, tradeId: `t${index}`, quantity: '9', limitPrice: '100.02' })
        if (how === 'one after another') await world.settle()
      }
      await world.advance(5_000)
      for (const { clientOrderId } of world.broker.orders.values()) world.broker.fill(clientOrderId, '100.02')
      await world.quiesce()
      expect(held(world)).toBe('9')
    },
  )
})

describe('nothing that closes opens the other side', () => {
  test.each([{}, { positionSide: 'long' }])('of two closes at once, the second comes late: %o', async (over) => {
    const world = await holding()
    world.startWorker()
    world.broker.fail('submit', { kind: 'delay_request', ms: 300 }, { skip: 1 })
    close(world, over, 'x1')
    close(world, over, 'x2')
    await world.advance(100)
    for (const tradeId of ['x1', 'x2'])
      if (world.broker.ledger.find(world.clientOrderId(tradeId)) !== null) world.fill(tradeId, '100')
    await world.advance(5_000)
    for (const { clientOrderId, status } of world.broker.orders.values())
      if (status === 'new') world.broker.fill(clientOrderId, '100')
    await world.quiesce()
    expect(held(world)).toBe('0')
  })

  test('two orders that reduce under a halt that allows it: together no more than there is', async () => {
    const world = await holding()
    await world.store.controls.setHalt(user, { ...halt, allows: 'reducing' })
    for (const tradeId of ['t2', 't3']) world.submit({ ...rests, tradeId, side: 'sell', limitPrice: '101' })
    await world.quiesce()
    expect([world.told('t2').at(-1), world.told('t3').at(-1)].toSorted()).toEqual(['trade.rejected', 'trade.submitted'])
  })
})
