import { describe, expect, test } from 'vitest'
import { cancelAllSchema, closePositionSchema, replaceOrderSchema } from '#contract'
import { RECOVERY_WAIT_MS_MAX } from '../../workers/orders/recovering.ts'
import { openWorld, type World } from './world.ts'

// FIL-06: what depends on a position waits while the account is being read anew after a disconnect.

const ref = { userId: 'u1', connectionId: 'broker_1' }
const commands = {
  close: closePositionSchema.parse({ ...ref, tradeId: 'x1', commandId: 'close', symbol: 'AAPL' }),
  replace: replaceOrderSchema.parse({ ...ref, tradeId: 't2', commandId: 'replace', quantity: '7' }),
  reprice: replaceOrderSchema.parse({
    ...ref,
    tradeId: 't2',
    commandId: 'reprice',
    limitPrice: '149',
  }),
  cancelAll: cancelAllSchema.parse({ ...ref, commandId: 'all' }),
}
const names = {
  close: 'closePosition',
  replace: 'replaceOrder',
  reprice: 'replaceOrder',
  cancelAll: 'cancelAll',
}
const ask = (world: World, what: keyof typeof commands) =>
  world.queue.add('commands', names[what], commands[what], what)

/** 100 AAPL, and a bid for five more that rests. */
async function started(seed: number): Promise<World> {
  const world = await openWorld({ seed })
  world.submit()
  await world.advance(1_000)
  world.fill('t1', '180')
  world.submit({
    tradeId: 't2',
    orderType: 'limit',
    limitPrice: '150',
    timeInForce: 'gtc',
    quantity: '5',
  })
  await world.advance(2_000)
  return world
}

/** The stream is cut, and the recovery that follows is under way for ten seconds more. */
async function recovering(seed: number): Promise<World> {
  const world = await started(seed)
  world.broker.fail('listExecutions', { kind: 'delay_reply', ms: 5_000 }, { times: 2 })
  const { begun } = world.recoveries
  world.broker.streams.cut()
  await world.until(() => world.recoveries.begun > begun, 60_000, 'a recovery')
  expect(await world.recoveries.isRunning(ref)).toBe(true)
  return world
}
const sells = (world: World) =>
  [...world.broker.orders.values()].filter(({ side }) => side === 'sell')
const isOver = (world: World) => async (): Promise<boolean> =>
  !(await world.recoveries.isRunning(ref))
async function untilOver(world: World): Promise<void> {
  for (let turns = 0; turns < 120 && !(await isOver(world)()); turns += 1) await world.advance(500)
  expect(await isOver(world)()).toBe(true)
}

describe('FIL-06 a recovery runs', () => {
  test.each([1, 2, 3])(
    'FIL-06 seed %i, a close - waits for the recovery, sized by its result',
    async (seed) => {
      const world = await recovering(seed)
      ask(world, 'close')
      await world.advance(1_000)
      expect(sells(world)).toEqual([])
      expect(world.queue.whyOf('close')).toBe('the account is being read')
      const { clientOrderId } = world.broker.placeElsewhere('AAPL', '40', 'sell')
      world.broker.fill(clientOrderId, '181')
      await untilOver(world)
      await world.advance(2_000)
      expect(sells(world).at(-1)).toMatchObject({
        clientOrderId: world.clientOrderId('x1'),
        quantity: '60',
      })
    },
  )

  test('FIL-06 a new quantity waits for the recovery, a new price and a cancel do not', async () => {
    const world = await recovering(4)
    ask(world, 'replace')
    await world.advance(1_000)
    expect((await world.order('t2'))?.replaces).toEqual([])
    await untilOver(world)
    await world.advance(10_000)
    expect((await world.order('t2'))?.quantity).toBe('7')
    const other = await recovering(5)
    ask(other, 'reprice')
    await other.advance(1_000)
    const clientIds = [...other.broker.orders.values()].map(({ limitPrice }) => limitPrice)
    expect(clientIds).toContain('149')
    other.cancel('t2')
    await other.advance(1_000)
    expect([...other.broker.orders.values()].every(({ status }) => status !== 'new')).toBe(true)
  })

  test('FIL-06 cancel all - known orders canceled at once, done after the recovery', async () => {
    const world = await recovering(6)
    ask(world, 'cancelAll')
    await world.advance(1_000)
    expect([...world.broker.orders.values()].map(({ status }) => status)).toEqual([
      'filled',
      'canceled',
    ])
    expect(world.queue.stateOf('cancelAll')).toBe('waiting')
    await untilOver(world)
    await world.advance(2_000)
    expect(world.queue.stateOf('cancelAll')).toBe('completed')
  })

  test('FIL-06 a recovery that does not end - a close waits at most the bound', async () => {
    const world = await started(7)
    const keep = setMark(world)
    await keep()
    ask(world, 'close')
    await world.advance(RECOVERY_WAIT_MS_MAX - 2_000)
    expect(sells(world)).toEqual([])
    await keep()
    await world.advance(5_000)
    expect(sells(world).map(({ quantity }) => quantity)).toEqual(['100'])
    expect(world.warnings.join()).toContain('command.recovery_not_awaited')
  })

  test('FIL-06 an exit that is needed again after the recovery - not canceled', async () => {
    const world = await openWorld({ seed: 8 })
    const exits = {
      orderClass: 'bracket',
      takeProfit: { limitPrice: '200' },
      stopLoss: { stopPrice: '150' },
    } as const
    world.submit({ ...exits, timeInForce: 'gtc' })
    await world.advance(1_000)
    world.fill('t1', '180')
    await world.advance(2_000)
    const keep = setMark(world)
    await keep()
    const by = { by: 'system', reason: 'The position that it protected is closed' }
    world.queue.add(
      'commands',
      'cancelOrder',
      { ...ref, tradeId: 't1', commandId: 'system-leftover', ...by },
      'leftover',
    )
    await world.advance(2_000)
    expect(world.queue.whyOf('leftover')).toBe('the account is being read')
    await world.recoveries.end(ref, 'elsewhere')
    await world.advance(5_000)
    expect(world.queue.stateOf('leftover')).toBe('completed')
    expect((await world.order('t1'))?.cancel).toBeNull()
  })
})

/** Another worker's recovery, which goes on. */
const setMark = (world: World) => (): Promise<void> =>
  world.recoveries.begin(ref, 'elsewhere', 120_000)
