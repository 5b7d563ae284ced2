import { describe, expect, test } from 'vitest'
import { closePositionSchema } from '#contract'
import { openWorld, type World } from './world.ts'

const halt = { allows: 'nothing', by: 'op', reason: 'why', at: '2024-03-15T14:00:00.000Z' } as const
const haltUser = (world: World): void =>
  void world.store.controls.setHalt({ scope: 'user', userId: 'u1' }, halt)

describe('RDQ-04 the store loses the last commits of a parked order', () => {
  const resting = { orderType: 'limit', limitPrice: '150' } as const
  const cancel = (world: World): void => void world.cancel()
  const leave = (): void => {}

  /**
   * An order of `over` was parked; its second request is on its way when the store loses that, and
   * its job comes back.
   */
  async function sentFromParked(
    over: Parameters<World['submit']>[0],
    spoil: (world: World) => void,
  ): Promise<World> {
    const world = await openWorld({ seed: 46 })
    const order = { ...resting, ...over }
    world.broker.fail('submit', { kind: 'rate_limit', retryAfterMs: 3_000 })
    const job = world.submit(order)
    await world.settle()
    world.broker.fail('submit', { kind: 'delay_request', ms: 9_000 })
    await world.advance(3_500)
    world.store.loseLast(1)
    expect([world.broker.orders.size, (await world.order('t1'))?.attemptedAt]).toEqual([0, null])
    spoil(world)
    await world.advance(2_000)
    world.queue.redeliver(job)
    return world
  }

  test.each([
    ['its user is halted', {}, haltUser, ['trade.submitted']],
    ['its deadline passes', { notAfter: '2024-03-15T14:00:07.000Z' }, leave, ['trade.submitted']],
    ['it is canceled', {}, cancel, ['trade.submitted', 'trade.cancelled']],
  ] as const)(
    'RDQ-04 its request is pending, and %s - not ended before it is found',
    async (_why, over, spoil, told) => {
      const world = await sentFromParked(over, spoil)
      await world.advance(5_000)
      expect([world.broker.orders.size, world.told('t1')]).toEqual([0, []])
      await world.quiesce()
      expect(world.told('t1')).toEqual(told)
      expect(world.broker.orders.size).toBe(1)
    },
  )

  test('RDQ-04 halted after a loss - rejected once every request is over', async () => {
    const world = await openWorld({ seed: 46 })
    world.broker.fail('submit', { kind: 'rate_limit', retryAfterMs: 3_000 })
    world.submit(resting)
    await world.settle()
    Object.assign(world.store, { losses: 1, lostMs: world.nowMs })
    haltUser(world)
    await world.advance(9_000)
    expect(world.told('t1')).toEqual([])
    await world.advance(15_000)
    expect(world.told('t1')).toEqual(['trade.rejected'])
  })
})

describe('RDQ-04 the record of a close is lost, and no position is left', () => {
  const of = { userId: 'u1', connectionId: 'broker_1' }

  /** The close has executed, and nothing here knows of it when its job comes back. */
  async function closed(): Promise<World> {
    const world = await openWorld({ seed: 47 })
    world.submit()
    await world.settle()
    world.fill('t1', '180')
    await world.advance(1_000)
    world.broker.isMute = true
    const command = closePositionSchema.parse({
      ...of,
      tradeId: 'x1',
      commandId: 'close-x1',
      symbol: 'AAPL',
    })
    world.queue.add('commands', 'closePosition', command, 'close-x1')
    await world.settle()
    world.fill('x1', '181')
    while ((await world.order('x1')) !== null) world.store.loseLast(1)
    world.queue.redeliver('close-x1')
    return world
  }

  test('RDQ-04 the broker has the close - not rejected', async () => {
    const world = await closed()
    await world.advance(5_000)
    expect(world.told('x1')).not.toContain('trade.rejected')
    await world.quiesce()
    expect(world.told('x1')).toEqual(['trade.submitted', 'trade.filled'])
  })
})

describe('RDQ-04 the record of an order is lost, and a second job submits its trade', () => {
  const resting = { orderType: 'limit', limitPrice: '150' } as const

  /**
   * The order is at the broker, which does not show it for `lagMs`, and nothing here knows of it.
   */
  async function forgotten(lagMs: number): Promise<World> {
    const world = await openWorld({ seed: 45 })
    world.broker.visibleAfterMs = lagMs
    world.broker.isMute = true
    world.submit(resting)
    await world.advance(500)
    world.store.loseLast(2)
    expect([world.broker.orders.size, await world.order('t1')]).toEqual([1, null])
    return world
  }

  test.each([
    [
      'the broker refuses it',
      async (world: World) => void world.broker.fail('submit', { kind: 'refuse' }),
    ],
    ['its user is limited', (world: World) => world.limit('u1', { orderNotionalMax: '10' })],
    ['its user is halted', async (world: World) => haltUser(world)],
    [
      'every user is halted',
      (world: World) => world.store.controls.setHalt({ scope: 'global' }, halt),
    ],
  ])('RDQ-04 %s before the order is visible - not rejected', async (_why, forbid) => {
    const world = await forgotten(5_000)
    await forbid(world)
    world.submit(resting, 'again')
    await world.advance(2_000)
    expect(world.told('t1')).toEqual([])
    await world.advance(28_000)
    expect(world.told('t1')).toEqual(['trade.submitted'])
    await world.quiesce()
    expect(world.broker.submissions.length).toBeLessThanOrEqual(2)
  })

  test('RDQ-04 refused just after a loss - rejected once no request can be pending', async () => {
    const world = await forgotten(0)
    world.broker.fail('submit', { kind: 'refuse' })
    world.submit({ ...resting, tradeId: 't2' })
    await world.advance(5_000)
    expect(world.told('t2')).toEqual([])
    await world.advance(10_000)
    expect(world.entries('t2', 'trade.rejected')).toMatchObject([
      { code: 'INSUFFICIENT_BUYING_POWER', brokerCode: '40310000' },
    ])
    expect(world.broker.submissions).toHaveLength(2)
    await world.quiesce()
  })

  test('RDQ-04 refused 40 s after a loss - rejected at once', async () => {
    const world = await forgotten(0)
    await world.advance(40_000)
    world.broker.fail('submit', { kind: 'refuse' })
    world.submit({ ...resting, tradeId: 't2' })
    await world.settle()
    expect(world.told('t2')).toEqual(['trade.rejected'])
    await world.quiesce()
  })

  test('RDQ-04 canceled while its refusal is in doubt - ends as canceled', async () => {
    const world = await forgotten(0)
    world.broker.fail('submit', { kind: 'refuse' })
    world.submit({ ...resting, tradeId: 't2' })
    await world.advance(3_000)
    world.cancel('t2')
    await world.quiesce()
    expect(world.told('t2')).toEqual(['trade.cancelled'])
  })
})
