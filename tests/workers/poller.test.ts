import { describe, expect, test } from 'vitest'
import { clientOrderIdOf, dec } from '#domain'
import { BrokerError, type OrderFilter } from '../../workers/broker/port.ts'
import { settle } from '../support/fake-clock.ts'
import { type Followed, following } from '../scenarios/followed.ts'

const started = following()
const MINUTE_MS = 60_000
const idOf = (tradeId: string): string => clientOrderIdOf('u1', tradeId)

/**
 * An account with so many resting orders, none of them in flight any more; returns the requests to
 * its broker from then on.
 */
async function resting(count: number) {
  const one = await started()
  const trades = Array.from({ length: count }, (_, index) => `t${index}`)
  for (const tradeId of trades)
    await one.place({ tradeId, orderType: 'limit', limitPrice: dec('180') })
  await one.advance(MINUTE_MS)
  const { broker } = one
  const lists: { status: OrderFilter['status']; atMs: number }[] = []
  const listOrders = broker.listOrders.bind(broker)
  broker.listOrders = (filter) => {
    lists.push({ status: filter.status, atMs: one.clock.now() })
    return listOrders(filter)
  }
  broker.calls.length = 0
  return { one, trades, lists }
}

const namesOf = (one: Followed, name: string): number =>
  one.told().filter((event) => event === name).length
const listsOf = ({ broker }: Followed): number =>
  broker.calls.filter(({ on }) => on === 'listOrders').length
const lookUps = ({ broker }: Followed): number =>
  broker.calls.filter(({ on }) => on === 'findByBrokerOrderId').length

describe('orders missing from a list of open orders', () => {
  test('CLK-04 many day orders expire unreported - one list of ended orders finds all', async () => {
    const { one, trades, lists } = await resting(8)
    const [kept, ...expired] = trades
    one.broker.isMute = true
    for (const tradeId of expired) one.broker.move(idOf(tradeId), 'expired')
    await one.advance(15_000)
    expect(namesOf(one, 'trade.cancelled')).toBe(expired.length)
    const [ended, ...others] = lists.filter(({ status }) => status === 'closed')
    expect(others).toEqual([])
    expect(lists.filter(({ atMs }) => atMs === ended?.atMs).map(({ status }) => status)).toEqual([
      'open',
      'closed',
    ])
    expect(lookUps(one)).toBe(0)
    expect(await one.recordOf(kept ?? '')).toMatchObject({ status: 'submitted' })
  })

  test('two missing orders are read by their ids, because a list would cost no less', async () => {
    const { one, trades, lists } = await resting(2)
    one.broker.isMute = true
    for (const tradeId of trades) one.broker.move(idOf(tradeId), 'expired')
    await one.advance(15_000)
    expect(namesOf(one, 'trade.cancelled')).toBe(2)
    expect([lookUps(one), lists.filter(({ status }) => status === 'closed').length]).toEqual([2, 0])
  })
})

describe('exits that the broker holds and does not list', () => {
  /** Brackets that have been entered; the stop loss of each is held behind its take profit. */
  async function held(count: number) {
    const one = await started()
    const { broker } = one
    const listOrders = broker.listOrders.bind(broker)
    broker.listOrders = async (filter) =>
      (await listOrders(filter)).filter(({ status }) => status !== 'held')
    const exits = {
      takeProfit: { limitPrice: dec('190') },
      stopLoss: { stopPrice: dec('170'), limitPrice: null },
    }
    for (let index = 0; index < count; index += 1) {
      await one.place({ tradeId: `t${index}`, orderClass: 'bracket', ...exits })
      broker.fill(idOf(`t${index}`), '180')
    }
    const legs = [...broker.orders.values()].filter(({ clientOrderId }) =>
      clientOrderId.startsWith('leg-'),
    )
    const of = (type: string) =>
      legs.filter(({ orderType }) => orderType === type).map((leg) => leg.brokerOrderId)
    const profits = of('limit')
    const stops = of('stop')
    for (const stop of stops) broker.move(stop, 'held')
    await one.advance(2 * MINUTE_MS)
    broker.calls.length = 0
    return { one, broker, profits, stops }
  }

  test('CAN-09 held exits are not polled one by one for ever', async () => {
    const { one } = await held(3)
    await one.advance(5 * MINUTE_MS)
    expect(lookUps(one)).toBe(0)
  })

  test('CAN-09 an exit fills, its sibling is canceled, unreported - the poll finds both', async () => {
    const { one, broker, profits, stops } = await held(3)
    broker.isMute = true
    broker.move(profits[1] ?? '', 'canceled')
    broker.fill(stops[1] ?? '', '170')
    await one.advance(15_000)
    expect(await one.differences()).toEqual([])
    expect((await one.recordOf('t1'))?.placements.map(({ status }) => status)).toEqual([
      'filled',
      'canceled',
      'filled',
    ])
  })
})

describe('the request budget is spent while orders are read by their ids', () => {
  test('the listed orders are applied, so they are not read again and again', async () => {
    const { one, trades } = await resting(3)
    const { broker } = one
    const [gone, filled] = trades.map(idOf)
    broker.isMute = true
    broker.move(gone ?? '', 'expired')
    broker.fill(filled ?? '', '179', '40')
    broker.findByBrokerOrderId = () =>
      Promise.reject(new BrokerError('RATE_LIMITED', 'spent', 5_000))
    await one.advance(15_000)
    expect(namesOf(one, 'trade.partialFill')).toBe(1)
  })
})

describe('a market order that is held up, as by a halt of its symbol', () => {
  /**
   * The events of an execution that the stream dropped, 5 s after it.
   * @param phaseMs when the order is placed, between two lists
   */
  async function seenOf(heldUpMs: number, phaseMs: number): Promise<string[]> {
    const { one } = await resting(1)
    await one.advance(phaseMs)
    await one.place({ tradeId: 'held-up' })
    await one.advance(heldUpMs)
    one.broker.isMute = true
    one.broker.fill(idOf('held-up'), '180')
    await one.advance(5_000)
    return one.told().filter((event) => event.startsWith('trade.'))
  }

  // After ten minutes the order is read in another way: these times are around that moment, with
  // any list due.
  test.each([594, 596, 598, 600, 602, 604, 606, 1_200])(
    'P7 for %i s: its fill is found within 5 s',
    async (seconds) => {
      for (const phaseMs of [0, 2_000, 4_000, 6_000, 8_000, 10_000])
        expect(await seenOf(seconds * 1_000, phaseMs), `placed ${phaseMs} ms later`).toContain(
          'trade.filled',
        )
    },
  )

  test('is read with the open orders, which are read less often once it has ended', async () => {
    const one = await started()
    await one.place()
    await one.place({ tradeId: 't2', orderType: 'limit', limitPrice: dec('150') })
    await one.advance(20 * MINUTE_MS)
    one.broker.calls.length = 0
    await one.advance(MINUTE_MS)
    expect(one.owner.standing()).toMatchObject({ openMs: 4_000, isStretched: false })
    expect([listsOf(one), lookUps(one)]).toEqual([15, 0])
    one.broker.fill(idOf('t1'), '180')
    await one.advance(MINUTE_MS)
    expect(one.owner.standing()).toMatchObject({ openMs: 12_000 })
  })

  test('neither exits of a filled order nor orders before the open are read in haste', async () => {
    const one = await started()
    const exits = {
      takeProfit: { limitPrice: dec('190') },
      stopLoss: { stopPrice: dec('170'), limitPrice: null },
    }
    await one.place({ orderClass: 'bracket', ...exits })
    one.broker.fill(idOf('t1'), '180')
    await one.advance(20 * MINUTE_MS)
    expect(one.owner.standing()).toMatchObject({ openOrders: 1, openMs: 12_000 })
    await one.place({ tradeId: 't2' })
    one.broker.isOpen = false
    await one.advance(20 * MINUTE_MS)
    expect(one.owner.standing()).toMatchObject({ openOrders: 2, openMs: 60_000 })
  })
})

describe('timers that fire a moment early', () => {
  test('the list of open orders is read when it is due, and not a turn later', async () => {
    const { one, lists } = await resting(1)
    const after = one.clock.after.bind(one.clock)
    one.clock.after = (delayMs, run) => after(Math.max(0, delayMs - 1), run)
    await one.advance(5 * MINUTE_MS)
    await settle()
    const atMs = lists.filter(({ status }) => status === 'open').map((list) => list.atMs)
    const pauses = atMs.slice(1).map((at, index) => at - (atMs[index] ?? 0))
    expect(pauses.length).toBeGreaterThan(20)
    expect(Math.max(...pauses)).toBeLessThanOrEqual(12_000)
  })
})
