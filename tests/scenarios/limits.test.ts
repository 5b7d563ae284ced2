import { describe, expect, test } from 'vitest'
import {
  closePositionSchema,
  limitsSchema,
  type LimitsRequest,
  replaceOrderSchema,
  type ReplaceOrder,
} from '#contract'
import { openWorld, type World } from './world.ts'

// Limits and halts apply to every kind of request: submissions, replacements, closes, many orders
// at once, two connections.

const of = { userId: 'u1', connectionId: 'broker_1' }
const user = { scope: 'user', userId: 'u1' } as const
const halt = { allows: 'nothing', by: 'ops', reason: 'drill', at: '2024-03-15T14:00:00Z' } as const
const rests = { orderType: 'limit', timeInForce: 'gtc' } as const

const limit = (world: World, limits: LimitsRequest): Promise<void> =>
  world.store.controls.setLimits(user, limitsSchema.parse(limits))

/** Queues a replacement of t1; answers the id of its job. */
function replace(world: World, over: Partial<ReplaceOrder>, commandId = 'r1'): string {
  const command = replaceOrderSchema.parse({ ...of, tradeId: 't1', commandId, ...over })
  world.queue.add('commands', 'replaceOrder', command, commandId)
  return commandId
}

function close(world: World, over: object = {}, tradeId = 'x1'): string {
  const command = closePositionSchema.parse({
    ...of,
    tradeId,
    commandId: `close-${tradeId}`,
    symbol: 'AAPL',
    ...over,
  })
  world.queue.add('commands', 'closePosition', command, `close-${tradeId}`)
  return `close-${tradeId}`
}

/** A buy of AAPL that rests at the broker. */
async function resting(quantity: string, limitPrice: string): Promise<World> {
  const world = await openWorld({ seed: 1 })
  world.submit({ ...rests, quantity, limitPrice })
  await world.settle()
  return world
}

/** A position in AAPL; its fill was sent. */
async function holding(quantity = '100'): Promise<World> {
  const world = await openWorld({ seed: 1 })
  world.submit({ quantity })
  await world.settle()
  world.fill('t1', '100')
  await world.settle()
  return world
}

const held = (world: World): string =>
  world.broker.ledger.books.positions.get('AAPL')?.quantity ?? '0'
const outcome = async (world: World) => (await world.order('t1'))?.replaceResults.at(-1)

describe('a replacement is judged by its resulting order', () => {
  test.each([
    ['orderNotionalMax', { orderNotionalMax: '1000' }, 'The order is worth 60000'],
    [
      'positionNotionalMax',
      { positionNotionalMax: '1000' },
      'The position in AAPL would be worth 60000',
    ],
    ['symbolsDenied', { symbolsDenied: ['AAPL'] }, 'AAPL is not among the symbols'],
  ])('with %s, an order of 1 at 50 is not replaced by 500 at 120', async (_what, limits, why) => {
    const world = await resting('1', '50')
    await limit(world, limits)
    const job = replace(world, { quantity: '500', limitPrice: '120' })
    await world.quiesce()
    expect(world.broker.replaces).toEqual([])
    expect([world.queue.stateOf(job), await outcome(world)]).toMatchObject([
      'failed',
      { outcome: 'refused', message: expect.stringContaining(why) as string },
    ])
  })

  test.each(['global', 'user', 'connection'] as const)(
    'under a halt of the %s, a larger replacement is not sent',
    async (scope) => {
      const world = await resting('1', '50')
      await world.store.controls.setHalt(scope === 'global' ? { scope } : { scope, ...of }, halt)
      const job = replace(world, { quantity: '500', limitPrice: '120' })
      await world.quiesce()
      expect([world.broker.replaces, world.queue.stateOf(job)]).toEqual([[], 'failed'])
      expect((await outcome(world))?.message).toContain('halted')
    },
  )
})

describe('positions and open orders', () => {
  test.each(['at once', 'one after another'])(
    '40 orders of 9 at 100.02, sent %s - the position stays within 1000',
    async (how) => {
      const world = await openWorld({ seed: 2 })
      await limit(world, { positionNotionalMax: '1000' })
      for (let index = 1; index <= 40; index += 1) {
        world.submit({ ...rests, tradeId: `t${index}`, quantity: '9', limitPrice: '100.02' })
        if (how === 'one after another') await world.settle()
      }
      await world.advance(5_000)
      for (const { clientOrderId } of world.broker.orders.values())
        world.broker.fill(clientOrderId, '100.02')
      await world.quiesce()
      expect(held(world)).toBe('9')
    },
  )
})

test('a connection removed and linked again - its other connection had the whole limit', async () => {
  const accounts = ['broker_1', 'broker_2'].map((connectionId) => ({ userId: 'u1', connectionId }))
  const [first, second] = accounts
  const world = await openWorld({ seed: 1, accounts, isWhole: true })
  await world.limit('u1', { positionNotionalMax: '1000' })
  await world.settle()
  world.submit({ ...rests, quantity: '8', limitPrice: '100' })
  await world.settle()
  world.fill('t1', '100')
  await world.disconnect('leave')
  await world.advance(10_000)
  world.submit({
    ...rests,
    tradeId: 't2',
    quantity: '8',
    limitPrice: '100',
    connectionId: 'broker_2',
  })
  await world.settle()
  world.fill('t2', '100', '8', second)
  await world.settle()
  await world.accounts.connect(first!, { accountNumber: world.broker.accountId })
  await world.advance(60_000)
  world.submit({
    ...rests,
    tradeId: 't3',
    quantity: '1',
    limitPrice: '100',
    connectionId: 'broker_2',
  })
  await world.quiesce()
  expect([world.told('t2').at(-1), world.told('t3')]).toEqual(['trade.filled', ['trade.rejected']])
})

describe('closes never open the other side', () => {
  test.each([{}, { positionSide: 'long' }])(
    'two closes at once, the second sent late: %o',
    async (over) => {
      const world = await holding()
      world.startWorker()
      world.broker.fail('submit', { kind: 'delay_request', ms: 300 }, { skip: 1 })
      close(world, over, 'x1')
      close(world, over, 'x2')
      await world.advance(100)
      for (const tradeId of ['x1', 'x2'])
        if (world.broker.ledger.find(world.clientOrderId(tradeId)) !== null)
          world.fill(tradeId, '100')
      await world.advance(5_000)
      for (const { clientOrderId, status } of world.broker.orders.values())
        if (status === 'new') world.broker.fill(clientOrderId, '100')
      await world.quiesce()
      expect(held(world)).toBe('0')
    },
  )

  test('two reducing orders at once under a halt - together at most the position', async () => {
    const world = await holding()
    world.startWorker()
    await world.store.controls.setHalt(user, { ...halt, allows: 'reducing' })
    world.broker.fail('submit', { kind: 'delay_request', ms: 300 }, { skip: 1 })
    for (const tradeId of ['t2', 't3']) world.submit({ tradeId, side: 'sell' })
    await world.advance(100)
    for (const { clientOrderId, status } of world.broker.orders.values())
      if (status === 'new') world.broker.fill(clientOrderId, '100')
    await world.advance(5_000)
    for (const { clientOrderId, status } of world.broker.orders.values())
      if (status === 'new') world.broker.fill(clientOrderId, '100')
    await world.quiesce()
    expect(held(world)).toBe('0')
    expect([world.told('t2').at(-1), world.told('t3').at(-1)].toSorted()).toEqual([
      'trade.filled',
      'trade.rejected',
    ])
  })

  test('a close is marked as a close for the broker, an ordinary order is not', async () => {
    const world = await holding()
    close(world)
    await world.settle()
    expect(world.broker.submissions.at(-1)).toMatchObject({
      isClose: true,
      intent: { side: 'sell', quantity: '100' },
    })
    expect(world.broker.submissions[0]).toMatchObject({ isClose: false })
  })

  test('a parked close whose job is lost - sized again and still marked as a close', async () => {
    const world = await holding()
    world.broker.fail('submit', { kind: 'rate_limit', retryAfterMs: 5_000 })
    const job = close(world)
    await world.advance(1_000)
    world.queue.giveUp(job)
    world.broker.fill(world.broker.placeElsewhere('AAPL', '30', 'sell').brokerOrderId, '100')
    await world.until(() => world.broker.orders.size === 3, 120_000)
    expect(world.broker.submissions.at(-1)).toMatchObject({
      isClose: true,
      intent: { quantity: '70' },
    })
    world.fill('x1', '100')
    await world.quiesce()
    expect(held(world)).toBe('0')
  })

  test('a cancel and a close at once - the close waits until the cancel is reported', async () => {
    const world = await holding()
    world.submit({ ...rests, tradeId: 't2', side: 'sell', limitPrice: '110' })
    await world.settle()
    world.broker.streams.hold()
    world.cancel('t2')
    await world.advance(100)
    close(world)
    await world.settle()
    expect(world.told('x1')).toEqual([])
    world.broker.streams.release()
    await world.until(() => world.told('x1').includes('trade.submitted'), 30_000)
    expect(world.broker.submissions.at(-1)?.intent).toMatchObject({ quantity: '100' })
    world.fill('x1', '100')
    await world.quiesce()
    expect(held(world)).toBe('0')
  })

  test('a close before the fill is booked - waits for the booking, then closes it', async () => {
    const world = await openWorld({ seed: 1 })
    world.submit()
    await world.settle()
    world.broker.streams.hold()
    world.fill('t1', '100')
    close(world)
    await world.advance(1_000)
    expect(world.told('x1')).toEqual([])
    world.broker.streams.release()
    await world.until(() => world.told('x1').includes('trade.submitted'), 30_000)
    world.fill('x1', '100')
    await world.quiesce()
    expect(held(world)).toBe('0')
  })
})

describe('the limits of orders per minute and per day', () => {
  const sent = (world: World): number => world.broker.submissions.length
  const buy = (world: World, index: number, over: object = {}): void =>
    void world.submit({ ...rests, tradeId: `n${index}`, quantity: '1', limitPrice: '100', ...over })

  test('five orders at once, three a minute - three are sent, one more a minute later', async () => {
    const world = await openWorld({ seed: 3 })
    await limit(world, { ordersPerMinuteMax: 3 })
    for (let index = 1; index <= 5; index += 1) buy(world, index)
    await world.settle()
    const rejected = [1, 2, 3, 4, 5].flatMap((index) =>
      world.entries(`n${index}`, 'trade.rejected'),
    )
    expect([sent(world), rejected.length]).toEqual([3, 2])
    expect(rejected[0]).toMatchObject({
      code: 'TOO_MANY_ORDERS',
      reason: 'RISK_LIMIT_EXCEEDED',
      message: expect.stringContaining('3 orders a minute are allowed for this user') as string,
    })
    await world.advance(59_000)
    buy(world, 6)
    await world.settle()
    expect(sent(world)).toBe(3)
    await world.advance(2_000)
    buy(world, 7)
    await world.settle()
    expect(sent(world)).toBe(4)
  })

  test('the day of the limit is a day of New York', async () => {
    const world = await openWorld({ seed: 3 }) // 10:00 there
    await limit(world, { ordersPerDayMax: 1 })
    buy(world, 1)
    await world.advance(13.9 * 3_600_000)
    buy(world, 2)
    await world.settle()
    expect([sent(world), world.told('n2')]).toEqual([1, ['trade.rejected']])
    await world.advance(600_000)
    buy(world, 3)
    await world.settle()
    expect(sent(world)).toBe(2)
  })

  test('reducing orders and smaller replacements are not counted, a resent order once', async () => {
    const world = await holding()
    await limit(world, { ordersPerDayMax: 2 })
    world.submit({ tradeId: 't2', side: 'sell', quantity: '30' })
    close(world, { quantity: '30' })
    await world.settle()
    expect(sent(world)).toBe(3)
    world.broker.fail('submit', { kind: 'lose_request' })
    buy(world, 1)
    await world.advance(2_000)
    expect(sent(world)).toBe(5)
    const changes = [
      ['3', 'r1'],
      ['2', 'r2'],
      ['4', 'r3'],
    ] as const
    for (const [quantity, commandId] of changes) {
      replace(world, { tradeId: 'n1', quantity, commandId }, commandId)
      await world.advance(2_000)
    }
    await world.quiesce()
    expect(['r1', 'r2', 'r3'].map((job) => world.queue.stateOf(job))).toEqual([
      'completed',
      'completed',
      'failed',
    ])
    expect(world.queue.whyOf('r3')).toContain('2 orders a day are allowed')
  })
})
