import { afterEach, describe, expect, test } from 'vitest'
import { clientOrderIdOf, dec, tradingDayOf } from '#domain'
import type { MarketClock } from '../../workers/broker/port.ts'
import { MarketHours } from '../../workers/broker/hours.ts'
import { settle } from '../support/fake-clock.ts'
import { follow, type Followed } from './followed.ts'
import { openWorld } from './world.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const t1 = clientOrderIdOf('u1', 't1')
const open: Followed[] = []
const started = async (over: Parameters<typeof follow>[0] = {}): Promise<Followed> => {
  const followed = await follow(over)
  open.push(followed)
  return followed
}
afterEach(async () => {
  for (const one of open.splice(0)) await stop(one)
})

async function stop({ owner, advance }: Followed): Promise<void> {
  const closed = owner.close()
  await advance(10_000)
  await closed
}

/** The worker is gone for a while, and another one takes its place. */
async function restart(one: Followed, awayMs: number): Promise<Followed> {
  await stop(one)
  await one.advance(awayMs)
  const owner = one.own()
  await settle()
  const next = { ...one, owner }
  open.splice(open.indexOf(one), 1, next)
  return next
}

const readsOf = ({ broker }: Followed): number =>
  broker.calls.filter(({ on }) => on === 'listOrders').length

describe('days and clocks', () => {
  test('CLK-01 jumps of an hour at every stage - the same events, and the lease is kept', async () => {
    const run = async (jumpsMs: readonly number[]) => {
      const world = await openWorld({ seed: 11 })
      const jump = (n: number): void => void (world.workers[0]!.wallOffsetMs = jumpsMs[n] ?? 0)
      world.submit()
      await world.settle()
      jump(0)
      world.fill('t1', '180', '40')
      await world.advance(20_000)
      jump(1)
      world.broker.isMute = true
      world.fill('t1', '181', '30')
      await world.advance(20_000)
      jump(2)
      world.fill('t1', '182')
      await world.advance(20_000)
      return { events: world.events(), name: world.workers[0]!.name }
    }
    const steady = await run([])
    expect(steady.events.filter((event) => event.startsWith('trade.'))).toHaveLength(4)
    for (const jumps of [
      [HOUR_MS, HOUR_MS, HOUR_MS],
      [-HOUR_MS, -HOUR_MS, -HOUR_MS],
      [HOUR_MS, -HOUR_MS, 0],
    ])
      expect(await run(jumps)).toEqual(steady)
  })

  test.each([
    ['the Friday before clocks go forward', '2025-03-07T14:29:00Z', '2025-03-07T21:01:00Z'],
    ['the Monday after', '2025-03-10T13:29:00Z', '2025-03-10T20:01:00Z'],
    ['the Friday before clocks go back', '2024-11-01T13:29:00Z', '2024-11-01T20:01:00Z'],
    ['the Monday after that', '2024-11-04T14:29:00Z', '2024-11-04T21:01:00Z'],
    ['the day after Thanksgiving', '2024-11-29T14:29:00Z', '2024-11-29T18:01:00Z'],
  ])('CLK-02 daylight saving and early closes - %s', async (_day, before, after) => {
    const one = await started({ startMs: Date.parse(before) })
    one.broker.isOpen = null // by its calendar
    const hours = new MarketHours(one.clock)
    expect(await hours.isOpen(one.broker)).toBe(false)
    await one.advance(2 * 60_000)
    expect(await hours.isOpen(one.broker)).toBe(true)
    await stop(open.pop()!) // nobody needs to follow the account through the day
    await one.advance(Date.parse(after) - one.clock.now())
    expect(await hours.isOpen(one.broker)).toBe(false)
  })

  test('CLK-02 a reading just before the opening - the opening is still noticed', async () => {
    const one = await started({ startMs: Date.parse('2024-03-19T13:29:59Z') })
    one.broker.isOpen = null // by its calendar
    const hours = new MarketHours(one.clock)
    expect(await hours.isOpen(one.broker)).toBe(false)
    await one.advance(1_000)
    expect(await hours.isOpen(one.broker)).toBe(true)
  })

  test('CLK-02 the calendar opens now but reports closed - read once, not every time', async () => {
    const one = await started()
    const { broker, clock } = one
    let readings = 0
    broker.readClock = async (): Promise<MarketClock> => {
      readings += 1
      const at = new Date(clock.now()).toISOString()
      return { at, isOpen: false, nextOpen: at, nextClose: at }
    }
    const hours = new MarketHours(clock)
    for (let asked = 0; asked < 10; asked += 1) await hours.isOpen(broker)
    expect(readings).toBe(1)
  })

  test('CLK-02 a fill right after the opening, mute stream - found within 15 s', async () => {
    for (let before = 0; before < 40; before += 4) {
      const one = await started({ startMs: Date.parse('2024-03-19T13:28:00Z') + before * 1_000 })
      one.broker.isOpen = null // by its calendar
      await one.place({ orderType: 'limit', limitPrice: dec('180') })
      await one.advance(Date.parse('2024-03-19T13:30:00Z') - one.clock.now())
      one.broker.isMute = true
      one.broker.fill(t1, '180')
      await one.advance(15_000)
      expect([before, one.told()]).toEqual([before, expect.arrayContaining(['trade.filled'])])
      await stop(open.pop()!)
    }
  })

  test('CLK-02 an unreadable calendar - polled as closed, and fills are still found', async () => {
    const one = await started()
    one.broker.fail('readClock', { kind: 'lose_request' }, { times: Infinity })
    await one.place({ orderType: 'limit', limitPrice: dec('180') })
    await one.advance(11 * 60_000)
    expect(one.owner.standing()).toMatchObject({ openMs: 60_000 })
    one.broker.isMute = true
    one.broker.fill(t1, '180')
    await one.advance(61_000)
    expect(one.told()).toContain('trade.filled')
  })

  test('CLK-03 order accepted out of hours - no ending before the open, fewer polls', async () => {
    const one = await started({ startMs: Date.parse('2024-03-19T00:00:00Z') })
    Object.assign(one.broker, { isOpen: false, acceptedAs: 'accepted' })
    await one.advance(60_000)
    await one.place()
    await one.advance(60_000)
    const before = readsOf(one)
    await one.advance(30 * 60_000)
    expect(readsOf(one) - before).toBeLessThanOrEqual(32)
    expect(one.told()).toEqual(['trade.submitted'])
    expect(one.followed).toEqual([])
    one.broker.isOpen = true
    one.broker.fill(t1, '180')
    await settle()
    expect(one.told()).toContain('trade.filled')
  })

  test.each(['told', 'lost', 'while nobody looked'])(
    'CLK-04 day order expires - the event %s',
    async (how) => {
      let one = await started()
      await one.place({ orderType: 'limit', limitPrice: dec('180') })
      one.broker.fill(t1, '180', '40')
      await settle()
      one.broker.isMute = how === 'lost'
      if (how === 'while nobody looked') {
        const closed = one.owner.close()
        await one.advance(10_000)
        await closed
      }
      one.broker.move(t1, 'expired')
      if (how === 'while nobody looked') one = await restart(one, HOUR_MS)
      await one.advance(20_000)
      const ends = one.store.log('u1').filter(({ event }) => event === 'trade.cancelled')
      expect(ends.map(({ payload }) => payload)).toMatchObject([
        { tradeId: 't1', filledQuantity: 40, cancelledBy: 'broker' },
      ])
      expect(await one.recordOf('t1')).toMatchObject({ status: 'expired' })
    },
  )

  test('CLK-04 done for the day - an order that is valid tomorrow does not end', async () => {
    const one = await started()
    await one.place({ orderType: 'limit', limitPrice: dec('180'), timeInForce: 'gtc' })
    one.broker.move(t1, 'done_for_day')
    await one.advance(60_000)
    expect(one.told()).toEqual(['trade.submitted'])
    one.broker.fill(t1, '180')
    await settle()
    expect(one.told()).toContain('trade.filled')
  })

  test('CLK-05 order open for forty days across restarts - both fills are booked once', async () => {
    let one = await started()
    await one.place({ orderType: 'limit', limitPrice: dec('180'), timeInForce: 'gtc' })
    one.broker.fill(t1, '180', '40')
    await settle()
    const { owner } = one
    const closed = owner.close()
    await one.advance(10_000)
    await closed
    await one.advance(29 * DAY_MS)
    one.broker.fill(t1, '179', '35')
    one = await restart(one, 9 * DAY_MS)
    await one.advance(60_000)
    expect(await one.differences()).toEqual([])
    expect(await one.recordOf('t1')).toMatchObject({
      status: 'partially_filled',
      totalCost: '13465',
    })
    expect(one.told().filter((event) => event.startsWith('trade.'))).toEqual([
      'trade.submitted',
      'trade.partialFill',
      'trade.partialFill',
    ])
    one = await restart(one, DAY_MS)
    one.broker.fill(t1, '178')
    await one.advance(20_000)
    expect(one.told()).toContain('trade.filled')
  })

  test.each([
    ['UTC', '2024-03-14T23:59:59.999Z'],
    ['New York', '2024-03-15T03:59:59.999Z'],
  ])(
    'CLK-06 fills on both sides of midnight in %s - both are booked once',
    async (_zone, lastMoment) => {
      let one = await started({ startMs: Date.parse(lastMoment) - HOUR_MS })
      await one.place({ orderType: 'limit', limitPrice: dec('180'), timeInForce: 'gtc' })
      const closed = one.owner.close()
      await one.advance(10_000)
      await closed
      await one.advance(Date.parse(lastMoment) - one.clock.now())
      one.broker.fill(t1, '180', '30')
      await one.advance(1)
      one.broker.fill(t1, '179', '30')
      one = await restart(one, 1_000)
      await one.advance(60_000)
      expect(await one.differences()).toEqual([])
      expect(one.told().filter((event) => event === 'trade.partialFill')).toHaveLength(2)
      one = await restart(one, 1_000)
      await one.advance(60_000)
      expect(one.told().filter((event) => event === 'trade.partialFill')).toHaveLength(2)
    },
  )

  test('an ended order whose exit executed today - stays in the hot state today', async () => {
    let one = await started()
    const exits = {
      takeProfit: { limitPrice: dec('190') },
      stopLoss: { stopPrice: dec('170'), limitPrice: null },
    }
    await one.place({ orderClass: 'bracket', timeInForce: 'gtc', ...exits })
    one.broker.fill(t1, '180')
    await settle()
    one = await restart(one, DAY_MS)
    const [, profit] = [...one.broker.orders.values()]
    one.broker.fill(profit!.brokerOrderId, '190')
    await one.advance(120_000)
    const hot = async () => (await one.store.loadConnection('u1', 'broker_1')).orders.length
    expect(await hot()).toBe(1)
    one = await restart(one, DAY_MS)
    await one.advance(120_000)
    expect(await hot()).toBe(0)
  })

  test('an order ended on an earlier day - archived, and its record is still found', async () => {
    let one = await started()
    await one.place()
    one.broker.fill(t1, '180')
    await settle()
    await one.advance(120_000)
    const hot = async () => (await one.store.loadConnection('u1', 'broker_1')).orders.length
    expect(await hot()).toBe(1)
    const day = tradingDayOf(one.clock.now())
    one = await restart(one, DAY_MS)
    await one.advance(120_000)
    expect(tradingDayOf(one.clock.now())).not.toBe(day)
    expect(await hot()).toBe(0)
    expect(await one.recordOf('t1')).toMatchObject({ status: 'filled' })
    const told = one.told()
    one = await restart(one, 60_000)
    await one.advance(120_000)
    expect(one.told()).toEqual(told)
  })
})
