import { describe, expect, test } from 'vitest'
import { replaceOrderSchema } from '#contract'
import type { BrokerOrder } from '#domain'
import { openWorld, type World } from './world.ts'

const ref = { userId: 'u1', connectionId: 'broker_1' }

/** Queues a replacement that gives a new total. */
function resize(world: World, commandId: string, quantity: string): void {
  const command = replaceOrderSchema.parse({ ...ref, tradeId: 't1', commandId, quantity })
  world.queue.add('commands', 'replaceOrder', command, commandId)
}

/**
 * A buy of 100 that becomes one of 200, and, once that has happened, of `then`; meanwhile 80
 * execute.
 */
async function overtaken(then: string): Promise<World> {
  const world = await openWorld({ seed: 61 })
  world.submit({ orderType: 'limit', limitPrice: '150' })
  await world.settle()
  world.broker.fail('replace', { kind: 'rate_limit', retryAfterMs: 5_000 })
  resize(world, 'r1', '200')
  await world.advance(1_000)
  resize(world, 'r2', then)
  await world.advance(1_000)
  world.fill('t1', '150', '80')
  await world.advance(15_000)
  return world
}

/** Queues a replacement that gives another price. */
function reprice(world: World, commandId: string, limitPrice: string): void {
  const command = replaceOrderSchema.parse({ ...ref, tradeId: 't1', commandId, limitPrice })
  world.queue.add('commands', 'replaceOrder', command, commandId)
}

const open = (world: World): BrokerOrder[] =>
  [...world.broker.orders.values()].filter(
    ({ status }) => status === 'new' || status === 'partially_filled',
  )

/** The broker executes whatever is open, at 150. */
function fillOpen(world: World): void {
  for (const { brokerOrderId } of open(world)) world.execute(ref, brokerOrderId, '150')
}

describe('CAN-05 executions while a replacement waits for its turn', () => {
  test.each(['60', '80'])(
    'CAN-05 80 of a total of %s executed - refused, no request is sent',
    async (total) => {
      const world = await overtaken(total)
      expect(world.broker.replaces.at(-1)?.clientOrderId).toMatch(/^fc1-\w+-0\.1-t1$/)
      const message = 'quantity: 80 have executed; the total must be more than that'
      const results = (await world.order('t1'))?.replaceResults
      expect(results?.find(({ commandId }) => commandId === 'r2')).toMatchObject({
        outcome: 'refused',
        message,
      })
      fillOpen(world)
      await world.quiesce()
      expect([(await world.order('t1'))?.cumulativeQuantity, world.told('t1').at(-1)]).toEqual([
        '200',
        'trade.filled',
      ])
    },
  )

  test('CAN-05 80 of a total of 90 executed - replaced, and 10 more execute', async () => {
    const world = await overtaken('90')
    fillOpen(world)
    await world.quiesce()
    expect([(await world.order('t1'))?.cumulativeQuantity, world.told('t1').at(-1)]).toEqual([
      '90',
      'trade.filled',
    ])
  })
})

describe('CAN-05 a second replacement after most of the order has executed', () => {
  test.each([
    ['total', '10'],
    ['own', '40'],
  ] as const)(
    'CAN-05 quantities are %s - the new order is for %s, then for the 10 left',
    async (sizing, shown) => {
      const world = await openWorld({ seed: 61 })
      world.broker.replaceSizing = sizing
      world.submit({ orderType: 'limit', limitPrice: '150' })
      await world.settle()
      world.fill('t1', '150', '60')
      await world.settle()
      reprice(world, 'r1', '151')
      await world.advance(10_000)
      world.execute(ref, open(world)[0]!.brokerOrderId, '151', '30')
      await world.settle()
      reprice(world, 'r2', '152')
      await world.settle()
      expect(open(world).map(({ quantity }) => quantity)).toEqual([shown])
      await world.advance(10_000)
      expect(open(world).map(({ quantity }) => quantity)).toEqual(['10'])
      fillOpen(world)
      await world.quiesce()
      expect(await world.order('t1')).toMatchObject({
        status: 'filled',
        quantity: '100',
        cumulativeQuantity: '100',
      })
    },
  )
})
