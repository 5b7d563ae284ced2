import { describe, expect, test } from 'vitest'
import { endings, executed, open, replace, resting, second, stepsOf } from './resting-order.ts'
import { openWorld } from './world.ts'

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
