import { describe, expect, test } from 'vitest'
import { cancelAllSchema, closePositionSchema } from '#contract'
import { clientOrderIdOf } from '#domain'
import { boundaryNames } from '#runtime'
import { endings, executed, of, open, replace, resting, second, stepsOf } from './resting-order.ts'
import { openWorld } from './world.ts'

const first = clientOrderIdOf('u1', 't1')

describe('CAN-01 cancel outcome unknown', () => {
  test.each(['lose_request', 'lose_reply', 'error_before', 'error_after', 'rate_limit'] as const)(
    'CAN-01 %s - the cancel is repeated until the order has ended',
    async (kind) => {
      const world = await resting(1)
      world.broker.fail('cancel', { kind }, { times: 2 })
      world.cancel()
      await world.quiesce()
      expect([open(world), endings(world)]).toEqual([[], ['trade.cancelled']])
    },
  )

  test.each([
    [1_000, 'canceled', 'trade.cancelled'],
    [300_000, 'canceled', 'trade.cancelled'],
    [21_600_000, 'expired', 'trade.cancelled'],
    [1_000, 'filled', 'trade.filled'],
    [300_000, 'filled', 'trade.filled'],
  ] as const)(
    'CAN-01 pending for %i ms, then %s - one request, and no event before the end',
    async (ms, to, told) => {
      const world = await resting(1)
      world.broker.holdsCancels = true
      world.cancel()
      await world.advance(ms)
      expect(endings(world)).toEqual([])
      expect(world.broker.cancels).toHaveLength(1)
      expect(world.warnings.some((line) => line.includes('cancel.unconfirmed'))).toBe(ms > 300_000)
      if (to === 'filled') world.fill('t1', '150')
      else world.broker.settleCancel(first, to)
      await world.quiesce()
      expect(endings(world)).toEqual([told])
    },
  )
})

describe('CAN-02 cancel refused', () => {
  test('CAN-02 an unreported fill - the order ends filled, at most two cancels are sent', async () => {
    const world = await resting(2)
    world.broker.isMute = true
    world.fill('t1', '150')
    world.cancel()
    await world.until(() => endings(world).length === 1, 15_000)
    expect(endings(world)).toEqual(['trade.filled'])
    expect(world.broker.cancels.length).toBeLessThanOrEqual(2)
    world.broker.isMute = false
    await world.quiesce()
  })
})

describe('CAN-03 cancel before the submission is resolved', () => {
  test.each(stepsOf('submit'))(
    'CAN-03 a cancel at %s - the order is never sent, or it is canceled',
    async (step) => {
      for (const fault of ['none', 'lose_reply', 'lose_request', 'rate_limit'] as const) {
        const world = await openWorld({ seed: 3 })
        if (fault !== 'none') world.broker.fail('submit', { kind: fault })
        world.at(step, () => void world.cancel())
        world.submit()
        await world.advance(60_000)
        expect([fault, open(world)]).toEqual([fault, []])
        await world.quiesce({ withinMs: 1_200_000 })
        expect([fault, endings(world)]).toEqual([fault, ['trade.cancelled']])
        expect(executed(world)).toBe(0)
      }
    },
  )

  test('CAN-03 the cancel comes before its trade - the order is never sent', async () => {
    const world = await openWorld({ seed: 3 })
    world.cancel()
    await world.settle()
    world.submit()
    await world.quiesce()
    expect([world.broker.submissions.length, world.told('t1')]).toEqual([0, ['trade.cancelled']])
  })

  test.each(stepsOf('cancel'))(
    'CAN-03 a crash of the cancel at %s - canceled once',
    async (step) => {
      const world = await resting(3)
      world.crashAt(step)
      world.cancel()
      await world.advance(40_000)
      await world.quiesce()
      expect([open(world), endings(world)]).toEqual([[], ['trade.cancelled']])
    },
  )
})

describe('CAN-08 two commands race on one trade', () => {
  test.each([1, 2, 3, 4, 5, 6])(
    'CAN-08 two replacements, seed %i - the last accepted terms apply',
    async (seed) => {
      const world = await resting(seed)
      replace(world, { limitPrice: '151' }, 'r1')
      await world.until(() => world.steps.get('replace.noted') === 1, 5_000)
      replace(world, { limitPrice: '152' }, 'r2')
      await world.quiesce()
      expect(open(world).map(({ limitPrice }) => limitPrice)).toEqual(['152'])
      expect(world.told('t1')).toEqual(['trade.submitted', 'trade.replaced', 'trade.replaced'])
    },
  )

  test.each([1, 2, 3, 4, 5, 6])(
    'CAN-08 a cancel overtakes waiting replacements, seed %i - canceled once',
    async (seed) => {
      const world = await resting(seed)
      world.broker.holdsReplaces = seed % 2 === 0
      for (const id of ['r1', 'r2', 'r3']) replace(world, { limitPrice: `15${id[1]}` }, id)
      world.cancel()
      await world.advance(15_000)
      // What the broker still holds back is settled: in favor of the new order, unless that one has
      // been canceled.
      if (open(world).some(({ status }) => status === 'pending_replace'))
        world.broker.settleReplace(second, open(world).length > 1 ? 'replaced' : 'rejected')
      await world.quiesce()
      expect([open(world), endings(world)]).toEqual([[], ['trade.cancelled']])
      for (const id of ['r1', 'r2', 'r3'])
        expect(['failed', 'completed']).toContain(world.queue.stateOf(id))
    },
  )
})

describe('refused commands - the job fails with the reason', () => {
  test.each([
    [
      'there is no such trade',
      null,
      { tradeId: 'nobody', limitPrice: '1' },
      'There is no trade nobody to replace',
    ],
    [
      'a total below what has executed',
      '40',
      { quantity: '30' },
      'the total must be more than that',
    ],
    ['terms as they are', null, { limitPrice: '150' }, 'order parameters are not changed'],
    [
      'an exit of a simple order',
      null,
      { leg: 'stopLoss', stopPrice: '1' },
      'a simple order has no stopLoss',
    ],
    ['an order that has ended', '100', { limitPrice: '151' }, 'The order has ended: it is filled'],
  ] as const)('%s', async (_what, executedBefore, over, why) => {
    const world = await resting(1)
    if (executedBefore !== null) world.fill('t1', '150', executedBefore)
    await world.settle()
    const job = replace(world, over)
    await world.quiesce()
    expect(world.queue.stateOf(job)).toBe('failed')
    expect(world.queue.whyOf(job)).toContain(why)
  })
})

describe('cancel all', () => {
  test('cancel all - each open order of ours gets its own cancel command', async () => {
    const world = await resting(1)
    world.submit({ tradeId: 't2', symbol: 'MSFT', orderType: 'limit', limitPrice: '300' })
    world.submit({ tradeId: 't3', symbol: 'MSFT' })
    await world.settle()
    world.fill('t3', '300')
    const elsewhere = world.broker.placeElsewhere('AAPL', '5')
    await world.settle()
    world.queue.add(
      'commands',
      'cancelAll',
      cancelAllSchema.parse({ ...of, commandId: 'all' }),
      'all',
    )
    await world.advance(20_000)
    expect(open(world).map(({ brokerOrderId }) => brokerOrderId)).toEqual([elsewhere.brokerOrderId])
    expect([endings(world), world.told('t2')]).toEqual([
      ['trade.cancelled'],
      ['trade.submitted', 'trade.cancelled'],
    ])
  })

  test('RDQ-06 cancel all runs again late - orders submitted since stay open', async () => {
    const world = await resting(1)
    world.queue.add(
      'commands',
      'cancelAll',
      cancelAllSchema.parse({ ...of, commandId: 'all' }),
      'all',
    )
    await world.advance(20_000)
    world.submit({ tradeId: 't2', symbol: 'MSFT', orderType: 'limit', limitPrice: '300' })
    await world.settle()
    world.queue.redeliver('all')
    await world.advance(20_000)
    expect([endings(world), world.told('t2')]).toEqual([['trade.cancelled'], ['trade.submitted']])
  })
})

test('every named boundary is reached, so a crash at each of them is a real test', async () => {
  const world = await openWorld({ seed: 9 })
  world.submit({ orderType: 'limit', limitPrice: '150', timeInForce: 'gtc' })
  await world.settle()
  replace(world, { limitPrice: '151' })
  await world.settle()
  world.broker.fail('cancel', { kind: 'refuse' })
  world.cancel()
  world.submit({ tradeId: 't2' })
  await world.settle()
  world.fill('t2', '180')
  await world.settle()
  const close = closePositionSchema.parse({
    ...of,
    tradeId: 'x1',
    commandId: 'close',
    symbol: 'AAPL',
  })
  world.queue.add('commands', 'closePosition', close, 'close')
  world.broker.fail('submit', { kind: 'lose_request' })
  world.submit({ tradeId: 't3' })
  world.broker.streams.cut('the network')
  await world.advance(90_000)
  expect(boundaryNames.filter((name) => !world.steps.has(name))).toEqual([])
})
