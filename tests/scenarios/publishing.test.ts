import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { EVENT_ID_ZERO } from '#contract'
import { createLogger, Metrics, systemClock } from '#runtime'
import { createPublisher, type Reader } from '#store'
import { createRelayMetrics } from '../../relay/context.ts'
import { type Outlet, UserStream } from '../../relay/user-stream.ts'
import { openWorld, type World } from './world.ts'
import { Chance } from './world/chance.ts'

/** The log of u1 as a relay reads it. */
function readerOf(world: World): Reader {
  const log = () => world.store.log('u1')
  const top = (): string => log().at(-1)?.id ?? EVENT_ID_ZERO
  return {
    top: async () => top(),
    order: async () => null,
    snapshot: async () => ({ version: '0', lastEventId: top(), orders: [], positions: [], accounts: [] }),
    events: async (_userId, afterId, limit) => ({
      top: top(),
      entries: log()
        .filter(({ id }) => id > afterId)
        .slice(0, limit),
    }),
  }
}

describe('an event that is published to nobody', () => {
  test.each(Array.from({ length: 20 }, (_, seed) => seed))(
    'RDQ-09 some publications are lost, seed %s - a subscriber ends with the whole log',
    async (seed) => {
      const world = await openWorld({ seed })
      const [chance, heard] = [new Chance(seed), [] as unknown[]]
      const outlet: Outlet = {
        isOpen: () => true,
        isBehind: () => false,
        tell: (event) => heard.push(event),
        deliver: ({ event, meta }) => heard.push({ event, ...meta }),
      }
      const metrics = createRelayMetrics(new Metrics(false))
      const deps = { reader: readerOf(world), clock: systemClock, log: createLogger('test', 'silent'), metrics }
      const stream = new UserStream(deps, 'u1', outlet)
      let published = world.store.log('u1').length
      const since = published
      await stream.start(world.store.log('u1').at(-1)?.id, () => {})
      const publish = (): void => {
        for (const { id, prev, event, payload } of world.store.log('u1').slice(published))
          if (chance.fraction() < 0.6) stream.receive({ event, payload, meta: { id, prev } })
        published = world.store.log('u1').length
      }
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
      await stream.check()
      const log = world.store.log('u1').map(({ event, id, prev }) => ({ event, id, prev }))
      expect(log.length).toBeGreaterThan(60)
      expect(heard).toEqual(log.slice(since))
    },
  )
})

describe('a publication that is refused', () => {
  const unowned: unknown[] = []
  const note = (reason: unknown): void => void unowned.push(reason)
  beforeEach(() => void process.on('unhandledRejection', note))
  afterEach(() => void process.off('unhandledRejection', note))

  test('RDQ-12 is counted, and no promise is left without an owner', async () => {
    // Never connected: every command is refused at once.
    const redis = new Redis({ lazyConnect: true, enableOfflineQueue: false })
    redis.disconnect()
    let failures = 0
    const publisher = createPublisher(redis, () => (failures += 1))
    const quote = { symbol: 'AAPL', bid: 1, ask: 2, last: 1.5, volume: 10, change: null, changePercent: null }
    for (let count = 0; count < 100; count += 1) publisher.quote({ ...quote, timestamp: '2024-03-15T14:00:00.000Z' })
    await expect.poll(() => failures).toBe(100)
    await new Promise((resolve) => setImmediate(resolve))
    expect(unowned).toEqual([])
  })

  test('RDQ-12 logged events do not depend on it: what the store refuses is written and told later, once', async () => {
    const world = await openWorld({ seed: 1 })
    world.submit()
    await world.settle()
    for (let count = 0; count < 5; count += 1) world.faults.plan(count % 2 === 0 ? 'refused' : 'reply_lost')
    world.fill('t1', '180.5', '40')
    world.fill('t1', '181')
    await world.advance(30_000)
    expect(world.faults.met.get('refused')).toBe(3)
    await world.quiesce()
    expect(world.told('t1')).toEqual(['trade.submitted', 'trade.partialFill', 'trade.filled'])
    expect(unowned).toEqual([])
  })
})
