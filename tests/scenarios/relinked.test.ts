import { describe, expect, test } from 'vitest'
import { commandJobId, limitsSchema, replaceOrderSchema, type SubmitOrder } from '#contract'
import { clientOrderIdOf, commandsOf } from '#domain'
import { openWorld, type World } from './world.ts'

const MINUTE_MS = 60_000
const ref = { userId: 'u1', connectionId: 'broker_1' }
const resting = { quantity: '100', orderType: 'limit', limitPrice: '180' } as const

function replace(world: World, commandId: string, limitPrice: string): string {
  const command = replaceOrderSchema.parse({ ...ref, tradeId: 't1', commandId, limitPrice })
  const jobId = commandJobId('replaceOrder', 'u1', 't1', commandId)
  return world.queue.add('commands', 'replaceOrder', command, jobId)
}

/** An order that rests at the broker, part of it executed. */
async function opened(seed: number): Promise<World> {
  const world = await openWorld({ seed, isWhole: true })
  world.submit(resting)
  await world.advance(3_000)
  world.fill('t1', '180', '40')
  await world.advance(1_000)
  return world
}

/** Removes the connection, and leaves its orders open. */
async function remove(world: World): Promise<void> {
  await world.disconnect('leave')
  await world.advance(MINUTE_MS)
  expect((await world.store.loadConnection('u1', 'broker_1')).orders).toEqual([])
}

/** The same account is linked again, and read. */
async function link(world: World): Promise<void> {
  await world.accounts.connect(ref, { accountNumber: world.broker.accountId })
  await world.advance(MINUTE_MS)
  expect((await world.store.loadConnection('u1', 'broker_1')).orders).toMatchObject([
    { id: 't1', endedAt: null },
  ])
}

const outcomes = async (world: World): Promise<string[]> => {
  const order = await world.order('t1')
  return order === null
    ? []
    : commandsOf(order).map(({ commandId, outcome }) => `${commandId} ${outcome}`)
}

async function expectNoNews(world: World, doing: () => void): Promise<void> {
  const before = { events: world.events(), orders: [...world.broker.orders.values()] }
  doing()
  await world.advance(MINUTE_MS)
  expect({ events: world.events(), orders: [...world.broker.orders.values()] }).toEqual(before)
}

describe('MUL-07 an account is unlinked with open orders and linked again', () => {
  test('MUL-07 a replacement done before the removal - not done again', async () => {
    const world = await opened(1)
    const job = replace(world, 'r1', '181')
    await world.advance(10_000)
    replace(world, 'r2', '182')
    await world.advance(10_000)
    await remove(world)
    await link(world)
    expect(await outcomes(world)).toEqual(['r1 done', 'r2 done'])
    await expectNoNews(world, () => world.queue.redeliver(job))
  })

  test('MUL-07 a command refused in between - stays refused', async () => {
    const world = await opened(2)
    await remove(world)
    const jobs = [world.cancel('t1', 'c1'), replace(world, 'r1', '181')]
    await world.advance(10_000)
    await link(world)
    await expectNoNews(world, () => jobs.forEach((job) => world.queue.redeliver(job)))
    expect((await outcomes(world)).toSorted()).toEqual(['c1 refused', 'r1 refused'])
  })

  test('MUL-07 a cancel pending at the removal - refused, and a new cancel works', async () => {
    const world = await opened(3)
    world.broker.holdsCancels = true
    const job = world.cancel('t1', 'c1')
    await world.advance(5_000)
    await remove(world)
    world.broker.settleCancel(world.clientOrderId('t1'), 'new')
    world.broker.holdsCancels = false
    await link(world)
    await expectNoNews(world, () => world.queue.redeliver(job))
    expect(await outcomes(world)).toEqual(['c1 refused'])
    world.cancel('t1', 'c2')
    await world.quiesce()
    expect(await outcomes(world)).toEqual(['c1 refused', 'c2 done'])
  })

  test('MUL-07 a cancel of the removal, delivered after linking again - has no effect', async () => {
    const world = await opened(4)
    world.broker.holdsCancels = true
    await world.disconnect('cancel')
    await world.advance(5_000)
    const jobs = world.queue.ids().filter((id) => id.startsWith('cancel-'))
    expect(jobs).toHaveLength(1)
    await remove(world)
    world.broker.settleCancel(world.clientOrderId('t1'), 'new')
    world.broker.holdsCancels = false
    await link(world)
    await expectNoNews(world, () => jobs.forEach((job) => world.queue.redeliver(job)))
  })

  test('MUL-07 replacements pending or waiting at the removal - the next one works', async () => {
    const world = await opened(5)
    world.broker.holdsReplaces = true
    replace(world, 'r1', '181')
    await world.advance(1_000)
    replace(world, 'r2', '182')
    await world.advance(5_000)
    await remove(world)
    world.broker.settleReplace(clientOrderIdOf('u1', 't1', '0.1'))
    world.broker.holdsReplaces = false
    await link(world)
    replace(world, 'r3', '183')
    await world.quiesce()
    expect(await outcomes(world)).toEqual(['r1 done', 'r2 overtaken', 'r3 done'])
  })

  test('MUL-07 the used trade id with other parameters - refused', async () => {
    const world = await opened(6)
    await remove(world)
    await link(world)
    world.queue.forget(world.queue.ids().find((id) => id.startsWith('submit-')) ?? '')
    const job = world.submit({ ...resting, quantity: '7' })
    await world.advance(MINUTE_MS)
    expect(world.queue.whyOf(job)).toContain('already used with other parameters')
    expect(world.broker.submissions).toHaveLength(1)
  })
})

test('C2 the cost of an order read again - as exact as the average of the broker', async () => {
  const world = await openWorld({ seed: 12, isWhole: true })
  world.submit({ ...resting, quantity: '30' })
  await world.advance(3_000)
  const execute = (...parts: readonly (readonly [quantity: string, price: string])[]): void =>
    parts.forEach(([quantity, price]) => world.fill('t1', price, quantity))
  execute(
    ['4', '181.19'],
    ['18', '180.34'],
    ['1', '180'],
    ['1', '180'],
    ['1', '180'],
    ['2', '173.76'],
  )
  await world.advance(1_000)
  await remove(world)
  await link(world)
  execute(['2', '173.03'], ['1', '185.62'])
  await world.quiesce()
  expect(world.entries('t1', 'trade.filled')).toMatchObject([{ totalCost: 5390.080000034 }])
})

describe('MUL-07 an earlier order is listed only after the first read', () => {
  /**
   * What was ordered here is left open, and the broker lists it a moment after the account was
   * linked again.
   */
  async function linkedUnseen(
    seed: number,
    order: Partial<SubmitOrder> = resting,
    before: (world: World) => void = () => {},
  ): Promise<World> {
    const world = await openWorld({ seed, isWhole: true, clients: true })
    world.submit({ tradeId: 't0', symbol: 'MSFT' })
    await world.advance(1_000)
    world.fill('t0', '100')
    await world.advance(3_000)
    world.submit(order)
    await world.advance(3_000)
    before(world)
    await world.advance(1_000)
    await world.disconnect('leave')
    await world.advance(10_000)
    world.broker.visibleAfterMs = MINUTE_MS
    await world.accounts.connect(ref, { accountNumber: world.broker.accountId })
    await world.advance(10_000)
    world.broker.visibleAfterMs = 0
    const { account, orders } = await world.store.loadConnection('u1', 'broker_1')
    expect([account !== null, orders.some(({ id }) => id === 't1')]).toEqual([true, false])
    return world
  }

  const untilListed = (world: World): Promise<void> => world.advance(31_000)

  test('MUL-07 the order is open again and counts against the limits', async () => {
    const world = await linkedUnseen(8)
    await untilListed(world)
    expect(await world.order('t1')).toMatchObject({ status: 'submitted', cumulativeQuantity: '0' })
    const limits = limitsSchema.parse({ positionNotionalMax: '20000' })
    await world.store.controls.setLimits({ scope: 'user', userId: 'u1' }, limits)
    await world.advance(10_000)
    world.submit({ ...resting, tradeId: 't2', quantity: '20' })
    await world.settle()
    expect(world.told('t2')).toEqual(['trade.rejected'])
    world.fill('t1', '180', '40')
    await world.quiesce()
    expect(world.events().filter((event) => event === 'trade.partialFill')).toHaveLength(1)
  })

  test.each([
    ['executes', (world: World) => world.fill('t1', '180', '40'), 'trade.partialFill'],
    [
      'ends',
      (world: World) => void world.broker.move(world.clientOrderId('t1'), 'canceled'),
      'trade.cancelled',
    ],
  ])('MUL-07 clients get state.resync before the order %s', async (_, happens, event) => {
    const world = await linkedUnseen(9)
    happens(world)
    await world.advance(1_000)
    const told = world.events()
    expect(told.slice(told.indexOf(event) - 1, told.indexOf(event) + 1)).toEqual([
      'state.resync',
      event,
    ])
    await world.quiesce()
  })

  test('MUL-07 the position has its stop again', async () => {
    const stop = { symbol: 'MSFT', side: 'sell', orderType: 'stop', stopPrice: '90' } as const
    const world = await linkedUnseen(10, stop)
    await untilListed(world)
    const { positions } = await world.store.loadConnection('u1', 'broker_1')
    expect(positions.get('MSFT')).toMatchObject({ stopLossPrice: '90', stopLossFrom: 't1' })
    await world.quiesce()
  })

  test('MUL-07 a pending cancel is over, and a new cancel works', async () => {
    const world = await linkedUnseen(11, resting, (before) => {
      before.broker.holdsCancels = true
      before.cancel('t1', 'c1')
    })
    world.broker.settleCancel(world.clientOrderId('t1'), 'new')
    world.broker.holdsCancels = false
    await untilListed(world)
    expect(await outcomes(world)).toEqual(['c1 refused'])
    world.cancel('t1', 'c2')
    await world.quiesce()
    expect(await outcomes(world)).toEqual(['c1 refused', 'c2 done'])
  })
})

describe('MUL-07 a removal stops half way, and another account is linked', () => {
  test.each([
    ['its job comes back', false],
    ['its job is lost', true],
  ])(
    'MUL-07 the data of the first account is deleted, the other one is read - %s',
    async (_, isLost) => {
      const world = await openWorld({ seed: 7, isWhole: true })
      world.submit(resting)
      await world.advance(3_000)
      // The last worker that could finish the removal dies after it erased the connection.
      world.at('leases.revoke answered', (process) => process.kill())
      await world.disconnect('leave')
      await world.advance(1_000)
      expect(await world.store.controls.read('u1')).toMatchObject({ connections: [] })
      if (isLost)
        world.queue.forget(world.queue.ids().find((id) => id.startsWith('disconnect-')) ?? '')
      await world.accounts.connect(ref)
      world.startWorker()
      await world.advance(5 * MINUTE_MS)
      const { account, positions, orders } = await world.store.loadConnection('u1', 'broker_1')
      const { accountId } = world.accounts.brokerOf(ref)
      expect({ account: account?.brokerAccountId, positions: positions.size, orders }).toEqual({
        account: accountId,
        positions: 0,
        orders: [],
      })
      const last = world.events().slice(world.events().lastIndexOf('error.brokerDisconnected'))
      expect(last).toContain('broker.connected')
    },
  )
})
