import { describe, expect, test } from 'vitest'
import { replaceOrderSchema } from '#contract'
import { openWorld, type World } from './world.ts'

/** Queues a replacement that gives a new total. */
function resize(world: World, commandId: string, quantity: string): void {
  const trade = { userId: 'u1', connectionId: 'broker_1', tradeId: 't1' }
  world.queue.add('commands', 'replaceOrder', replaceOrderSchema.parse({ ...trade, commandId, quantity }), commandId)
}

/** A buy of 100 that becomes one of 200, and, once that has happened, of `then`; meanwhile 80 execute. */
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

/** The broker executes whatever is open, at 150. */
function fillOpen(world: World): void {
  const open = [...world.broker.orders.values()].filter(({ status }) => status === 'new')
  for (const { brokerOrderId } of open) world.execute({ userId: 'u1', connectionId: 'broker_1' }, brokerOrderId, '150')
}

describe('CAN-05 what executes while a replacement waits for its turn', () => {
  test.each(['60', '80'])('CAN-05 80 of a total of %s: it is refused, and nothing is sent', async (total) => {
    const world = await overtaken(total)
    expect(world.broker.replaces.at(-1)?.clientOrderId).toMatch(/^fc1-\w+-0\.1-t1$/)
    const message = 'quantity: 80 have executed; the total must be more than that'
    const results = (await world.order('t1'))?.replaceResults
    expect(results?.find(({ commandId }) => commandId === 'r2')).toMatchObject({ outcome: 'refused', message })
    fillOpen(world)
    await world.quiesce()
    expect([(await world.order('t1'))?.cumulativeQuantity, world.told('t1').at(-1)]).toEqual(['200', 'trade.filled'])
  })

  test('CAN-05 80 of a total of 90: it takes place, and 10 more execute', async () => {
    const world = await overtaken('90')
    fillOpen(world)
    await world.quiesce()
    expect([(await world.order('t1'))?.cumulativeQuantity, world.told('t1').at(-1)]).toEqual(['90', 'trade.filled'])
  })
})
