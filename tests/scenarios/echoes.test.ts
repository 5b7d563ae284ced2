import { describe, expect, test } from 'vitest'
import { type BrokerOrder, dec, type OrderIntent } from '#domain'
import type { SubmitOrder } from '#contract'
import { openWorld, type World } from './world.ts'

// The broker accepts an order and tells it back in other words, or in figures that it can trade.

const coins = { symbol: 'ETH/USD', timeInForce: 'gtc' } as const
type Echo = (intent: OrderIntent) => Partial<BrokerOrder>
const echoes: [what: string, order: Partial<SubmitOrder>, echo: Echo, field: string][] = [
  [
    'a quantity cut to the increment',
    { ...coins, quantity: '0.123456789' },
    () => ({ quantity: dec('0.1234') }),
    'quantity',
  ],
  [
    'a price rounded to the increment',
    { ...coins, quantity: '2', orderType: 'limit', limitPrice: '1800.123' },
    () => ({ limitPrice: dec('1800.1') }),
    'limitPrice',
  ],
  [
    'money rounded to cents',
    { quantity: null, notional: '50.129' },
    () => ({ notional: dec('50.13') }),
    'notional',
  ],
  [
    'a stop as a stop limit',
    { orderType: 'stop', stopPrice: '190' },
    () => ({ orderType: 'stop_limit', limitPrice: dec('195') }),
    'orderType',
  ],
  [
    'a market order with the limit of a collar',
    {},
    () => ({ limitPrice: dec('187.2') }),
    'limitPrice',
  ],
]

async function submitted(order: Partial<SubmitOrder>, echo: Echo, isLost: boolean): Promise<World> {
  const world = await openWorld({ seed: 8 })
  world.broker.conformed = echo
  if (isLost) world.broker.fail('submit', { kind: 'lose_reply' })
  world.submit(order)
  await world.advance(5_000)
  return world
}

async function halted(world: World): Promise<unknown> {
  const answer = world.halt({}, { waitMs: 0 })
  await world.advance(1_000)
  return answer
}

describe.each(echoes)('an order echoed by the broker with %s', (_what, order, echo, field) => {
  test.each([false, true])(
    'is ours and is followed to its end (reply lost: %s)',
    async (isLost) => {
      const world = await submitted(order, echo, isLost)
      expect(world.told('t1')).toEqual(['trade.submitted'])
      const { differences } = (await world.order('t1')) ?? {}
      expect(differences?.map((one) => one.field)).toContain(field)
      world.fill('t1', '180.5')
      await world.quiesce()
      expect(world.told('t1')).toEqual(['trade.submitted', 'trade.filled'])
      expect(world.broker.orders.size).toBe(1)
      expect(world.anomalies().filter((what) => what === 'differs_from_request')).toHaveLength(1)
      expect(world.anomalies()).not.toContain('foreign_order')
    },
  )
})

describe('an order in the answer to our own request', () => {
  test('is ours even with another size and side, and an alarm is raised', async () => {
    const world = await submitted({}, () => ({ quantity: dec('99'), side: 'sell' }), false)
    expect(await world.order('t1')).toMatchObject({
      status: 'submitted',
      side: 'sell',
      quantity: '99',
      differences: [
        { field: 'side', asked: 'buy', shown: 'sell', kind: 'unexplained' },
        { field: 'quantity', asked: '100', shown: '99', kind: 'unexplained' },
      ],
    })
    expect(world.anomalies()).toContain('differs_from_request')
    world.fill('t1', '180.5')
    await world.quiesce()
    expect(world.told('t1')).toEqual(['trade.submitted', 'trade.filled'])
  })

  test('lets a halt complete', async () => {
    const world = await submitted({}, () => ({ quantity: dec('99') }), false)
    expect(await halted(world)).toMatchObject({ isComplete: true })
  })
})

describe('a foreign order under our id', () => {
  async function met(): Promise<World> {
    const world = await openWorld({ seed: 4 })
    const other = await openWorld({ seed: 4 })
    other.submit({ quantity: '99' })
    await other.settle()
    for (const foreign of other.broker.orders.values())
      world.broker.orders.set(foreign.brokerOrderId, foreign)
    world.submit()
    await world.advance(20_000)
    return world
  }

  test('is quarantined: no more requests, one alarm, and a halt completes', async () => {
    const world = await met()
    const order = await world.order('t1')
    expect(order).toMatchObject({ status: 'submitting' })
    expect(order?.setAsideAt).toBeTypeOf('string')
    const sent = world.broker.submissions.length
    await world.advance(3_600_000)
    expect(world.broker.submissions).toHaveLength(sent)
    expect(world.anomalies().filter((what) => what === 'set_aside')).toHaveLength(1)
    expect(world.told('t1')).toEqual([])
    expect(await halted(world)).toMatchObject({ isComplete: true })
  })

  test('executes: the trade stays quarantined, and the position is read', async () => {
    const limit = { orderType: 'limit', limitPrice: '150' } as const
    const world = await submitted(limit, () => ({ limitPrice: dec('180.01') }), true)
    world.fill('t1', '150')
    await world.quiesce()
    const order = await world.order('t1')
    expect(order?.status).toBe('submitting')
    expect(order?.setAsideAt).toBeTypeOf('string')
    expect(world.told('t1')).toEqual([])
  })

  test('is not canceled through the trade: the command fails with the reason', async () => {
    const world = await met()
    const job = world.cancel()
    await world.advance(60_000)
    expect(world.queue.stateOf(job)).toBe('failed')
    expect(world.queue.whyOf(job)).toContain('set aside')
    expect(world.broker.cancels).toEqual([])
  })
})
