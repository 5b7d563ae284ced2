import { describe, expect, test } from 'vitest'
import { replaceOrderSchema } from '#contract'
import { clientOrderIdOf } from '#domain'
import type { StreamUpdate } from '../../workers/broker/port.ts'
import { openWorld, type World, type WorldOptions } from './world.ts'
import { Chance } from './world/chance.ts'

/** The events without the ids of broker and log, which differ between runs. */
const story = (world: World): unknown[] =>
  world.store.log('u1').map(({ event, payload }) => ({ event, ...payload, timestamp: '' }))

/** Two trades in several parts, one of them flipping the position, with time between. */
async function trade(
  options: WorldOptions,
  before: (world: World) => void = () => {},
): Promise<World> {
  const world = await openWorld(options)
  before(world)
  world.submit()
  await world.settle()
  world.submit({ tradeId: 't2', side: 'sell', quantity: '130' })
  await world.settle()
  for (const [tradeId, price, quantity] of [
    ['t1', '180.5', '40'],
    ['t1', '181', '35.5'],
    ['t2', '182', '60'],
    ['t1', '181.25', '24.5'],
    ['t2', '183', '70'],
  ] as const) {
    world.fill(tradeId, price, quantity)
    await world.settle()
  }
  return world
}

/** Everything that the stream has said since. */
function tap({ broker }: World): StreamUpdate[] {
  const said: StreamUpdate[] = []
  const tell = broker.streams.tell.bind(broker.streams)
  broker.streams.tell = (update) => {
    said.push(update)
    tell(update)
  }
  return said
}

describe('POS-01 an order is canceled, and the next order of its symbol executes', () => {
  test('POS-01 the holding continues from its earlier quantity and cost', async () => {
    const world = await openWorld({ seed: 31 })
    world.submit({ quantity: '10' })
    await world.settle()
    world.fill('t1', '180')
    await world.settle()
    world.submit({ tradeId: 't2', orderType: 'limit', limitPrice: '150' })
    await world.settle()
    // Another worker writes, so the cache restarts with an order of another symbol.
    const expectVersion = await world.store.version('u1')
    await world.store.commit('u1', {
      expectVersion,
      fence: { kind: 'version' },
      writes: [],
      events: [],
    })
    world.submit({ tradeId: 'other', symbol: 'MSFT', quantity: '1' })
    await world.settle()
    world.fill('other', '400')
    await world.settle()
    world.cancel('t2')
    await world.settle()
    world.submit({ tradeId: 't3', quantity: '5' })
    await world.settle()
    world.fill('t3', '181')
    await world.settle()
    const { positions } = await world.store.loadConnection('u1', 'broker_1')
    expect(positions.get('AAPL')).toMatchObject({ quantity: '15', cost: '2705' })
    await world.quiesce()
    expect(world.anomalies()).toEqual([])
  })
})

describe('fills that are reported more than once', () => {
  test.each([2, 3, 4, 5])(
    'FIL-01 each event %s times - the same events as with one',
    async (copies) => {
      const once = await trade({ seed: copies })
      const often = await trade({ seed: copies }, (world) => world.broker.streams.repeat(copies))
      await often.quiesce()
      expect(story(often)).toEqual(story(once))
    },
  )

  test.each([1, 2, 3, 4, 5, 6])(
    'FIL-01 events repeated at random distances, seed %s - the same events',
    async (seed) => {
      const chance = new Chance(seed)
      const once = await trade({ seed })
      const often = await trade({ seed }, (world) => {
        const said = tap(world)
        const { streams } = world.broker
        const tell = streams.tell.bind(streams)
        streams.tell = (update) => {
          tell(update)
          while (chance.fraction() < 0.7) streams.send(chance.pick(said)!)
        }
      })
      await often.quiesce()
      expect(story(often)).toEqual(story(once))
    },
  )

  test.each([0, 60_000, 3 * 3_600_000])(
    'FIL-02 the whole history again, %s ms after the end - no further event',
    async (laterMs) => {
      let said: StreamUpdate[] = []
      const world = await trade({ seed: 2 }, (opened) => void (said = tap(opened)))
      await world.quiesce()
      await world.advance(laterMs)
      const told = story(world)
      for (const update of [...said]) world.broker.streams.send(update)
      await world.settle()
      world.restart(world.workers[0]!)
      await world.advance(30_000)
      for (const update of [...said].reverse()) world.broker.streams.send(update)
      await world.quiesce()
      expect(said.length).toBeGreaterThan(5)
      expect(story(world)).toEqual(told)
    },
  )
})

type Channel = 'stream' | 'poll' | 'both' | 'poll first'
const channels: readonly Channel[] = ['stream', 'poll', 'both', 'poll first']
const POLLED_MS = 61_000

/** One fill, heard of through one channel or two. */
async function fillThrough(
  world: World,
  channel: Channel,
  price: string,
  quantity: string,
): Promise<void> {
  const { streams } = world.broker
  streams.isMute = channel === 'poll'
  if (channel === 'poll first') streams.hold()
  world.fill('t1', price, quantity)
  await world.settle()
  if (channel !== 'stream') await world.advance(POLLED_MS)
  if (channel === 'poll first') streams.release()
  streams.isMute = false
  await world.settle()
}

describe('fills through several channels', () => {
  const pairs = channels.flatMap((first) => channels.map((second) => [first, second] as const))
  test.each(pairs)('FIL-03 one fill by %s, one by %s - the same events', async (first, second) => {
    const world = await openWorld({ seed: 4 })
    world.submit()
    await world.settle()
    await fillThrough(world, first, '180.5', '40')
    await fillThrough(world, second, '181', '60')
    await world.quiesce()
    expect(world.told('t1')).toEqual(['trade.submitted', 'trade.partialFill', 'trade.filled'])
    expect(
      world.store.log('u1').findLast(({ event }) => event === 'trade.filled')?.payload,
    ).toMatchObject({
      quantity: 100,
      fillPrice: 180.8,
      totalCost: 18_080,
    })
  })
})

/** Every order of some things. */
const ordersOf = <T>(things: readonly T[]): T[][] =>
  things.length < 2
    ? [[...things]]
    : things.flatMap((one, at) =>
        ordersOf(things.filter((_, i) => i !== at)).map((rest) => [one, ...rest]),
      )

describe('fills in many parts', () => {
  test('FIL-12 the broker rounds its average after each of 100 parts - no correction', async () => {
    const world = await openWorld({ seed: 32 })
    world.submit({ quantity: '5000', orderType: 'limit', limitPrice: '182' })
    await world.settle()
    for (let part = 1, drawn = 6; part <= 100; part += 1) {
      drawn = (drawn * 7919 + 13) % 10_007
      world.fill('t1', `180.${String(drawn % 100).padStart(2, '0')}`, String(1 + (drawn % 49)))
    }
    await world.advance(120_000)
    expect([world.told('t1').length, world.told('t1').at(-1)]).toEqual([101, 'trade.partialFill'])
    expect(world.warnings).toEqual([])
  })
})

describe('fills while the broker is slow', () => {
  test('C8 an account read is answered late - a fill waits no longer than for the answer', async () => {
    const world = await openWorld({ seed: 7 })
    await world.advance(50_000)
    world.submit()
    await world.advance(5_000)
    world.broker.fail('readPortfolio', { kind: 'delay_reply', ms: 7_000 })
    await world.until(() => world.steps.get('broker.readPortfolio') === 2, 60_000)
    world.fill('t1', '180')
    await world.advance(8_000)
    expect(world.told('t1')).toEqual(['trade.submitted', 'trade.filled'])
    await world.quiesce()
  })
})

describe('fills out of order', () => {
  const parts = [
    ['180.5', '10'],
    ['181', '20'],
    ['181.5', '30'],
    ['182', '40'],
  ] as const

  test.each(ordersOf([0, 1, 2, 3]))(
    'FIL-04 four fills in the order %s %s %s %s - booked once with the right cost',
    async (...order) => {
      const world = await openWorld({ seed: 5 })
      world.submit()
      await world.settle()
      world.broker.streams.hold()
      for (const [price, quantity] of parts) world.fill('t1', price, quantity)
      world.broker.streams.release((updates) => order.map((index) => updates[index]!))
      await world.settle()
      // 10 x 180.5 + 20 x 181 + 30 x 181.5 + 40 x 182
      const last = world.store.log('u1').filter(({ event }) => event === 'trade.filled')
      expect(last.map(({ payload }) => payload)).toMatchObject([
        { quantity: 100, totalCost: 18_150, fillPrice: 181.5 },
      ])
      expect(world.told('t1').filter((event) => event === 'trade.partialFill')).toHaveLength(3)
      expect((await world.order('t1'))?.status).toBe('filled')
    },
  )

  test.each([1, 2, 3, 4])(
    'FIL-04 many fills in a random order, seed %s - all are sent',
    async (seed) => {
      const world = await openWorld({ seed })
      const chance = new Chance(seed)
      world.submit()
      await world.settle()
      world.broker.streams.hold()
      for (let part = 0; part < 50; part += 1) world.fill('t1', String(180 + part), '2')
      world.broker.streams.release((updates) => {
        const left = [...updates]
        return updates.map(() => left.splice(chance.below(left.length), 1)[0]!)
      })
      await world.quiesce()
      const told = world.told('t1')
      expect(told).toHaveLength(51) // submitted, 49 in part, filled
      expect(told.at(-1)).toBe('trade.filled')
    },
  )

  test('FIL-04 fills of a replacement arrive before those of the original - all are sent', async () => {
    const world = await openWorld({ seed: 6 })
    world.submit({ quantity: '30', orderType: 'limit', limitPrice: '180' })
    await world.settle()
    world.broker.streams.hold()
    for (let part = 0; part < 3; part += 1) world.fill('t1', '180', '1')
    const about = { userId: 'u1', connectionId: 'broker_1' }
    const command = replaceOrderSchema.parse({
      ...about,
      tradeId: 't1',
      commandId: 'r1',
      limitPrice: '186',
    })
    world.queue.add('commands', 'replaceOrder', command, 'r1')
    await world.settle()
    world.execute(about, clientOrderIdOf('u1', 't1', '0.1'), '185', '1')
    world.broker.streams.release((updates) => updates.toReversed())
    await world.quiesce()
    const told = world
      .entries('t1', 'trade.partialFill')
      .map((entry) => ({ averageFillPrice: 0, ...entry }))
    expect(told.map(({ averageFillPrice }) => averageFillPrice)).toEqual([
      185, 182.5, 181.666666667, 181.25,
    ])
  })
})

describe('fills of an order that ends early', () => {
  test.each(['nothing', 'the fill', 'the cancel', 'both'] as const)(
    'FIL-07 every size of a fill, its cancel reported first, lost: %s - both booked',
    async (lost) => {
      const world = await openWorld({ seed: 6 })
      const trades = Array.from({ length: 99 }, (_, index) => ({
        tradeId: `t${index + 1}`,
        filled: index + 1,
      }))
      for (const { tradeId } of trades) {
        world.submit({ tradeId, orderType: 'limit', limitPrice: '9' })
        await world.settle()
      }
      for (const { tradeId, filled } of trades) {
        world.broker.streams.hold()
        world.fill(tradeId, '9', String(filled))
        world.broker.move(world.clientOrderId(tradeId), 'canceled')
        const isKept = [
          lost === 'nothing' || lost === 'the cancel',
          lost === 'nothing' || lost === 'the fill',
        ]
        world.broker.streams.release((updates) =>
          updates.filter((_, index) => isKept[index]).reverse(),
        )
      }
      await world.quiesce()
      for (const { tradeId, filled } of trades) {
        expect(world.told(tradeId)).toEqual([
          'trade.submitted',
          'trade.partialFill',
          'trade.cancelled',
        ])
        const [ending] = world.entries(tradeId, 'trade.cancelled')
        expect(ending).toMatchObject({
          quantity: 100,
          filledQuantity: filled,
          cancelledBy: 'broker',
        })
      }
      const { positions } = await world.store.loadConnection('u1', 'broker_1')
      expect(positions.get('AAPL')?.quantity).toBe('4950') // 1 + 2 + ... + 99
    },
  )

  const crossings = ['fill, cancel', 'cancel, fill'] as const
  const answers = ['heard', 'lost'] as const
  const meetings = crossings.flatMap((order) => answers.map((answer) => [order, answer] as const))

  test.each(meetings)(
    'FIL-08 the last fill crosses a cancel, reports: %s, answer %s - filled',
    async (order, answer) => {
      const world = await openWorld({ seed: 8 })
      world.submit({ orderType: 'limit', limitPrice: '180' })
      await world.settle()
      world.broker.holdsCancels = true
      if (answer === 'lost') world.broker.fail('cancel', { kind: 'lose_reply' })
      world.broker.streams.hold()
      world.cancel()
      await world.settle()
      expect(world.told('t1')).toEqual(['trade.submitted']) // with either answer
      world.fill('t1', '180')
      world.broker.streams.release((updates) =>
        order === 'fill, cancel' ? [...updates].reverse() : updates,
      )
      await world.quiesce()
      expect(world.told('t1')).toEqual(['trade.submitted', 'trade.filled'])
    },
  )

  test.each(answers)('FIL-08 the cancel comes too late, answer %s - filled', async (answer) => {
    const world = await openWorld({ seed: 8 })
    world.submit({ orderType: 'limit', limitPrice: '180' })
    await world.settle()
    world.broker.isMute = true
    world.fill('t1', '180')
    if (answer === 'lost') world.broker.fail('cancel', { kind: 'lose_reply' })
    world.cancel()
    await world.settle()
    world.broker.isMute = false
    await world.quiesce()
    expect(world.told('t1')).toEqual(['trade.submitted', 'trade.filled'])
  })
})
