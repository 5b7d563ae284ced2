import { replaceOrderSchema, type ReplaceOrder } from '#contract'
import { type BrokerOrder, clientOrderIdOf } from '#domain'
import { boundaryNames } from '#runtime'
import { openWorld, type World } from './world.ts'

export const stepsOf = (path: string) => boundaryNames.filter((name) => name.startsWith(`${path}.`))
export const of = { userId: 'u1', connectionId: 'broker_1' }
export const second = clientOrderIdOf('u1', 't1', '0.1')

/** Queues a replacement; answers the id of its job. */
export function replace(world: World, over: Partial<ReplaceOrder>, commandId = 'r1'): string {
  const command = replaceOrderSchema.parse({ ...of, tradeId: 't1', commandId, ...over })
  world.queue.add('commands', 'replaceOrder', command, commandId)
  return commandId
}

/** A limit order of 100 that rests at the broker. */
export async function resting(seed: number): Promise<World> {
  const world = await openWorld({ seed })
  world.submit({ orderType: 'limit', limitPrice: '150', timeInForce: 'gtc' })
  await world.settle()
  return world
}

export const open = (world: World): BrokerOrder[] =>
  [...world.broker.orders.values()].filter(
    ({ status }) => !['filled', 'canceled', 'rejected', 'replaced', 'expired'].includes(status),
  )
export const executed = (world: World): number =>
  world.broker.executions.reduce((sum, one) => sum + Number(one.execution.quantity), 0)
export const endings = (world: World): string[] =>
  world
    .told('t1')
    .filter((event) => ['trade.filled', 'trade.cancelled', 'trade.rejected'].includes(event))
