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

  test('RDQ-04 and it is canceled before it is asked for again: the broker is asked, and it is canceled there', async () => {
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

  test('RDQ-04 and it is canceled, and its own session meets it first: the cancel that waited is carried out', async () => {
    const world = await forgotten()
    world.cancel()
    await world.advance(35_000)
    expect(world.told('t1')).toEqual(['trade.submitted', 'trade.cancelled'])
    expect([...world.broker.orders.values()].map(({ status }) => status)).toEqual(['canceled'])
  })

  test('RDQ-04 and it has become too late to send it: it is not told as refused', async () => {
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

  // The halt of everybody is read behind the claim, those of a user before it.
  test.each([
    ['its user', { scope: 'user', userId: 'u1' }],
    ['everybody', { scope: 'global' }],
  ] as const)('RDQ-04 and %s was halted since: it is not told as refused', async (_who, target) => {
    const world = await forgotten()
    await world.store.controls.setHalt(target, halt)
    world.queue.redeliver(world.submit(resting))
    await world.settle()
    expect(world.told('t1')).toEqual(['trade.submitted'])
  })

  test.each([
    ['it becomes too late to send it', {}, { notAfter: '2024-03-15T14:00:05.000Z' }],
    ['its user is limited', { orderNotionalMax: '10' }, {}],
  ])(
    'RDQ-04 while its request is under way, and %s: it is not told as refused',
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

  test('RDQ-04 many are limited after the loss: each waits for its end, and is looked up no more than twice', async () => {
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

  test('RDQ-04 and it becomes too late to send it right behind the claim: it is not told as refused', async () => {
    const order = { ...resting, notAfter: '2024-03-15T14:00:03.000Z' }
    const world = await forgotten(order)
    world.queue.redeliver(world.submit(order))
    world.freezeAt('submit.sending', 2_000)
    await world.advance(3_000)
    expect(world.told('t1')).toEqual(['trade.submitted'])
    expect(world.broker.submissions).toHaveLength(1)
  })

  test.each([
    ['shows it at once', 0],
    ['shows it after a while', 4_000],
  ])(
    'RDQ-04 and the broker refuses it when it is sent again, and %s: it is not told as rejected',
    async (_how, lagMs) => {
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
    },
  )

  test('RDQ-04 everybody is halted, and the broker cannot be asked: nothing is told until it can', async () => {
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

  test('RDQ-04 it was parked, its request lost, and its user halted: it is looked up before it is told as refused', async () => {
    const world = await openWorld({ seed: 46 })
    world.broker.fail('submit', { kind: 'rate_limit', retryAfterMs: 5_000 })
    world.submit(resting)
    await world.settle()
    world.broker.isMute = true
    world.at('submit.answered', (process) => {
      world.store.loseLast(1) // what it wrote before its second request
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
    ['everybody', { scope: 'global' }],
  ] as const)(
    'RDQ-04 %s is halted, and the job that has sent it comes back before the broker shows it: it is not told as refused',
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

  test('RDQ-04 everybody is halted, and the broker has no such order: it is told as refused once its absence is proved', async () => {
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

  test('RDQ-04 while the broker cannot be asked, nothing is told', async () => {
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

  describe('RDQ-04 and with it the reading of its account, so long ago that nobody knows of the loss any more', () => {
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

    test('RDQ-04 the broker is asked before the trade is told as ended: it has the order', async () => {
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

    test('RDQ-04 while the broker cannot be asked, nothing is told, for however long', async () => {
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

  test('RDQ-04 the claim is lost before the broker refuses: the trade is told as rejected once its absence is proved', async () => {
    const world = await openWorld({ seed: 47 })
    world.broker.fail('submit', { kind: 'refuse' }, { times: Infinity })
    world.at('submit.answered', () => world.store.loseLast(1))
    world.submit()
    await world.advance(5_000)
    expect([world.store.losses, world.told('t1')]).toEqual([1, []])
    await world.quiesce({ withinMs: 1_200_000 })
    expect(world.told('t1')).toEqual(['trade.rejected'])
  })

  test('RDQ-04 an order that ended as well, and that nobody asks for again: it is read when the store is back', async () => {
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

  test('RDQ-04 an order that the broker rejected late as well, by a store that dies: its job is done, and it is read all the same', async () => {
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

describe('RDQ-04 the end of an order is lost, and its execution is read before anything else', () => {
  /**
   * The order executes and ends shortly before the executions are read, once a minute; then that is
   * lost, and nobody notices.
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
      'it was sized in money',
      { quantity: null, notional: '4561' },
      'filled',
      (world: World) => world.fill('t1', '178'),
    ],
    [
      'it was canceled elsewhere after a part of it',
      { orderType: 'limit', limitPrice: '180' } as const,
      'cancelled',
      (world: World) => {
        world.fill('t1', '178', '40')
        world.broker.move('b-1', 'canceled')
      },
    ],
  ])('RDQ-04 %s: it ends all the same', async (_what, order, ending, end) => {
    const world = await lost(order, end)
    await world.advance(30_000)
    expect(world.told('t1').at(-1)).toBe(`trade.${ending}`)
    await world.quiesce()
  })
})

describe('RDQ-04 the record of a bracket is lost, and its session still knows whose the exits are', () => {
  const exits = { takeProfit: { limitPrice: '190' }, stopLoss: { stopPrice: '170' } }

  /**
   * Filled at the entry; of the trade nothing is left here. The exits are the broker's second and
   * third order.
   */
  async function forgotten(): Promise<World> {
    const world = await openWorld({ seed: 48 })
    world.submit({ orderClass: 'bracket', orderType: 'limit', limitPrice: '180', ...exits })
    await world.advance(1_000)
    world.fill('t1', '180')
    await world.advance(1_000)
    while ((await world.order('t1')) !== null) world.store.loseLast(1)
    expect(world.store.accountOf('u1', 'broker_1')).not.toBeNull()
    return world
  }

  test.each([
    [
      'an exit executes',
      (world: World) => world.broker.fill('b-2', '190'),
      ['submitted', 'filled'],
    ],
    [
      'an exit is moved',
      (world: World) => world.broker.move('b-3', 'new'),
      ['submitted', 'filled'],
    ],
  ])('RDQ-04 %s: the record begins with the entry all the same', async (_what, happen, told) => {
    const world = await forgotten()
    happen(world)
    await world.quiesce()
    expect(await world.order('t1')).toMatchObject({
      side: 'buy',
      orderType: 'limit',
      quantity: '100',
    })
    expect((await world.order('t1'))?.placements.map(({ leg }) => leg)).toEqual([
      'entry',
      'takeProfit',
      'stopLoss',
    ])
    expect(world.told('t1').map((event) => event.replace('trade.', ''))).toEqual(told)
  })

  test('RDQ-04 the whole account is lost, and the entry ended too long ago to be listed', async () => {
    const world = await forgotten()
    const entry = world.broker.orders.get('b-1')!
    world.broker.orders.set('b-1', { ...entry, submittedAt: '2024-03-01T14:00:00.000000000Z' })
    world.store.loseLast(1_000)
    await world.quiesce()
    expect(await world.order('t1')).toMatchObject({ side: 'buy', status: 'filled' })
    expect((await world.order('t1'))?.placements.map(({ leg }) => leg)).toEqual([
      'entry',
      'takeProfit',
      'stopLoss',
    ])
  })
})
