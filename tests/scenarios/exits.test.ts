import { describe, expect, test } from 'vitest'
import { flattenTradeId, type SubmitOrder } from '#contract'
import { clientOrderIdOf } from '#domain'
import { atBroker, bracket, exitsOf } from './bracket.ts'
import { following } from './followed.ts'
import { openWorld, type World, type WorldOptions } from './world.ts'

const t1 = clientOrderIdOf('u1', 't1')
const started = following()

const parents = { none: [], partial: ['40'], full: ['40', '60'] } as const
const fates = { neither: [], profit: ['profit'], stop: ['stop'], both: ['profit', 'stop'] } as const
const weathers = ['told', 'lost', 'twice'] as const

describe('exits of a bracket', () => {
  for (const parent of ['none', 'partial', 'full'] as const)
    for (const fate of ['neither', 'profit', 'stop', 'both'] as const)
      for (const weather of weathers)
        test(`CAN-09 parent filled ${parent}, exits ${fate}, events ${weather} - one ending`, async () => {
          const one = await started()
          if (weather === 'lost') one.broker.isMute = true
          if (weather === 'twice') one.broker.streams.repeat(2)
          await atBroker(one, bracket)
          for (const part of parents[parent]) one.broker.fill(t1, '180', part)
          if (parent !== 'full') one.broker.move(t1, 'canceled')
          // A venue may execute both before it hears that one of them is done; and what came too
          // late for the entry.
          for (const exit of parent === 'none' ? [] : fates[fate])
            one.broker.fill(exitsOf(one)[exit], '185', parent === 'full' ? '100' : '40')
          await one.advance(45_000)
          expect(await one.differences()).toEqual([])
          const record = await one.recordOf('t1')
          expect(record?.placements.map(({ leg }) => leg).sort()).toEqual([
            'entry',
            'stopLoss',
            'takeProfit',
          ])
          expect(one.broker.orders.size).toBe(3)
          const told = one.told().filter((event) => event.startsWith('trade.'))
          expect(told[0]).toBe('trade.submitted')
          expect(told.at(-1)).toBe(parent === 'full' ? 'trade.filled' : 'trade.cancelled')
          expect(told.filter((event) => /filled|cancelled/.test(event))).toHaveLength(1)
          const events = one.told().length
          await one.advance(120_000)
          expect(one.told()).toHaveLength(events)
        })

  test('CAN-09 the first report of an exit is its fill - the exit joins its trade', async () => {
    const one = await started()
    one.broker.isMute = true
    await atBroker(one, bracket)
    one.broker.isMute = false
    one.broker.fill(t1, '180')
    one.broker.fill(exitsOf(one).profit, '190')
    await one.advance(1_000)
    expect((await one.recordOf('t1'))?.placements).toHaveLength(3)
    expect(await one.differences()).toEqual([])
  })
})

const alarms = (world: World): number =>
  world.warnings.filter((line) => line.includes('order.exits_executed_more_than_entry')).length

/**
 * A bracket of 100 that has been filled at the entry; its exits are the broker's second and third
 * order.
 */
async function entered(
  over: Partial<SubmitOrder> = {},
  options: Partial<WorldOptions> = {},
): Promise<World> {
  const world = await openWorld({ seed: 3, ...options })
  const exits = { takeProfit: { limitPrice: '190' }, stopLoss: { stopPrice: '170' } }
  world.submit({ orderClass: 'bracket', orderType: 'limit', limitPrice: '180', ...exits, ...over })
  await world.settle()
  world.fill(over.tradeId ?? 't1', '180')
  await world.advance(30_000)
  return world
}

describe('both exits of a bracket execute', () => {
  test.each<[string, (world: World) => Promise<void> | void]>([
    ['at once', () => {}],
    ['one after the other', (world) => world.advance(60_000)],
    ['with the second fill lost by the stream', (world) => void (world.broker.isMute = true)],
  ])('CAN-09 %s - both are booked, and one alarm is raised', async (_how, between) => {
    const world = await entered()
    world.broker.fill('b-2', '190')
    await between(world)
    world.broker.fill('b-3', '170')
    await world.advance(31_000)
    expect(world.store.positionOf('u1', 'broker_1', 'AAPL')?.quantity).toBe('-100')
    expect(alarms(world)).toBe(1)
    await world.advance(120_000)
    expect(alarms(world)).toBe(1)
    world.restart(world.workers[0]!)
    await world.advance(60_000)
    expect(alarms(world)).toBe(2) // the next owner raises the alarm as well
  })

  test('CAN-09 both in part, together no more than the entry - no alarm', async () => {
    const world = await entered()
    world.broker.fill('b-2', '190', '60')
    await world.advance(1_000)
    world.broker.fill('b-3', '170', '40')
    await world.advance(60_000)
    expect([world.store.positionOf('u1', 'broker_1', 'AAPL'), alarms(world)]).toEqual([null, 0])
  })

  test('CAN-09 the venue busts one of them at once - no alarm', async () => {
    const world = await entered()
    world.broker.fill('b-2', '190')
    world.broker.fill('b-3', '170')
    world.broker.bust('b-3')
    await world.advance(60_000)
    expect([world.store.positionOf('u1', 'broker_1', 'AAPL'), alarms(world)]).toEqual([null, 0])
  })
})

test('CAN-10 the venue busts the whole entry of a bracket - its exits are canceled', async () => {
  const world = await entered()
  world.broker.bust('b-1')
  await world.advance(60_000)
  const exits = [...world.broker.orders.values()].filter(({ clientOrderId }) =>
    clientOrderId.startsWith('leg-'),
  )
  expect(exits.map(({ status }) => status)).toEqual(['canceled', 'canceled'])
  await world.quiesce()
})

test('CAN-10 store lost before the exits of a busted entry are canceled - canceled', async () => {
  const world = await entered({}, { isWhole: true })
  world.broker.bust('b-1')
  await world.settle()
  world.store.wipe()
  await world.advance(60_000)
  const exits = [...world.broker.orders.values()].filter(({ clientOrderId }) =>
    clientOrderId.startsWith('leg-'),
  )
  expect(exits.map(({ status }) => status)).toEqual(['canceled', 'canceled'])
  await world.quiesce()
})

describe('both exits of a bracket execute - the excess is flattened', () => {
  const flatten = { overExit: 'flatten' } as const
  const held = (world: World) => world.store.positionOf('u1', 'broker_1', 'AAPL')?.quantity ?? null
  const elsewhere = (world: World, side: 'buy' | 'sell', quantity: string): void =>
    void world.broker.fill(world.broker.placeElsewhere('AAPL', quantity, side).brokerOrderId, '180')
  const execute = (world: World): void =>
    ['b-2', 'b-3'].forEach((exit) => world.broker.fill(exit, '185'))
  /** The submissions besides the bracket. */
  const sent = (world: World) =>
    world.broker.submissions.slice(1).map(({ intent: { tradeId, side, quantity, orderType } }) => {
      return `${tradeId} ${side} ${quantity} ${orderType}`
    })

  test('CAN-09 the short - closed by one trade, also after restarts', async () => {
    const world = await entered({}, flatten)
    execute(world)
    await world.advance(62_000)
    expect(sent(world)).toEqual(['flatten-t1 buy 100 market'])
    await world.advance(60_000)
    world.restart(world.workers[0]!)
    await world.advance(90_000) // it has not executed yet: the position is as it was
    world.fill('flatten-t1', '186')
    await world.advance(30_000)
    expect([held(world), alarms(world)]).toEqual([null, 2])
    elsewhere(world, 'sell', '100') // an intended short position
    world.restart(world.workers[0]!)
    await world.advance(120_000)
    expect([held(world), sent(world)]).toEqual(['-100', ['flatten-t1 buy 100 market']])
    expect(world.told('flatten-t1')).toEqual(['trade.submitted', 'trade.filled'])
    await world.quiesce()
    await world.repeatAll()
  })

  test('CAN-09 a short entry and both exits - the long excess is sold', async () => {
    const exits = { takeProfit: { limitPrice: '170' }, stopLoss: { stopPrice: '190' } }
    const world = await entered({ side: 'sell', ...exits }, flatten)
    execute(world)
    await world.advance(62_000)
    expect(sent(world)).toEqual(['flatten-t1 sell 100 market'])
  })

  test('CAN-09 a long trade id - the flattening trade is named by a digest', async () => {
    const tradeId = 't'.repeat(64)
    const world = await entered({ tradeId }, flatten)
    execute(world)
    await world.advance(62_000)
    expect(sent(world)).toEqual([`${flattenTradeId(tradeId)} buy 100 market`])
  })

  test.each([
    ['300', '200', [], []],
    ['70', '-30', ['flatten-t1 buy 30 market'], ['trade.submitted']],
  ])(
    'CAN-09 %s shares were held besides - only the short part is closed',
    async (others, left, expected, told) => {
      const world = await entered({}, flatten)
      elsewhere(world, 'buy', others)
      execute(world)
      await world.advance(120_000)
      expect([held(world), sent(world), alarms(world)]).toEqual([left, expected, 1])
      expect(world.told('flatten-t1')).toEqual(told)
    },
  )

  test('CAN-09 a short opened later - left alone, also after a restart', async () => {
    const world = await entered({}, flatten)
    elsewhere(world, 'buy', '300')
    execute(world)
    await world.advance(60_000)
    elsewhere(world, 'sell', '200')
    elsewhere(world, 'sell', '50')
    await world.advance(60_000)
    world.restart(world.workers[0]!)
    await world.advance(120_000)
    expect([held(world), sent(world)]).toEqual(['-50', []])
  })

  test('CAN-09 the position turns before the close runs - rejected, nothing is sent', async () => {
    const world = await entered({}, flatten)
    execute(world)
    world.at('close.dequeued', () => elsewhere(world, 'buy', '150'))
    await world.advance(120_000)
    expect([held(world), sent(world)]).toEqual(['50', []])
    expect(world.entries('flatten-t1', 'trade.rejected')).toMatchObject([
      { code: 'NOTHING_TO_CLOSE' },
    ])
  })

  test('CAN-09 one exit is still open - nothing is sent until it executes', async () => {
    const world = await entered({}, flatten)
    world.broker.bust('b-1')
    world.broker.fill('b-2', '190', '60')
    await world.advance(120_000)
    expect([held(world), sent(world), alarms(world)]).toEqual(['-60', [], 1])
    world.broker.fill('b-3', '170')
    await world.advance(62_000)
    expect([held(world), sent(world)]).toEqual(['-100', ['flatten-t1 buy 100 market']])
  })

  test('CAN-09 the venue busts one exit after the alarm - nothing is sent', async () => {
    const world = await entered({}, flatten)
    execute(world)
    await world.until(() => alarms(world) === 1, 60_000)
    world.broker.bust('b-3')
    await world.advance(120_000)
    expect([held(world), sent(world)]).toEqual([null, []])
  })

  test.each([
    ['the day before', '2024-03-16T03:59:50Z', 0, []],
    ['today', '2024-03-16T03:49:50Z', 0, ['flatten t1 100 short']],
    ['today, and entered the day before', '2024-03-16T03:49:50Z', 20, ['flatten t1 100 short']],
  ])(
    'CAN-09 executed %s - only an excess of today is closed',
    async (_day, start, minutes, expected) => {
      const one = await started({ startMs: Date.parse(start), ...flatten })
      await atBroker(one, { ...bracket, timeInForce: 'gtc' })
      one.broker.fill(t1, '180')
      await one.advance(minutes * 60_000)
      const { profit, stop } = exitsOf(one)
      for (const exit of [profit, stop]) one.broker.fill(exit, '185')
      await one.advance(300_000)
      expect(one.followed).toEqual(expected)
    },
  )

  test('CAN-09 the policy is to alarm - nothing is sent', async () => {
    const world = await entered()
    execute(world)
    await world.advance(300_000)
    expect([held(world), sent(world), alarms(world)]).toEqual(['-100', [], 1])
  })

  test('CAN-09 all trading is halted - rejected once, and the alarm is raised', async () => {
    const world = await entered({}, flatten)
    void world.halt()
    execute(world)
    await world.advance(62_000)
    void world.resume()
    world.restart(world.workers[0]!)
    await world.advance(120_000)
    expect([sent(world), alarms(world)]).toEqual([[], 2])
    expect(world.told('flatten-t1')).toEqual(['trade.rejected'])
    expect(world.entries('flatten-t1', 'trade.rejected')).toMatchObject([{ code: 'HALTED' }])
  })
})
