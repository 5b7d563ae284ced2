import { describe, expect, test } from 'vitest'
import { replaceOrderSchema } from '#contract'
import { clientOrderIdOf } from '#domain'
import { openWorld, type World } from './world.ts'

const ref = { userId: 'u1', connectionId: 'broker_1' }
const stop = (tradeId: string, stopPrice: string) =>
  ({ tradeId, side: 'sell', orderType: 'stop', stopPrice, quantity: '5' }) as const

/**
 * What clients are told of the stop of the position in AAPL, one entry for each event that says
 * anything of a stop.
 */
const stopsTold = (world: World): unknown[] =>
  world.store.log('u1').flatMap(({ event, payload }) => {
    const { position, updates } = payload as Record<string, Record<string, unknown> | undefined>
    const said = event === 'portfolio.positionAdded' ? position : updates
    return said !== undefined && 'stopLossPrice' in said ? [said['stopLossPrice']] : []
  })
const stopShown = async (world: World) =>
  (await world.store.loadConnection(ref.userId, ref.connectionId)).positions.get('AAPL')
    ?.stopLossPrice

async function buy(world: World, tradeId: string): Promise<void> {
  world.submit({ tradeId, quantity: '10' })
  await world.settle()
  world.fill(tradeId, '180')
  await world.settle()
}

describe('the stop shown for a position', () => {
  test('comes from an order older than the position', async () => {
    const world = await openWorld({ seed: 61 })
    world.submit(stop('t1', '170'))
    await world.settle()
    await buy(world, 't2')
    await world.advance(1_000)
    expect(await stopShown(world)).toBe('170')
    await world.quiesce()
    await world.repeatAll()
  })

  test('comes from the other stop order once the first has ended', async () => {
    const world = await openWorld({ seed: 62 })
    await buy(world, 't1')
    for (const [tradeId, price] of [
      ['t2', '170'],
      ['t3', '175'],
    ] as const) {
      world.submit(stop(tradeId, price))
      await world.settle()
    }
    expect(await stopShown(world)).toBe('175')
    world.cancel('t3')
    await world.advance(5_000)
    expect(await stopShown(world)).toBe('170')
    await world.quiesce()
    await world.repeatAll()
  })

  test('comes from the original order if the venue rejects its replacement', async () => {
    const world = await openWorld({ seed: 65 })
    await buy(world, 't1')
    world.submit(stop('t2', '170'))
    await world.settle()
    world.broker.holdsReplaces = true
    const command = { ...ref, tradeId: 't2', commandId: 'r1', stopPrice: '171' }
    world.queue.add('commands', 'replaceOrder', replaceOrderSchema.parse(command), 'r1')
    await world.advance(1_000)
    world.broker.settleReplace(clientOrderIdOf('u1', 't2', '0.1'), 'rejected')
    await world.advance(10_000)
    expect(await stopShown(world)).toBe('170')
    await world.quiesce()
  })

  test('stays the same when reports of the other stop order are repeated', async () => {
    const world = await openWorld({ seed: 63 })
    await buy(world, 't1')
    for (const [tradeId, price] of [
      ['t2', '170'],
      ['t3', '175'],
    ] as const) {
      world.submit(stop(tradeId, price))
      await world.settle()
    }
    await world.quiesce()
    const told = stopsTold(world)
    await world.repeatAll()
    expect(stopsTold(world)).toEqual(told)
    expect(await stopShown(world)).toBe('175')
  })

  test('is set by the first read of the account', async () => {
    const world = await openWorld({ seed: 64, isWhole: true })
    await buy(world, 't1')
    world.submit(stop('t2', '170'))
    await world.settle()
    world.store.wipe()
    await world.advance(60_000)
    expect(await stopShown(world)).toBe('170')
    expect(stopsTold(world)).toEqual([])
  })
})
