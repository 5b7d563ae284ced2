import { describe, expect, test } from 'vitest'
import { clientOrderIdOf, dec } from '#domain'
import type { OrderFilter } from '../../workers/broker/index.ts'
import { settle } from '../support/fake-clock.ts'
import { type Followed, following } from '../scenarios/followed.ts'

const started = following()
const MINUTE_MS = 60_000
const idOf = (tradeId: string): string => clientOrderIdOf('u1', tradeId)

/** An account with so many resting orders, which nobody has in flight any more; what is asked of its broker from then on. */
async function resting(count: number) {
  const one = await started()
  const trades = Array.from({ length: count }, (_, index) => `t${index}`)
  for (const tradeId of trades) await one.place({ tradeId, orderType: 'limit', limitPrice: dec('180') })
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

const namesOf = (one: Followed, name: string): number => one.told().filter((event) => event === name).length
const lookUps = ({ broker }: Followed): number => broker.calls.filter(({ on }) => on === 'findByBrokerOrderId').length

describe('what a list of open orders lacks', () => {
  test('CLK-04 many day orders expire at once, unheard: one list of what has ended tells of all, whatever rests beside them', async () => {
    const { one, trades, lists } = await resting(8)
    const [kept, ...expired] = trades
    one.broker.isMute = true
    for (const tradeId of expired) one.broker.move(idOf(tradeId), 'expired')
    await one.advance(15_000)
    expect(namesOf(one, 'trade.cancelled')).toBe(expired.length)
    const [ended, ...others] = lists.filter(({ status }) => status === 'closed')
    expect(others).toEqual([])
    expect(lists.filter(({ atMs }) => atMs === ended?.atMs).map(({ status }) => status)).toEqual(['open', 'closed'])
    expect(lookUps(one)).toBe(0)
    expect(await one.recordOf(kept ?? '')).toMatchObject({ status: 'submitted' })
  })

  test('two are read by their ids: a list would cost no less', async () => {
    const { one, trades, lists } = await resting(2)
    one.broker.isMute = true
    for (const tradeId of trades) one.broker.move(idOf(tradeId), 'expired')
    await one.advance(15_000)
    expect(namesOf(one, 'trade.cancelled')).toBe(2)
    expect([lookUps(one), lists.filter(({ status }) => status === 'closed').length]).toEqual([2, 0])
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
