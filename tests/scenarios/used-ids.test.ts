import { describe, expect, test } from 'vitest'
import type { Order } from '#domain'
import { openWorld, type World } from './world.ts'

const jobOf = (world: World): string =>
  world.queue.ids().find((id) => id.startsWith('submit-')) ?? ''

/**
 * The ended order is archived, as on the day after, and then its archive expires. Its job is gone
 * too.
 */
async function forget(world: World): Promise<void> {
  await world.advance(20 * 60_000)
  const order = world.store.orderOf('u1', 't1')!
  const expectVersion = world.store.versionOf('u1')
  await world.store.commit('u1', {
    expectVersion,
    fence: { kind: 'version' },
    events: [],
    writes: [{ kind: 'archive', order }],
  })
  world.queue.forget(jobOf(world))
  world.store.expireArchive('u1', 't1')
}

/** t1 was filled long ago. */
async function longAgo(): Promise<World> {
  const world = await openWorld({ seed: 9 })
  world.submit()
  await world.settle()
  world.fill('t1', '180.5')
  await forget(world)
  return world
}

const held = (world: World): string | undefined =>
  world.store.positionOf('u1', 'broker_1', 'AAPL')?.quantity

describe('P1 a used trade id whose order is no longer stored', () => {
  test('P1 archive expired - the tombstone keeps the id taken, no order is sent', async () => {
    const world = await longAgo()
    world.submit()
    await world.advance(60_000)
    expect([world.queue.stateOf(jobOf(world)), world.broker.submissions.length]).toEqual([
      'completed',
      1,
    ])
    expect(world.told('t1')).toEqual(['trade.submitted', 'trade.filled'])
    await world.quiesce()
    expect(held(world)).toBe('100')
  })

  test('P1 archive expired, other parameters - refused as a conflict', async () => {
    const world = await longAgo()
    world.submit({ quantity: '7' })
    await world.advance(5_000)
    expect([world.queue.stateOf(jobOf(world)), world.broker.submissions.length]).toEqual([
      'failed',
      1,
    ])
    expect(world.queue.whyOf(jobOf(world))).toContain('already used with other parameters')
    expect(world.told('t1')).toEqual(['trade.submitted', 'trade.filled'])
  })

  test('P1 archive expired, connection removed - not rejected', async () => {
    const world = await longAgo()
    await world.store.controls.remove({ userId: 'u1', connectionId: 'broker_1' })
    world.submit()
    await world.advance(60_000)
    expect(world.told('t1')).toEqual(['trade.submitted', 'trade.filled'])
  })

  test('P1 archive expired, the broker reports the order again - not booked twice', async () => {
    const world = await longAgo()
    const [order] = [...world.broker.orders.values()]
    world.broker.streams.send({ order: order!, at: order!.updatedAt, execution: null, bust: null })
    await world.quiesce()
    expect(held(world)).toBe('100')
    expect(world.told('t1')).toEqual(['trade.submitted', 'trade.filled'])
  })

  test('P1 an account idle for longer than the archive - no order is booked again', async () => {
    const world = await openWorld({ seed: 9 })
    const elsewhere = world.broker.placeElsewhere('MSFT', '5')
    world.broker.fill(elsewhere.brokerOrderId, '400')
    await world.advance(130_000)
    const { length } = world.events()
    const archive = async (order: Order): Promise<void> => {
      const expectVersion = world.store.versionOf('u1')
      const fence = { kind: 'version' } as const
      await world.store.commit('u1', {
        expectVersion,
        fence,
        events: [],
        writes: [{ kind: 'archive', order }],
      })
    }
    await archive(world.store.orderOf('u1', `ext.${elsewhere.brokerOrderId}`)!)
    for (const worker of world.workers) worker.kill()
    await world.advance(31 * 86_400_000)
    world.store.expireArchive('u1', `ext.${elsewhere.brokerOrderId}`)
    world.startWorker()
    await world.advance(130_000)
    expect(world.store.positionOf('u1', 'broker_1', 'MSFT')?.quantity).toBe('5')
    expect(world.events().slice(length)).toEqual([])
    expect(world.anomalies()).toEqual([])
  })
})
