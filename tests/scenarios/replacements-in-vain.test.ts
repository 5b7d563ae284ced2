import { describe, expect, test } from 'vitest'
import { replaceOrderSchema } from '#contract'
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
  'CAN-06 a cancel ends a replacement before it takes place, held: %s: it is not told as replaced, and the first order is canceled too',
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

describe('CAN-07 a refused replacement has used up its number', () => {
  test.each([0, 1, 2])(
    'CAN-07 after %s refused replacements the store loses the refusal of the next one: a cancel ends the order all the same',
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
