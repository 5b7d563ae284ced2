import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createPublisher } from '#store'
import { openWorld } from './world.ts'
import { Chance } from './world/chance.ts'
import { Subscriber } from './world/subscriber.ts'

describe('events whose publication is lost', () => {
  test.each(Array.from({ length: 20 }, (_, seed) => seed))(
    'RDQ-09 lost publications, seed %s - a subscriber ends with the whole log',
    async (seed) => {
      const world = await openWorld({ seed })
      const chance = new Chance(seed)
      const subscriber = new Subscriber(world.store)
      const since = world.store.log('u1').length
      await subscriber.start()
      const publish = (): void => subscriber.publish(() => chance.fraction() < 0.6)
      for (const tradeId of ['t1', 't2', 't3']) {
        world.submit({ tradeId, quantity: '10' })
        await world.settle()
        publish()
        for (let part = 0; part < 10; part += 1) {
          world.fill(tradeId, String(180 + part), '1')
          if (chance.below(2) === 0) await world.settle()
          publish()
        }
        await world.settle()
      }
      await subscriber.stream.check()
      const log = world.store.log('u1').map(({ event, id, prev }) => ({ event, id, prev }))
      expect(log.length).toBeGreaterThan(60)
      expect(subscriber.heard).toEqual(log.slice(since))
    },
  )
})

describe('a publication that is refused', () => {
  const unowned: unknown[] = []
  const note = (reason: unknown): void => void unowned.push(reason)
  beforeEach(() => void process.on('unhandledRejection', note))
  afterEach(() => void process.off('unhandledRejection', note))

  test('RDQ-12 quotes refused by Redis - counted, and no rejection is unhandled', async () => {
    // Never connected: every command is refused at once.
    const redis = new Redis({ lazyConnect: true, enableOfflineQueue: false })
    redis.disconnect()
    let failures = 0
    const publisher = createPublisher(redis, () => (failures += 1))
    const quote = {
      symbol: 'AAPL',
      bid: 1,
      ask: 2,
      last: 1.5,
      volume: 10,
      change: null,
      changePercent: null,
    }
    for (let count = 0; count < 100; count += 1)
      publisher.quote({ ...quote, timestamp: '2024-03-15T14:00:00.000Z' })
    await expect.poll(() => failures).toBe(100)
    await new Promise((resolve) => setImmediate(resolve))
    expect(unowned).toEqual([])
  })

  test('RDQ-12 commits refused by the store - logged later and sent once', async () => {
    const world = await openWorld({ seed: 1 })
    world.submit()
    await world.settle()
    for (let count = 0; count < 5; count += 1)
      world.faults.plan(count % 2 === 0 ? 'refused' : 'reply_lost')
    world.fill('t1', '180.5', '40')
    world.fill('t1', '181')
    await world.advance(30_000)
    expect(world.faults.met.get('store.commit refused')).toBe(3)
    await world.quiesce()
    expect(world.told('t1')).toEqual(['trade.submitted', 'trade.partialFill', 'trade.filled'])
    expect(unowned).toEqual([])
  })
})
