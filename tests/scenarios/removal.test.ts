import { describe, expect, test } from 'vitest'
import { replaceOrderSchema } from '#contract'
import { clientOrderIdOf } from '#domain'
import { openWorld, type World } from './world.ts'

const MINUTE_MS = 60_000

/** One order open, half executed; another one on its way when the connection is removed. */
async function opened(seed: number): Promise<World> {
  const world = await openWorld({ seed })
  world.submit({ tradeId: 't1', quantity: '100', orderType: 'limit', limitPrice: '180' })
  await world.advance(3_000)
  world.fill('t1', '180', '40')
  await world.advance(1_000)
  return world
}

const openAtBroker = (world: World): string[] =>
  [...world.broker.orders.values()].flatMap(({ status, clientOrderId }) =>
    ['new', 'accepted', 'partially_filled'].includes(status) ? [clientOrderId] : [],
  )

/** Only archived records of the connection are left, and the user got one event of the removal. */
async function expectGone(world: World): Promise<void> {
  const { account, positions, orders } = await world.store.loadConnection('u1', 'broker_1')
  // Later submissions were refused, because the connection is gone.
  const held = orders.filter(({ status }) => status !== 'denied')
  expect({ account, positions: positions.size, orders: held }).toEqual({
    account: null,
    positions: 0,
    orders: [],
  })
  expect(await world.store.controls.read('u1')).toMatchObject({ connections: [] })
  const events = world.events().filter((event) => event !== 'trade.rejected')
  expect(events.slice(-2)).toEqual(['error.brokerDisconnected', 'state.resync'])
  expect((await world.order('t1'))?.cumulativeQuantity).toBe('40') // the trade id stays taken
}

describe('MUL-07 an account is unlinked with open orders', () => {
  test('MUL-07 cancel first - removed once no order is open at the broker', async () => {
    const world = await opened(1)
    await world.disconnect('cancel')
    await world.advance(MINUTE_MS)
    expect(openAtBroker(world)).toEqual([])
    expect(world.told('t1').slice(-1)).toEqual(['trade.cancelled'])
    await expectGone(world)
  })

  test('MUL-07 leave open - the orders stay at the broker, later fills send no event', async () => {
    const world = await opened(2)
    await world.disconnect('leave')
    await world.advance(MINUTE_MS)
    expect(openAtBroker(world)).toHaveLength(1)
    await expectGone(world)
    const told = world.events().length
    world.fill('t1', '180')
    await world.advance(MINUTE_MS)
    expect(world.events()).toHaveLength(told)
  })

  test('MUL-07 a submission after the request to remove - rejected, not sent', async () => {
    const world = await opened(3)
    await world.disconnect('cancel')
    world.submit({ tradeId: 't2' })
    await world.advance(MINUTE_MS)
    expect(
      world.broker.submissions.map(({ clientOrderId }) => clientOrderId.endsWith('-t1')),
    ).toEqual([true])
    expect(world.told('t2')).toEqual(['trade.rejected'])
    expect(await world.store.controls.read('u1')).toMatchObject({ connections: [] })
  })

  test('MUL-07 store lost during a removal - the restored connection is removed too', async () => {
    const world = await openWorld({ seed: 5, isWhole: true })
    world.submit({ tradeId: 't1', quantity: '100', orderType: 'limit', limitPrice: '180' })
    await world.advance(3_000)
    world.broker.holdsCancels = true
    await world.disconnect('cancel')
    await world.advance(5_000)
    world.at('controls.remove', () => world.store.wipe())
    world.broker.holdsCancels = false
    world.broker.move(clientOrderIdOf('u1', 't1'), 'canceled')
    await world.advance(3 * MINUTE_MS)
    expect(world.store.losses).toBe(1)
    expect(await world.store.controls.read('u1')).toMatchObject({ connections: [] })
  })

  const steps = [
    'connections.find',
    'connections.find answered',
    'store.loadConnection',
    'store.loadConnection answered',
    'store.commit',
    'store.commit answered',
    'controls.remove',
    'controls.remove answered',
    'leases.revoke',
    'leases.revoke answered',
    'broker.cancel',
    'broker.cancel answered',
  ]
  test.each(steps)(
    'MUL-07 a worker dies at %s - the next worker finishes the removal',
    async (step) => {
      const world = await opened(4)
      await world.disconnect('cancel')
      world.crashAt(step)
      await world.advance(3 * MINUTE_MS)
      expect(openAtBroker(world)).toEqual([])
      await expectGone(world)
      expect(world.events().filter((event) => event === 'error.brokerDisconnected')).toHaveLength(1)
    },
  )
})

describe('MUL-07 a removal whose job is gone', () => {
  test.each(['cancel', 'leave'] as const)(
    'MUL-07 later checks finish the removal, with %s',
    async (openOrders) => {
      const world = await opened(5)
      await world.disconnect(openOrders)
      for (const id of world.queue.ids()) if (id.startsWith('disconnect')) world.queue.giveUp(id)
      const ref = { userId: 'u1', connectionId: 'broker_1' }
      world.queue.repeat('check', () => MINUTE_MS, 'connections', 'checkConnection', ref)
      await world.advance(4 * MINUTE_MS)
      expect(openAtBroker(world)).toHaveLength(openOrders === 'cancel' ? 0 : 1)
      await expectGone(world)
    },
  )
})

describe('MUL-07 a removal whose keys are refused', () => {
  const ref = { userId: 'u1', connectionId: 'broker_1' } as const

  /** One order open; the keys are found refused, and only then the connection is removed. */
  async function refused(seed: number): Promise<World> {
    const world = await openWorld({ seed, isWhole: true })
    world.submit({ tradeId: 't1', quantity: '100', orderType: 'limit', limitPrice: '180' })
    await world.advance(3_000)
    world.fill('t1', '180', '40')
    await world.advance(1_000)
    world.accounts.revokeKeys(ref)
    await world.advance(3 * MINUTE_MS)
    await world.disconnect('cancel')
    await world.advance(5 * MINUTE_MS)
    expect(openAtBroker(world)).toHaveLength(1)
    expect(await world.store.controls.read('u1')).toMatchObject({
      connections: [{ connectionId: 'broker_1' }],
    })
    return world
  }

  test('MUL-07 the keys work again - the orders are canceled, the account is removed', async () => {
    const world = await refused(7)
    world.submit({ tradeId: 't2' })
    world.accounts.restoreKeys(ref)
    await world.advance(4 * MINUTE_MS)
    expect(openAtBroker(world)).toEqual([])
    expect(world.broker.submissions).toHaveLength(1)
    await expectGone(world)
    await world.quiesce()
  })

  test('MUL-07 the keys stay refused - the user leaves the orders open, and it ends', async () => {
    const world = await refused(8)
    await world.disconnect('leave')
    await world.advance(MINUTE_MS)
    expect(openAtBroker(world)).toHaveLength(1)
    await expectGone(world)
  })

  test('MUL-07 while the removal waits - at most one waiting check', async () => {
    const world = await refused(9)
    await world.advance(10 * MINUTE_MS)
    const waiting = world.queue
      .ids()
      .filter((id) => /^(now-)?check-/.test(id) && world.queue.stateOf(id) === 'waiting')
    expect(waiting.length).toBeLessThanOrEqual(1)
  })
})

describe('MUL-07 submissions after a removal', () => {
  test('MUL-07 a sent order lost by the store - not rejected after the removal', async () => {
    const world = await openWorld({ seed: 6, isWhole: true })
    const job = world.submit()
    await world.settle()
    world.broker.fail('read', { kind: 'error_before' }, { times: Infinity })
    world.store.wipe()
    await world.advance(2_000)
    await world.disconnect('leave')
    await world.advance(MINUTE_MS)
    world.fill('t1', '180')
    world.queue.redeliver(job)
    await world.advance(MINUTE_MS)
    expect(world.told('t1')).not.toContain('trade.rejected')
    expect(world.queue.stateOf(job)).toBe('completed')
  })

  test('MUL-07 store lost after the removal, trade submitted again - not rejected', async () => {
    const world = await openWorld({ seed: 6, isWhole: true })
    const job = world.submit({ orderType: 'limit', limitPrice: '150' })
    await world.advance(3_000)
    await world.disconnect('leave')
    await world.advance(MINUTE_MS)
    world.store.wipe()
    await world.advance(10_000)
    world.queue.forget(job)
    world.submit({ orderType: 'limit', limitPrice: '150' })
    await world.advance(MINUTE_MS)
    expect(openAtBroker(world)).toHaveLength(1)
    expect(world.told('t1')).toEqual([])
    expect(world.queue.stateOf(job)).toBe('completed')
  })

  test('MUL-07 record lost, the worker does not know of the removal yet - not rejected', async () => {
    const world = await openWorld({ seed: 6, isWhole: true })
    await world.advance(MINUTE_MS)
    const job = world.submit()
    await world.settle()
    world.store.loseLast(2)
    expect(await world.order('t1')).toBeNull()
    await world.store.controls.remove({ userId: 'u1', connectionId: 'broker_1' })
    world.queue.redeliver(job)
    await world.settle()
    expect([world.told('t1'), world.queue.stateOf(job)]).toEqual([[], 'completed'])
  })

  test('MUL-07 a refused order, then the removal again - the user gets one event', async () => {
    const world = await openWorld({ seed: 5, isWhole: true })
    await world.disconnect('leave')
    await world.advance(MINUTE_MS)
    world.submit({ tradeId: 't9' })
    await world.advance(MINUTE_MS)
    expect(world.told('t9')).toEqual(['trade.rejected'])
    await world.quiesce()
    await world.repeatAll()
    expect(world.events().filter((event) => event === 'error.brokerDisconnected')).toHaveLength(1)
  })
})

describe('MUL-07 a removal in the middle of work on an order', () => {
  /**
   * The worker stands still at a step of the work that `ask` queues; meanwhile another one removes
   * the connection.
   */
  async function overtaken(
    step: string,
    skip: number,
    ask: (world: World) => void,
  ): Promise<World> {
    const world = await openWorld({ seed: 7, workers: 2, isWhole: true })
    world.submit({ tradeId: 't1', quantity: '100', orderType: 'limit', limitPrice: '180' })
    await world.advance(3_000)
    world.fill('t1', '180', '40')
    await world.advance(3_000)
    let hasMet = false
    world.at(
      step,
      (process) => {
        hasMet = true
        process.freeze()
        world.later(10_000, () => process.thaw())
        world.later(0, () => void world.disconnect('leave'))
      },
      skip,
    )
    ask(world)
    await world.advance(MINUTE_MS)
    expect(hasMet).toBe(true)
    return world
  }

  const trade = { userId: 'u1', connectionId: 'broker_1', tradeId: 't1', commandId: 'r1' }
  const replace = (world: World): unknown =>
    world.queue.add(
      'commands',
      'replaceOrder',
      replaceOrderSchema.parse({ ...trade, limitPrice: '181' }),
      'r1',
    )
  const cancel = (world: World): unknown => world.cancel('t1')

  test.each([
    ['a replacement', 'is noted', 'store.commit', 0, replace],
    ['a replacement', 'asks for permission', 'store.commit', 1, replace],
    ['a replacement', 'was answered', 'broker.replace answered', 0, replace],
    ['a cancel', 'is noted', 'store.commit', 0, cancel],
    ['a cancel', 'was answered', 'broker.cancel answered', 0, cancel],
  ] as const)('MUL-07 %s %s - the order stays in the archive', async (_, __, step, skip, ask) => {
    const world = await overtaken(step, skip, ask)
    await expectGone(world)
  })

  test('MUL-07 an order is filled after linking again - its cost is exact enough', async () => {
    const world = await openWorld({ seed: 12, isWhole: true })
    world.submit({ tradeId: 't1', quantity: '36', orderType: 'limit', limitPrice: '180' })
    await world.advance(3_000)
    world.fill('t1', '177.98', '22')
    world.fill('t1', '179.84', '13')
    await world.advance(MINUTE_MS)
    await world.disconnect('leave')
    await world.advance(MINUTE_MS)
    await world.accounts.connect(
      { userId: 'u1', connectionId: 'broker_1' },
      { accountNumber: world.broker.accountId },
    )
    await world.advance(MINUTE_MS)
    world.fill('t1', '171.61', '1')
    await world.quiesce()
    expect(world.told('t1').slice(-1)).toEqual(['trade.filled'])
  })

  test('MUL-07 a correction just before the removal - found on return, no event is sent', async () => {
    const world = await openWorld({ seed: 13, isWhole: true })
    world.submit({ tradeId: 't1', quantity: '5' })
    await world.advance(3_000)
    world.fill('t1', '180')
    await world.advance(MINUTE_MS)
    world.broker.isMute = true
    world.broker.correct(world.clientOrderId('t1'), { quantity: '4', price: '183.72' })
    await world.disconnect('leave')
    await world.advance(MINUTE_MS)
    await world.accounts.connect(
      { userId: 'u1', connectionId: 'broker_1' },
      { accountNumber: world.broker.accountId },
    )
    await world.quiesce()
    expect(world.told('t1')).toEqual(['trade.submitted', 'trade.filled'])
    const { positions } = await world.store.loadConnection('u1', 'broker_1')
    expect(positions.get('AAPL')).toMatchObject({ quantity: '4' })
  })
})

describe('MUL-07 an account is unlinked with a quarantined order', () => {
  /** Another order has the id of ours; the removal is to cancel first. */
  async function quarantined(): Promise<World> {
    const world = await openWorld({ seed: 14, isWhole: true })
    const other = await openWorld({ seed: 14 })
    other.submit({ quantity: '99', orderType: 'limit', limitPrice: '150' })
    await other.settle()
    for (const foreign of other.broker.orders.values())
      world.broker.orders.set(foreign.brokerOrderId, foreign)
    world.submit({ orderType: 'limit', limitPrice: '150' })
    await world.advance(20_000)
    expect((await world.order('t1'))?.setAsideAt).toBeTypeOf('string')
    await world.disconnect('cancel')
    return world
  }

  test('MUL-07 the removal waits with an alarm, and no order is canceled', async () => {
    const world = await quarantined()
    await world.quiesce()
    expect(await world.store.controls.read('u1')).toMatchObject({
      connections: [{ connectionId: 'broker_1' }],
    })
    expect([openAtBroker(world).length, world.broker.cancels, world.told('t1')]).toEqual([
      1,
      [],
      [],
    ])
    expect(world.warnings.join('')).toContain('order.set_aside')
  })

  test('MUL-07 the removal ends when the user leaves the orders open', async () => {
    const world = await quarantined()
    await world.advance(MINUTE_MS)
    await world.disconnect('leave')
    await world.advance(MINUTE_MS)
    expect(await world.store.controls.read('u1')).toMatchObject({ connections: [] })
    expect(openAtBroker(world)).toHaveLength(1)
  })
})
