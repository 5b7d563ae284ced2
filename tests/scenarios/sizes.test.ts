import { describe, expect, test } from 'vitest'
import { replaceOrderSchema } from '#contract'
import type { BrokerOrder } from '#domain'
import { openWorld, type World } from './world.ts'

// A replacement that gave its order a wrong size, and whose own job is gone.

const of = { userId: 'u1', connectionId: 'broker_1', tradeId: 't1' }

const open = (world: World): BrokerOrder[] =>
  [...world.broker.orders.values()].filter(
    ({ status }) => status === 'new' || status === 'partially_filled',
  )

type Sizing = 'own' | 'total'

/** A replacement of a partly executed limit order of 100; `during` executes while it is sent. */
async function replaced(
  sizing: Sizing,
  during: string,
  disturb: (world: World) => void,
): Promise<World> {
  const world = await openWorld({ seed: 5 })
  world.broker.replaceSizing = sizing
  world.submit({ orderType: 'limit', limitPrice: '150', timeInForce: 'gtc' })
  await world.settle()
  world.fill('t1', '150', '30')
  await world.settle()
  world.at('replace.sending', () => world.fill('t1', '150', during))
  disturb(world)
  const command = replaceOrderSchema.parse({ ...of, commandId: 'r1', limitPrice: '151' })
  world.queue.add('commands', 'replaceOrder', command, 'r1')
  await world.settle()
  return world
}

/** The worker dies at `step`, and the queue gives up its job. */
const abandoned = (step: string, sizing: Sizing, during: string, skip = 0): Promise<World> =>
  replaced(sizing, during, (world) =>
    world.at(
      step,
      (process) => {
        world.queue.giveUp('r1')
        world.restart(process)
      },
      skip,
    ),
  )

async function expectWhole(world: World): Promise<void> {
  await world.advance(60_000)
  expect(world.queue.stateOf('r1')).toBe('failed')
  expect(open(world).map(({ quantity }) => quantity)).toEqual(['50'])
  for (const one of open(world)) world.broker.fill(one.clientOrderId, '151')
  await world.quiesce()
  expect(await world.order('t1')).toMatchObject({
    status: 'filled',
    quantity: '100',
    cumulativeQuantity: '100',
  })
  expect(world.anomalies()).toEqual([])
}

describe.each(['replace.answered', 'replace.recorded'])(
  'CAN-05 the job of a replacement is lost at %s',
  (step) => {
    test.each([
      ['too large', 'own', '20'],
      ['too small', 'total', '20'],
    ] as const)(
      'RDQ-02 CAN-05 the new order is %s - its size is corrected',
      async (_how, sizing, during) => {
        await expectWhole(await abandoned(step, sizing, during))
      },
    )
  },
)

describe('CAN-05 the job of a replacement is lost before its request', () => {
  test.each(['own', 'total'] as const)(
    'RDQ-02 CAN-05 quantities are %s - the next run corrects the size at once',
    async (sizing) => {
      const world = await abandoned('replace.noted', sizing, '20')
      await world.until(() => world.broker.replaces.length > 0, 60_000)
      await world.advance(3_000)
      expect(open(world).map(({ quantity }) => quantity)).toEqual(['50'])
      await expectWhole(world)
    },
  )
})

describe('CAN-05 the correction of a size', () => {
  // What executes is planned for the first sending: the next one is the correction's.
  test.each([
    ['replace.sending', 0],
    ['replace.answered', 1],
    ['replace.recorded', 1],
  ] as const)('RDQ-02 CAN-05 its job is lost at %s - corrected once', async (step, skip) => {
    const world = await abandoned(step, 'own', '20', skip)
    await expectWhole(world)
    expect(world.broker.orders.size).toBe(3)
  })

  const refuse = (world: World): void =>
    void world.broker.fail('replace', { kind: 'refuse' }, { skip: 1 })

  test('CAN-05 refused, the order is too small - kept, and its smaller size is sent', async () => {
    const world = await replaced('total', '20', refuse)
    await world.advance(60_000)
    expect(open(world).map(({ quantity }) => quantity)).toEqual(['20'])
    expect(await world.order('t1')).toMatchObject({
      status: 'partially_filled',
      quantity: '70',
      replaces: [],
    })
    expect(world.told('t1').filter((event) => event === 'trade.replaced')).toHaveLength(2)
    await world.quiesce()
  })

  test('CAN-05 refused, the order is too large - the rest is canceled', async () => {
    const world = await replaced('own', '20', refuse)
    await world.advance(60_000)
    expect(open(world)).toEqual([])
    await world.quiesce()
    expect(await world.order('t1')).toMatchObject({ status: 'canceled', cumulativeQuantity: '50' })
  })

  test('CAN-05 only the total is possible when it is sent - the small order stays', async () => {
    const world = await openWorld({ seed: 5 })
    world.broker.replaceSizing = 'total'
    world.submit({ orderType: 'limit', limitPrice: '150', timeInForce: 'gtc' })
    await world.settle()
    world.fill('t1', '150', '5')
    await world.settle()
    world.at('replace.sending', () => world.fill('t1', '150', '20'))
    world.broker.fail('replace', { kind: 'rate_limit', retryAfterMs: 5_000 }, { skip: 1 })
    const command = replaceOrderSchema.parse({ ...of, commandId: 'r1', limitPrice: '151' })
    world.queue.add('commands', 'replaceOrder', command, 'r1')
    await world.advance(2_000)
    // Of 100 there are 35 left then, and the broker takes no size below the 40 that its order has
    // executed.
    for (const one of open(world)) world.broker.fill(one.clientOrderId, '151', '40')
    await world.advance(30_000)
    expect(open(world).map(({ quantity }) => quantity)).toEqual(['70'])
    expect(await world.order('t1')).toMatchObject({
      status: 'partially_filled',
      quantity: '95',
      replaces: [],
    })
    await world.quiesce()
  })
})
