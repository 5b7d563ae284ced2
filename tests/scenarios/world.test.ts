import { setTimeout as realSleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { replaceOrderSchema } from '#contract'
import { openWorld } from './world.ts'

async function tradeInTwoParts(seed: number) {
  const world = await openWorld({ seed, workers: 2 })
  world.submit()
  world.submit({ tradeId: 't2', symbol: 'MSFT', quantity: '10' })
  await world.settle()
  world.fill('t1', '180.5', '40')
  world.fill('t2', '400')
  world.fill('t1', '181')
  await world.quiesce()
  return world
}

describe('the world of the scenarios', () => {
  test('orders reach their ends', async () => {
    const world = await tradeInTwoParts(1)
    expect(world.told('t1')).toEqual(['trade.submitted', 'trade.partialFill', 'trade.filled'])
    expect(world.told('t2')).toEqual(['trade.submitted', 'trade.filled'])
  })

  test('a job that will run again - the world is not at rest', async () => {
    const world = await openWorld({ seed: 1 })
    world.queue.lateMs = 30_000
    world.submit()
    await world.quiesce({ withinMs: 60_000, lookMs: 15_000, stayMs: 20_000 })
    expect(world.told('t1')).toEqual(['trade.submitted'])
  })

  test('an order that waits for its right size after a loss - the world is not at rest', async () => {
    const world = await openWorld({ seed: 1, isWhole: true })
    world.broker.replaceSizing = 'total'
    world.submit({ orderType: 'limit', limitPrice: '150' })
    await world.settle()
    world.store.wipe()
    await world.advance(60_000)
    world.fill('t1', '150', '30')
    await world.settle()
    const trade = { userId: 'u1', connectionId: 'broker_1', tradeId: 't1' }
    const command = replaceOrderSchema.parse({ ...trade, commandId: 'r1', limitPrice: '151' })
    world.at('replace.recorded', (process) => {
      world.queue.giveUp('r1')
      world.restart(process)
    })
    world.queue.add('commands', 'replaceOrder', command, 'r1')
    await world.settle()
    await world.quiesce({ withinMs: 60_000, lookMs: 5_000, stayMs: 60_000 })
    expect(world.told('t1').filter((event) => event === 'trade.replaced')).toHaveLength(2)
  })

  test('D1 the same seed gives the same trace, another seed another trace', async () => {
    const traces = await Promise.all(
      [7, 7, 8].map(async (seed) => (await tradeInTwoParts(seed)).schedule.trace()),
    )
    expect(traces[1]).toBe(traces[0])
    expect(traces[2]).not.toBe(traces[0])
  })

  test('D2 a wait for a real timer fails the run', async () => {
    const world = await openWorld({ seed: 1 })
    const submit = world.broker.submit.bind(world.broker)
    world.broker.submit = async (ticket) => {
      await realSleep(1)
      return submit(ticket)
    }
    world.submit()
    await expect(world.settle()).rejects.toThrow('something real: Timeout')
  })

  test('D2 a wait for a tick fails the run, because it may end after the step', async () => {
    const world = await openWorld({ seed: 1 })
    const submit = world.broker.submit.bind(world.broker)
    world.broker.submit = async (ticket) => {
      await new Promise<void>((resolve) => process.nextTick(resolve))
      return submit(ticket)
    }
    world.submit()
    await expect(world.settle()).rejects.toThrow('something real: TickObject')
  })

  test('objects read from the store cannot be changed', async () => {
    const world = await openWorld({ seed: 1 })
    world.submit()
    await world.settle()
    const order = await world.order('t1')
    expect(() => Object.assign(order!, { status: 'filled' })).toThrow(TypeError)
    expect(() => Object.assign(order!.placements, { length: 0 })).toThrow(TypeError)
    expect(await world.order('t1')).toMatchObject({ status: 'submitted' })
  })

  test('a dead process gets no answer, and the next one starts from the store alone', async () => {
    const world = await openWorld({ seed: 3 })
    world.crashAt('broker.submit answered')
    world.submit()
    await world.settle()
    expect(world.broker.submissions).toHaveLength(1)
    expect(world.told('t1')).toEqual([])
    expect(world.workers.map(({ name }) => name)).toEqual(['w2'])
    await world.advance(60_000)
    world.fill('t1', '180.5')
    await world.quiesce()
    expect(world.told('t1')).toEqual(['trade.submitted', 'trade.filled'])
  })

  test('a frozen process continues at the same step', async () => {
    const world = await openWorld({ seed: 3 })
    world.freezeAt('broker.submit', 3_000)
    world.submit()
    await world.advance(2_999)
    expect(world.broker.submissions).toHaveLength(0)
    await world.advance(1)
    expect(world.told('t1')).toEqual(['trade.submitted'])
  })

  test('a broken rule stops the run and shows the seed and the last steps', async () => {
    const world = await openWorld({ seed: 9 })
    world.submit()
    await world.settle()
    const [order] = world.broker.orders.values()
    world.broker.orders.set('twin', { ...order!, brokerOrderId: 'twin' })
    await expect(world.settle()).rejects.toThrow(
      /seed 9:\nS1 t1 has 2 orders\n[^]*acknowledge submit-/,
    )
  })

  test('a broken rule is found by the next step that writes or queries the broker', async () => {
    const world = await openWorld({ seed: 9 })
    world.submit()
    await world.settle()
    world.fill('t1', '180')
    await world.settle()
    const startMs = world.nowMs
    world.at('broker.listOrders', () => world.broker.move(world.clientOrderId('t1'), 'new'))
    await expect(world.advance(600_000)).rejects.toThrow('S7 t1 told trade.filled, and is open')
    expect(world.nowMs - startMs).toBeLessThan(60_000)
  })

  test('a sent fill without an execution at the broker is found', async () => {
    const world = await openWorld({ seed: 9 })
    world.submit()
    await world.settle()
    world.fill('t1', '180.5', '40')
    await world.settle()
    world.broker.executions.length = 0
    await expect(world.settle()).rejects.toThrow('S4 t1 told 40, executed 0')
  })
})
