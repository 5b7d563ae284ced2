import { describe, expect, test } from 'vitest'
import { clientOrderIdOf, dec } from '#domain'
import { type BoundaryName, boundaryNames } from '#runtime'
import { noMetrics, type AccountMetrics } from '../../workers/accounts/metrics.ts'
import type { LeaseDeps } from '../../workers/accounts/lease.ts'
import type { StreamUpdate } from '../../workers/broker/port.ts'
import { settle } from '../support/fake-clock.ts'
import { type Followed, following } from './followed.ts'

const t1 = clientOrderIdOf('u1', 't1')
const t2 = clientOrderIdOf('u1', 't2')
const started = following()

/** Everything that the broker does in one trading story, one step at a time. */
const story: readonly ((one: Followed) => void | Promise<void>)[] = [
  (one) => one.place(),
  ({ broker }) => broker.fill(t1, '180', '40'),
  (one) => one.place({ tradeId: 't2', symbol: 'MSFT', orderType: 'limit', limitPrice: dec('400') }),
  ({ broker }) => broker.fill(t1, '181', '25'),
  ({ broker }) => broker.fill(t2, '400', '30'),
  ({ broker }) => void broker.placeElsewhere('TSLA', '5'),
  ({ broker }) => broker.fill(t1, '182'),
  ({ broker }) => broker.fill('elsewhere-2', '200'),
  ({ broker }) => broker.move(t2, 'canceled'),
]

const counting = (): AccountMetrics & { gaps: string[]; recoveries: string[] } => {
  const counted = { gaps: [] as string[], recoveries: [] as string[] }
  return {
    ...noMetrics,
    ...counted,
    gap: (why) => void counted.gaps.push(why),
    recovered: (how) => void counted.recoveries.push(how),
  }
}

describe('an account that is followed', () => {
  test('FIL-05 any one report lost - found within 15 s, the late report changes nothing', async () => {
    const frames = await framesOfStory()
    expect(frames.length).toBeGreaterThan(8)
    for (let lost = 0; lost < frames.length; lost += 1) {
      const one = await started()
      let frame: StreamUpdate | null = null
      const { streams } = one.broker
      const send = streams.send.bind(streams)
      let count = 0
      streams.send = (update) => {
        if (count === lost) frame = update
        else send(update)
        count += 1
      }
      for (const step of story) {
        await step(one)
        await settle()
      }
      await one.advance(15_000)
      expect(await one.differences(), `frame ${lost} lost`).toEqual([])
      const told = one.told()
      send(frame!)
      await settle()
      await one.advance(60_000)
      expect(one.told(), `frame ${lost} late`).toEqual(told)
      expect(told.filter((event) => event === 'trade.filled')).toHaveLength(1)
    }
  })

  test('FIL-05 mute stream - a new order is polled within 5 s, a resting one within 15 s', async () => {
    const one = await started()
    await one.place()
    await one.place({ tradeId: 't2', symbol: 'MSFT', orderType: 'limit', limitPrice: dec('400') })
    await one.advance(60_000) // the limit order rests by now
    one.broker.isMute = true
    one.broker.fill(t1, '180')
    await one.advance(5_000)
    expect(one.told()).toContain('trade.filled')
    one.broker.fill(t2, '400')
    await one.advance(15_000)
    expect(one.told().filter((event) => event === 'trade.filled')).toHaveLength(2)
  })

  test('FIL-05 the list of executions fails - the fill is still booked', async () => {
    const one = await started()
    await one.place()
    one.broker.isMute = true
    one.broker.fail('listExecutions', { kind: 'error_before' }, { times: 3 })
    one.broker.fill(t1, '180')
    await one.advance(5_000)
    expect(one.told()).toContain('trade.filled')
    await one.advance(300_000)
    expect(await one.differences()).toEqual([])
  })

  test('FIL-05 executions not listed yet - inferred, and the listed ones change nothing', async () => {
    const one = await started()
    one.broker.executionLagMs = 120_000
    await one.place()
    one.broker.isMute = true
    one.broker.fill(t1, '180', '40')
    one.broker.fill(t1, '181')
    await one.advance(5_000)
    expect(await one.recordOf('t1')).toMatchObject({
      status: 'filled',
      cumulativeQuantity: '100',
      totalCost: '18060',
    })
    const told = one.told()
    await one.advance(300_000)
    expect(one.told()).toEqual(told)
    expect(await one.differences()).toEqual([])
  })

  test('FIL-06 fills during a disconnect - the events are those of an uninterrupted run', async () => {
    const uninterrupted = await started()
    for (const step of story) await step(uninterrupted)
    await settle()
    for (let cutAt = 1; cutAt < story.length; cutAt += 1) {
      const one = await started()
      for (const [index, step] of story.entries()) {
        if (index === cutAt) one.broker.streams.cut()
        await step(one)
        await settle()
      }
      await one.advance(20_000)
      expect(await one.differences(), `cut at ${cutAt}`).toEqual([])
      expect([...one.told()].sort(), `cut at ${cutAt}`).toEqual([...uninterrupted.told()].sort())
    }
  })

  test('CON-01 connected but mute - polling finds fills in time, one new stream opens', async () => {
    const accountMetrics = counting()
    const one = await started({ accountMetrics })
    one.broker.isMute = true
    for (let n = 0; n < 3; n += 1) {
      await one.place({ tradeId: `m${n}` })
      one.broker.fill(clientOrderIdOf('u1', `m${n}`), '180')
      await one.advance(5_000)
      expect(one.told().filter((event) => event === 'trade.filled')).toHaveLength(n + 1)
    }
    one.broker.isMute = false
    await one.advance(30_000)
    expect(accountMetrics.gaps).toEqual(['mute'])
    expect(one.broker.streams.handshakes).toBe(2)
    expect(one.broker.listeners.size).toBe(1)
  })

  test('CON-03 a fill at every point of a recovery - booked once', async () => {
    const points = boundaryNames.filter((name) => name.startsWith('reconcile.'))
    for (const point of points) {
      const once = new Set<BoundaryName>()
      let one: Followed | null = null
      const boundaries: LeaseDeps['boundaries'] = {
        reached(name) {
          if (one === null || name !== point || once.has(name)) return undefined
          once.add(name)
          one.broker.fill(t1, '181', '25')
          return undefined
        },
      }
      one = await started({ boundaries })
      await one.place()
      one.broker.fill(t1, '180', '40')
      await settle()
      one.broker.streams.cut()
      one.broker.fill(t1, '180.5', '10')
      await one.advance(90_000)
      expect(once.size, point).toBe(1)
      expect(await one.differences(), point).toEqual([])
      expect((await one.recordOf('t1'))?.cumulativeQuantity).toBe('75')
      expect(
        one.told().filter((event) => event === 'trade.partialFill'),
        point,
      ).toHaveLength(3)
    }
  })

  test('CON-06 calls down - stream reports are applied; stream down - polls are applied', async () => {
    const one = await started()
    await one.place()
    const disarm = one.broker.fail('read', { kind: 'lose_request' }, { times: Infinity })
    await one.advance(15_000)
    expect(one.owner.standing()).toMatchObject({ stream: 'live', calls: 'down' })
    one.broker.fill(t1, '180', '40')
    await settle()
    expect(one.told()).toContain('trade.partialFill')
    disarm()
    one.broker.streams.refusal = 'connection'
    one.broker.streams.cut()
    await one.advance(15_000)
    expect(one.owner.standing()).toMatchObject({ stream: 'down', calls: 'up', openMs: 4_000 })
    one.broker.fill(t1, '181')
    await one.advance(5_000)
    expect(one.told()).toContain('trade.filled')
    one.broker.streams.refusal = null
    await one.advance(10_000)
    expect(one.owner.standing()).toMatchObject({ stream: 'live', calls: 'up' })
    expect(await one.differences()).toEqual([])
  })

  test('CON-09 slow consumer - memory is bounded, one recovery runs, no fill is missing', async () => {
    const accountMetrics = counting()
    const one = await started({ accountMetrics })
    await one.place()
    const before = accountMetrics.recoveries.length
    const commit = one.store.commit.bind(one.store)
    let release: () => void = () => {}
    const slow = new Promise<void>((resolve) => (release = resolve))
    one.store.commit = async (...args) => {
      await slow
      return commit(...args)
    }
    one.broker.fill(t1, '180', '40')
    await settle()
    const [listener] = one.broker.listeners
    const [order] = one.broker.orders.values()
    const repeat = { order: order!, execution: null, bust: null, at: order!.updatedAt }
    for (let count = 0; count < 12_000; count += 1) listener!.onUpdate(repeat)
    one.broker.fill(t1, '181') // beyond the limit: dropped
    release()
    await one.advance(1_000)
    expect(accountMetrics.gaps).toEqual(['overflow'])
    expect(accountMetrics.recoveries.slice(before)).toEqual(['done'])
    expect(await one.differences()).toEqual([])
    expect(one.told().filter((event) => event === 'trade.filled')).toHaveLength(1)
  })
})

describe('recoveries and the request budget', () => {
  test('a recovery ended by the budget - tried again when half of the budget is back', async () => {
    const accountMetrics = counting()
    const one = await started({ accountMetrics })
    await one.advance(5_000)
    const before = accountMetrics.recoveries.length
    const calm = one.broker.fail('readPortfolio', { kind: 'rate_limit' }, { times: Infinity })
    one.broker.streams.cut()
    await one.advance(30_000)
    expect(accountMetrics.recoveries.slice(before)).toEqual(['failed'])
    calm()
    await one.advance(15_000)
    expect(accountMetrics.recoveries.slice(before)).toEqual(['failed', 'done'])
  })

  test('a first recovery ended by the budget - retried with pauses, fewer than 20 times', async () => {
    const accountMetrics = counting()
    const one = await started({ accountMetrics })
    const owner = one.own({ accountMetrics })
    await one.owner.close()
    const before = accountMetrics.recoveries.length
    const calm = one.broker.fail('readPortfolio', { kind: 'rate_limit' }, { times: Infinity })
    await one.advance(240_000)
    const tries = accountMetrics.recoveries.slice(before)
    expect(new Set(tries)).toEqual(new Set(['failed']))
    expect(tries.length).toBeLessThan(20)
    calm()
    await one.advance(62_000)
    expect(accountMetrics.recoveries.at(-1)).toBe('done')
    await owner.close()
  })

  test('a failed recovery - the next one continues from the executions already read', async () => {
    const one = await started()
    await one.advance(5_000)
    await one.owner.close()
    const ids = []
    for (let n = 0; n < 7; n += 1) {
      await one.advance(600_000)
      const { clientOrderId, brokerOrderId } = one.broker.placeElsewhere('TSLA', '5')
      one.broker.fill(clientOrderId, '200')
      ids.push(brokerOrderId)
    }
    one.broker.listOrders = async () => [] // they came and went between two lists, and only executions tell of them
    const calm = one.broker.fail('readPortfolio', { kind: 'rate_limit' }, { times: Infinity })
    const sinces: string[] = []
    const list = one.broker.listExecutions.bind(one.broker)
    one.broker.listExecutions = (since) => {
      sinces.push(since)
      return list(since)
    }
    const owner = one.own()
    await one.advance(130_000)
    const executedAt = one.broker.orders.get(ids[4]!)!.updatedAt
    expect(sinces.length).toBeGreaterThan(1)
    expect(Date.parse(sinces.at(-1)!)).toBeGreaterThanOrEqual(Date.parse(executedAt) - 300_000)
    calm()
    await one.advance(130_000)
    expect(await one.differences()).toEqual([])
    await owner.close()
  })

  test('Redis reconnects every 3 s - the orders are read rarely, and once after the last', async () => {
    const accountMetrics = counting()
    const one = await started({ accountMetrics })
    await one.advance(40_000)
    const before = accountMetrics.recoveries.length
    for (let times = 0; times < 20; times += 1) {
      one.owner.redisReconnected()
      await one.advance(3_000)
    }
    expect(accountMetrics.recoveries.length - before).toBeGreaterThanOrEqual(2)
    expect(accountMetrics.recoveries.length - before).toBeLessThanOrEqual(3)
    const sofar = accountMetrics.recoveries.length
    one.owner.redisReconnected()
    await one.advance(31_000)
    expect(accountMetrics.recoveries.length).toBe(sofar + 1)
  })
})

async function framesOfStory(): Promise<StreamUpdate[]> {
  const one = await started()
  const frames: StreamUpdate[] = []
  const { streams } = one.broker
  const send = streams.send.bind(streams)
  streams.send = (update) => {
    frames.push(update)
    send(update)
  }
  for (const step of story) {
    await step(one)
    await settle()
  }
  return frames
}
