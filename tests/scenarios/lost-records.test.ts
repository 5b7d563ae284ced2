import { describe, expect, test, vi } from 'vitest'
import { submitJobId } from '#contract'
import { openWorld, type World } from './world.ts'

describe('RDQ-04 the record of an order at the broker is lost', () => {
  const resting = { orderType: 'limit', limitPrice: '150' } as const

  /** An order rests at the broker, and nothing here knows of it. */
  async function forgotten(order: Parameters<World['submit']>[0] = resting): Promise<World> {
    const world = await openWorld({ seed: 45 })
    world.submit(order)
    await world.advance(500)
    world.store.loseLast(2)
    expect([world.broker.orders.size, await world.order('t1')]).toEqual([1, null])
    return world
  }

  test('RDQ-04 canceled, then submitted again - adopted and canceled at the broker', async () => {
    const world = await forgotten()
    world.cancel()
    await world.settle()
    world.queue.redeliver(world.submit(resting))
    await world.settle()
    expect((await world.order('t1'))?.submittedAt).not.toBeNull()
    await world.quiesce()
    expect(world.told('t1')).toEqual(['trade.submitted', 'trade.cancelled'])
    expect([...world.broker.orders.values()].map(({ status }) => status)).toEqual(['canceled'])
    expect(world.anomalies()).toEqual([])
  })

  test('RDQ-04 canceled, then found by its session - the waiting cancel is carried out', async () => {
    const world = await forgotten()
    world.cancel()
    await world.advance(35_000)
    expect(world.told('t1')).toEqual(['trade.submitted', 'trade.cancelled'])
    expect([...world.broker.orders.values()].map(({ status }) => status)).toEqual(['canceled'])
  })

  test('RDQ-04 its deadline has passed - not rejected, the order is found', async () => {
    const order = { ...resting, notAfter: '2024-03-15T14:00:03.000Z' }
    const world = await forgotten(order)
    await world.advance(1_000)
    world.queue.redeliver(world.submit(order))
    await world.settle()
    expect(world.told('t1')).toEqual(['trade.submitted'])
    world.fill('t1', '149')
    await world.quiesce()
    expect(world.told('t1')).toEqual(['trade.submitted', 'trade.filled'])
    expect(world.anomalies()).toEqual([])
  })

  const halt = {
    allows: 'nothing',
    by: 'op',
    reason: 'why',
    at: '2024-03-15T14:00:00.000Z',
  } as const

  // The global halt is read after the claim, the halts of a user before the claim.
  test.each([
    ['its user', { scope: 'user', userId: 'u1' }],
    ['all users', { scope: 'global' }],
  ] as const)(
    'RDQ-04 a halt of %s since - not rejected, the order is found',
    async (_who, target) => {
      const world = await forgotten()
      await world.store.controls.setHalt(target, halt)
      world.queue.redeliver(world.submit(resting))
      await world.settle()
      expect(world.told('t1')).toEqual(['trade.submitted'])
    },
  )

  test.each([
    ['its deadline passes', {}, { notAfter: '2024-03-15T14:00:05.000Z' }],
    ['its user is limited', { orderNotionalMax: '10' }, {}],
  ])(
    'RDQ-04 while its request is pending, %s - not rejected, the order is found',
    async (_why, limits, over) => {
      const world = await openWorld({ seed: 46 })
      world.broker.fail('submit', { kind: 'delay_request', ms: 12_000 })
      world.submit({ ...resting, ...over })
      await world.advance(1_000)
      world.store.loseLast(1)
      expect([world.broker.orders.size, await world.order('t1')]).toEqual([0, null])
      await world.limit('u1', limits)
      await world.advance(30_000)
      expect(world.told('t1')).toEqual(['trade.submitted'])
      expect(world.broker.orders.size).toBe(1)
    },
  )

  test('RDQ-04 20 orders over a limit after the loss - at most two look-ups each', async () => {
    const world = await forgotten()
    await world.limit('u1', { orderNotionalMax: '10' })
    await world.advance(1_000)
    const find = vi.spyOn(world.broker, 'findByClientOrderId')
    for (let count = 0; count < 20; count += 1)
      world.submit({ ...resting, tradeId: `limited${count}` })
    await world.advance(30_000)
    expect(world.events().filter((event) => event === 'trade.rejected')).toHaveLength(20)
    expect(find.mock.calls.length).toBeLessThanOrEqual(2 * 20)
  })

  test('RDQ-04 its deadline passes after the claim - not rejected, not sent again', async () => {
    const order = { ...resting, notAfter: '2024-03-15T14:00:03.000Z' }
    const world = await forgotten(order)
    world.queue.redeliver(world.submit(order))
    world.freezeAt('submit.sending', 2_000)
    await world.advance(3_000)
    expect(world.told('t1')).toEqual(['trade.submitted'])
    expect(world.broker.submissions).toHaveLength(1)
  })

  test.each([
    ['is visible at once', 0],
    ['is visible after 4 s', 4_000],
  ])('RDQ-04 the second request is refused, the first %s - not rejected', async (_how, lagMs) => {
    const world = await forgotten()
    world.broker.visibleAfterMs = lagMs
    world.broker.fail('submit', { kind: 'refuse' })
    world.queue.redeliver(world.submit(resting))
    await world.advance(30_000)
    world.broker.visibleAfterMs = 0
    expect(world.told('t1')).toEqual(['trade.submitted'])
    world.fill('t1', '149')
    await world.quiesce()
    expect(world.told('t1')).toEqual(['trade.submitted', 'trade.filled'])
    expect(world.broker.orders.size).toBe(1)
  })

  test('RDQ-04 all users halted, the broker unreadable - no event until it answers', async () => {
    const world = await forgotten()
    await world.store.controls.setHalt({ scope: 'global' }, halt)
    world.broker.isMute = true
    world.broker.fail('read', { kind: 'error_before' }, { times: Infinity })
    world.queue.redeliver(world.submit(resting))
    await world.settle()
    Object.assign(world.store, { losses: 0, lostMs: -Infinity }) // long ago
    await world.advance(60_000)
    expect([world.told('t1'), (await world.order('t1'))?.status]).toEqual([[], 'submitting'])
    world.broker.mend()
    await world.quiesce()
    expect(world.told('t1')).toEqual(['trade.submitted'])
  })

  test('RDQ-04 parked, request lost, user halted - looked up before any rejection', async () => {
    const world = await openWorld({ seed: 46 })
    world.broker.fail('submit', { kind: 'rate_limit', retryAfterMs: 5_000 })
    world.submit(resting)
    await world.settle()
    world.broker.isMute = true
    world.at('submit.answered', (process) => {
      world.store.loseLast(1) // the commit before its second request
      void world.store.controls.setHalt({ scope: 'user', userId: 'u1' }, halt)
      world.restart(process)
    })
    await world.advance(5_500)
    world.queue.redeliver(world.submit(resting))
    await world.settle()
    await world.quiesce()
    expect(world.broker.submissions).toHaveLength(2)
    expect(world.told('t1')).toEqual(['trade.submitted'])
  })

  test.each([
    ['its user', { scope: 'user', userId: 'u1' }],
    ['all users', { scope: 'global' }],
  ] as const)(
    'RDQ-04 halt of %s before the sent order is visible - not rejected',
    async (_who, target) => {
      const world = await openWorld({ seed: 45 })
      world.broker.visibleAfterMs = 10_000
      world.broker.isMute = true
      world.broker.fail('submit', { kind: 'error_after' })
      world.submit(resting)
      world.at('submit.recorded', () => {
        world.store.loseLast(2)
        void world.store.controls.setHalt(target, halt)
      })
      await world.advance(5_000)
      expect([world.broker.orders.size, world.told('t1')]).toEqual([1, []])
      await world.quiesce()
      expect(world.told('t1')).toEqual(['trade.submitted'])
    },
  )

  test('RDQ-04 all users halted, no such order - rejected once its absence is proved', async () => {
    const world = await openWorld({ seed: 46 })
    world.broker.fail('submit', { kind: 'rate_limit', retryAfterMs: 3_000 })
    world.submit({ ...resting, tradeId: 't2' })
    await world.settle()
    world.store.loseLast(2)
    expect(await world.order('t2')).toBeNull()
    await world.store.controls.setHalt({ scope: 'global' }, halt)
    await world.advance(5_000)
    expect(world.told('t2')).toEqual([])
    await world.quiesce({ withinMs: 1_200_000 })
    expect(world.told('t2')).toEqual(['trade.rejected'])
  })

  test('RDQ-04 the broker cannot be queried - no event until it answers', async () => {
    const world = await forgotten()
    world.cancel()
    await world.settle()
    world.broker.fail('findByClientOrderId', { kind: 'lose_reply' }, { times: 3 })
    world.queue.redeliver(world.submit(resting))
    await world.settle()
    expect(world.told('t1')).toEqual([])
    await world.quiesce()
    expect(world.told('t1')).toEqual(['trade.submitted', 'trade.cancelled'])
  })

  describe('RDQ-04 the read of its account is lost too, and the loss is long ago', () => {
    const order = { ...resting, notAfter: '2024-03-15T14:00:10.000Z' }

    /** The account cannot be read again, and the job comes back when it has become too late. */
    async function late(): Promise<World> {
      const world = await openWorld({ seed: 48 })
      world.submit(order)
      await world.settle()
      world.broker.fail('readPortfolio', { kind: 'error_before' }, { times: Infinity })
      world.store.loseLast(1_000)
      Object.assign(world.store, { losses: 0, lostMs: -Infinity }) // long ago
      await world.advance(10_000)
      expect([await world.order('t1'), world.told('t1')]).toEqual([null, []])
      return world
    }

    test('RDQ-04 the broker has the order - looked up, and not rejected', async () => {
      const world = await late()
      world.queue.redeliver(world.submit(order))
      await world.settle()
      expect(world.told('t1')).toEqual(['trade.submitted'])
      world.broker.mend()
      await world.advance(10_000)
      world.fill('t1', '149')
      await world.quiesce()
      expect(world.told('t1')).toEqual(['trade.submitted', 'trade.filled'])
      expect(world.anomalies()).toEqual([])
    })

    test('RDQ-04 the broker cannot be queried for an hour - no event is sent', async () => {
      const world = await late()
      world.broker.fail('findByClientOrderId', { kind: 'lose_request' }, { times: Infinity })
      world.queue.redeliver(world.submit(order))
      await world.advance(60 * 60_000)
      expect([world.told('t1'), world.queue.stateOf(submitJobId('u1', 't1'))]).toEqual([
        [],
        'waiting',
      ])
      world.broker.mend()
      await world.quiesce()
      expect(world.told('t1')).toEqual(['trade.submitted'])
    })
  })

  test('RDQ-04 the claim is lost before a refusal - rejected once absence is proved', async () => {
    const world = await openWorld({ seed: 47 })
    world.broker.fail('submit', { kind: 'refuse' }, { times: Infinity })
    world.at('submit.answered', () => world.store.loseLast(1))
    world.submit()
    await world.advance(5_000)
    expect([world.store.losses, world.told('t1')]).toEqual([1, []])
    await world.quiesce({ withinMs: 1_200_000 })
    expect(world.told('t1')).toEqual(['trade.rejected'])
  })

  test('RDQ-04 a canceled order, not submitted again - read when the store is back', async () => {
    const world = await openWorld({ seed: 46 })
    world.submit(resting)
    await world.advance(2_000)
    world.cancel()
    await world.advance(2_000)
    expect((await world.order('t1'))?.status).toBe('canceled')
    world.store.loseLast(4)
    const { account, orders } = await world.store.loadConnection('u1', 'broker_1')
    expect([account === null, orders]).toEqual([false, []])
    world.storeReturns()
    await world.quiesce()
    expect((await world.order('t1'))?.status).toBe('canceled')
  })

  test('RDQ-04 an order rejected late, its job done - read again after the loss', async () => {
    const world = await openWorld({ seed: 46 })
    const job = world.submit()
    await world.advance(2_000)
    world.broker.move('b-1', 'rejected')
    await world.advance(2_000)
    expect([(await world.order('t1'))?.status, world.queue.stateOf(job)]).toEqual([
      'rejected',
      'completed',
    ])
    world.loseLast(3, 1_000)
    expect(await world.order('t1')).toBeNull()
    await world.quiesce({ withinMs: 60_000 })
    expect((await world.order('t1'))?.status).toBe('rejected')
  })
})

describe('RDQ-04 the end of an order is lost, and its execution is read first', () => {
  /**
   * The order executes and ends shortly before the executions are read, once a minute; then that is
   * lost, and no worker notices.
   */
  async function lost(
    order: Parameters<World['submit']>[0],
    end: (world: World) => void,
  ): Promise<World> {
    const world = await openWorld({ seed: 61 })
    await world.advance(46_000)
    world.submit(order)
    await world.advance(2_000)
    end(world)
    await world.advance(1_000)
    expect((await world.order('t1'))?.endedAt).not.toBeNull()
    while ((await world.order('t1'))?.cumulativeQuantity !== '0') world.store.loseLast(1)
    expect((await world.order('t1'))?.status).toBe('submitted')
    return world
  }

  test.each([
    [
      'an order in money',
      { quantity: null, notional: '4561' },
      'filled',
      (world: World) => world.fill('t1', '178'),
    ],
    [
      'an order canceled elsewhere after a partial fill',
      { orderType: 'limit', limitPrice: '180' } as const,
      'cancelled',
      (world: World) => {
        world.fill('t1', '178', '40')
        world.broker.move('b-1', 'canceled')
      },
    ],
  ])('RDQ-04 %s - its end is sent', async (_what, order, ending, end) => {
    const world = await lost(order, end)
    await world.advance(30_000)
    expect(world.told('t1').at(-1)).toBe(`trade.${ending}`)
    await world.quiesce()
  })
})
