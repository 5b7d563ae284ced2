import { describe, expect, test } from 'vitest'
import { replaceOrderSchema } from '#contract'
import { clientOrderIdOf } from '#domain'
import { openWorld, type World } from './world.ts'

function replace(world: World, commandId: string, limitPrice: string): void {
  const trade = { userId: 'u1', connectionId: 'broker_1', tradeId: 't1' }
  const command = replaceOrderSchema.parse({ ...trade, commandId, limitPrice })
  world.queue.add('commands', 'replaceOrder', command, commandId)
}

/** The broker refuses what changes nothing. */
const replaceInVain = (world: World, commandId: string): void => replace(world, commandId, '150')

async function resting(seed: number): Promise<World> {
  const world = await openWorld({ seed })
  world.submit({ orderType: 'limit', limitPrice: '150' })
  await world.settle()
  return world
}

test.each([true, false])(
  'CAN-06 a cancel before a replacement is done, held: %s - canceled, not replaced',
  async (isHeld) => {
    const world = await resting(61)
    Object.assign(world.broker, { holdsReplaces: true, holdsCancels: isHeld })
    replace(world, 'r1', '151')
    await world.settle()
    world.cancel()
    await world.advance(1_000)
    world.broker.holdsCancels = false
    if (isHeld) world.broker.settleCancel('b-2')
    await world.advance(30_000)
    await world.quiesce()
    expect(world.told('t1')).toEqual(['trade.submitted', 'trade.cancelled'])
    const order = await world.order('t1')
    expect([order?.limitPrice, order?.replaces]).toEqual(['150', []])
  },
)

test.each([1, 2])(
  'CAN-05 %s replacements rejected by the venue - the next one is done',
  async (rejected) => {
    const world = await resting(62)
    world.broker.holdsReplaces = true
    for (let count = 1; count <= rejected; count += 1) {
      replace(world, `r${count}`, `15${count}`)
      await world.advance(1_000)
      world.broker.settleReplace(clientOrderIdOf('u1', 't1', `0.${count}`), 'rejected')
      await world.advance(10_000)
    }
    world.broker.holdsReplaces = false
    replace(world, 'last', '149')
    await world.quiesce()
    expect(world.queue.stateOf('last')).toBe('completed')
    const order = await world.order('t1')
    expect([order?.status, order?.limitPrice, order?.endedAt]).toEqual(['submitted', '149', null])
  },
)

test('CAN-06 a cancel after a rejected replacement - the trade ends as canceled', async () => {
  const world = await resting(63)
  world.broker.holdsReplaces = true
  replace(world, 'r1', '151')
  await world.advance(1_000)
  world.broker.settleReplace(clientOrderIdOf('u1', 't1', '0.1'), 'rejected')
  await world.advance(10_000)
  world.cancel()
  await world.quiesce()
  expect(world.told('t1')).toEqual(['trade.submitted', 'trade.cancelled'])
  expect((await world.order('t1'))?.status).toBe('canceled')
})

describe('CAN-07 a refused replacement has used its number', () => {
  test.each([0, 1, 2])(
    'CAN-07 %s refusals, then one lost by the store - a cancel ends the order',
    async (refused) => {
      const world = await resting(60)
      for (let count = 1; count <= refused; count += 1) {
        replaceInVain(world, `r${count}`)
        await world.settle()
      }
      replaceInVain(world, 'last')
      await world.settle()
      world.store.loseLast(1)
      const [lost] = (await world.order('t1'))?.replaces ?? []
      expect(lost).toMatchObject({ commandId: 'last', replacement: refused + 1 })
      expect(lost?.sentAt).not.toBeNull()
      world.cancel()
      await world.advance(60_000)
      await world.quiesce()
      expect(world.told('t1')).toEqual(['trade.submitted', 'trade.cancelled'])
      const order = await world.order('t1')
      expect([order?.status, order?.replaces]).toEqual(['canceled', []])
    },
  )
})
