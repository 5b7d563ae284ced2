import { describe, expect, test } from 'vitest'
import {
  cancelAllSchema,
  closePositionSchema,
  replaceOrderSchema,
  type ReplaceOrder,
} from '#contract'
import { type BrokerOrder, clientOrderIdOf } from '#domain'
import { boundaryNames } from '#runtime'
import { openWorld, type World } from './world.ts'

const stepsOf = (path: string) => boundaryNames.filter((name) => name.startsWith(`${path}.`))
const of = { userId: 'u1', connectionId: 'broker_1' }
const first = clientOrderIdOf('u1', 't1')
const second = clientOrderIdOf('u1', 't1', '0.1')

/** Queues a replacement; answers the id of its job. */
function replace(world: World, over: Partial<ReplaceOrder>, commandId = 'r1'): string {
  const command = replaceOrderSchema.parse({ ...of, tradeId: 't1', commandId, ...over })
  world.queue.add('commands', 'replaceOrder', command, commandId)
  return commandId
}

/** A limit order of 100 that rests at the broker. */
async function resting(seed: number): Promise<World> {
  const world = await openWorld({ seed })
  world.submit({ orderType: 'limit', limitPrice: '150', timeInForce: 'gtc' })
  await world.settle()
  return world
}

const open = (world: World): BrokerOrder[] =>
  [...world.broker.orders.values()].filter(
    ({ status }) => !['filled', 'canceled', 'rejected', 'replaced', 'expired'].includes(status),
  )
const executed = (world: World): number =>
  world.broker.executions.reduce((sum, one) => sum + Number(one.execution.quantity), 0)
const endings = (world: World): string[] =>
  world
    .told('t1')
    .filter((event) => ['trade.filled', 'trade.cancelled', 'trade.rejected'].includes(event))

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

describe('CAN-04 replace accepted, then the original fills', () => {
  test.each(['reply', 'lose_reply', 'lose_request'] as const)(
    'CAN-04 the original fills first, %s - filled once, by the original',
    async (kind) => {
      const world = await resting(4)
      world.broker.holdsReplaces = true
      if (kind !== 'reply') world.broker.fail('replace', { kind })
      const job = replace(world, { limitPrice: '151' })
      await world.settle()
      world.fill('t1', '150')
      await world.quiesce()
      expect([executed(world), endings(world), open(world)]).toEqual([100, ['trade.filled'], []])
      expect(world.queue.stateOf(job)).toBe('failed')
      expect((await world.order('t1'))?.replaceResults).toMatchObject([
        { commandId: 'r1', outcome: expect.stringMatching(/refused|overtaken/) as string },
      ])
    },
  )

  test.each(['replaced', 'rejected'] as const)(
    'CAN-04 the replacement is %s after 20 s - the result is recorded',
    async (to) => {
      const world = await resting(4)
      world.broker.holdsReplaces = true
      const job = replace(world, { limitPrice: '151' })
      await world.advance(20_000)
      expect(world.told('t1')).toEqual(['trade.submitted'])
      world.broker.settleReplace(second, to)
      await world.quiesce()
      expect(world.queue.stateOf(job)).toBe(to === 'replaced' ? 'completed' : 'failed')
      expect(open(world).map(({ limitPrice }) => limitPrice)).toEqual([
        to === 'replaced' ? '151' : '150',
      ])
      expect((await world.order('t1'))?.limitPrice).toBe(to === 'replaced' ? '151' : '150')
    },
  )

  test.each(stepsOf('replace'))('CAN-04 a crash at %s - replaced once', async (step) => {
    const world = await resting(4)
    world.crashAt(step)
    replace(world, { limitPrice: '151' })
    await world.advance(60_000)
    await world.quiesce()
    expect(open(world).map(({ limitPrice }) => limitPrice)).toEqual(['151'])
    expect(world.told('t1')).toEqual(['trade.submitted', 'trade.replaced'])
  })
})

describe.each(['own', 'total'] as const)(
  'CAN-05 replace of a partly filled order, quantities are %s',
  (sizing) => {
    test.each([
      ['before', '30'],
      ['during', '30'],
      ['after', '30'],
      ['before', '70'],
      ['during', '70'],
    ])(
      'CAN-05 a fill %s the replacement, of %s - exactly the ordered quantity executes',
      async (when, part) => {
        const world = await resting(5)
        world.broker.replaceSizing = sizing
        if (when === 'before') world.fill('t1', '150', part)
        await world.settle()
        if (when === 'during') world.at('replace.sending', () => world.fill('t1', '150', part))
        replace(world, { limitPrice: '151' })
        await world.advance(30_000)
        const [head] = open(world)
        if (when === 'after') world.broker.fill(head!.clientOrderId, '151', part)
        await world.advance(30_000)
        for (const one of open(world)) world.broker.fill(one.clientOrderId, '151')
        await world.quiesce()
        expect([executed(world), endings(world), world.anomalies()]).toEqual([
          100,
          ['trade.filled'],
          [],
        ])
      },
    )
  },
)

describe('CAN-05 executions of the replaced order that are not yet reported', () => {
  test.each(['own', 'total'] as const)(
    'CAN-05 quantities are %s - the new order is no larger, 100 execute',
    async (sizing) => {
      const world = await resting(5)
      world.broker.replaceSizing = sizing
      world.broker.isMute = true
      world.broker.executionLagMs = 8_000
      world.fill('t1', '150', '64')
      replace(world, { limitPrice: '151' })
      await world.advance(60_000)
      expect(open(world).map(({ quantity }) => quantity)).toEqual(['36'])
      for (const one of open(world)) world.broker.fill(one.clientOrderId, '151')
      world.broker.isMute = false
      await world.quiesce()
      expect([executed(world), endings(world), world.anomalies()]).toEqual([
        100,
        ['trade.filled'],
        [],
      ])
    },
  )
})

describe('CAN-05 fills race the replacement and its correction', () => {
  test.each([
    ['20', '10'],
    ['30', '60'],
  ])(
    'CAN-05 fills of %s and %s during two requests - one correction, never too much',
    async (a, b) => {
      const world = await resting(5)
      world.fill('t1', '150', '5')
      await world.settle()
      world.at('replace.sending', () => world.fill('t1', '150', a))
      world.at('replace.sending', () => world.broker.fill(open(world)[0]!.clientOrderId, '151', b))
      replace(world, { limitPrice: '151' })
      await world.advance(60_000)
      expect(world.broker.orders.size).toBe(3)
      await world.quiesce()
      expect([executed(world), endings(world), open(world), world.anomalies()]).toEqual([
        5 + Number(a) + Number(b),
        ['trade.cancelled'],
        [],
        [],
      ])
    },
  )
})

describe('CAN-04 a replacement that was refused and took place', () => {
  test('CAN-04 refused, but shown as replaced - the command is done', async () => {
    const world = await openWorld({
      seed: 4,
      planted: (broker) =>
        Object.assign(Object.create(broker) as typeof broker, {
          async replace(request: Parameters<typeof broker.replace>[0]) {
            await broker.replace(request)
            return {
              kind: 'refused',
              code: 'BROKER_REJECTED',
              brokerCode: null,
              message: 'already replaced',
            }
          },
        }),
    })
    world.submit({ orderType: 'limit', limitPrice: '150', timeInForce: 'gtc' })
    await world.settle()
    const job = replace(world, { limitPrice: '151' })
    await world.advance(20_000)
    expect((await world.order('t1'))?.replaceResults).toMatchObject([
      { commandId: 'r1', outcome: 'replaced' },
    ])
    expect([world.queue.stateOf(job), world.told('t1')]).toEqual([
      'completed',
      ['trade.submitted', 'trade.replaced'],
    ])
  })
})

describe('CAN-06 commands aimed at the wrong member of the chain', () => {
  test('CAN-06 replaced by another program, then canceled - the newest order is canceled', async () => {
    const world = await resting(6)
    world.broker.isMute = true
    const [order] = world.broker.orders.values()
    await world.broker.replace({
      brokerOrderId: order!.brokerOrderId,
      clientOrderId: 'elsewhere',
      terms: {
        quantity: null,
        limitPrice: '149' as never,
        stopPrice: null,
        trail: null,
        timeInForce: null,
      },
    })
    world.cancel()
    await world.advance(20_000)
    expect(open(world)).toEqual([])
    world.broker.isMute = false
    await world.quiesce()
    expect(endings(world)).toEqual(['trade.cancelled'])
  })
})

describe('CAN-07 phantom cancel', () => {
  test('CAN-07 polled at every step of a replacement - no ending while an order is open', async () => {
    for (const step of stepsOf('replace')) {
      const world = await resting(7)
      world.broker.isMute = true
      world.broker.holdsReplaces = true
      world.freezeAt(step, 10_000)
      replace(world, { limitPrice: '151' })
      await world.advance(40_000)
      expect([step, endings(world)]).toEqual([step, []])
      if (world.broker.orders.size === 2) world.broker.settleReplace(second, 'replaced')
      world.broker.isMute = false
      world.broker.holdsReplaces = false
      await world.quiesce()
      expect([step, endings(world), open(world).length]).toEqual([step, [], 1])
    }
  })
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
