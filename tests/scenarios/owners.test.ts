import { afterEach, describe, expect, test } from 'vitest'
import { clientOrderIdOf } from '#domain'
import type { ConnectionRef, Registry } from '#store'
import { type ConnectionLease, LEASE_TTL_MS } from '../../workers/accounts/lease.ts'
import { MarketHours } from '../../workers/broker/hours.ts'
import { noMetrics } from '../../workers/accounts/metrics.ts'
import { ConnectionBalancer } from '../../workers/accounts/balancer.ts'
import { noBoundaries } from '#runtime'
import { settle } from '../support/fake-clock.ts'
import { makeWorker } from '../workers/harness.ts'
import { follow } from './followed.ts'
import { openWorld } from './world.ts'

const t1 = clientOrderIdOf('u1', 't1')

/** Workers over the same connections; each can be stopped, or vanish without a word. */
function fleet(connections: number) {
  const worker = makeWorker()
  const { store, clock, leases, recoveries, writer, brokers, log } = worker
  const refs = Array.from({ length: connections }, (_, n): ConnectionRef => ({
    userId: `u${n}`,
    connectionId: `b${n}`,
  }))
  for (const ref of refs) store.link(ref)
  const alive = new Set<string>()
  const registry: Registry = {
    async beat(id) {
      alive.add(id)
      return alive.size
    },
    leave: async (id) => void alive.delete(id),
  }
  const start = (workerId: string): ConnectionBalancer => {
    const hours = new MarketHours(clock)
    const followUps = { resolve: async () => {}, cancel: async () => {}, flatten: async () => {} }
    const quarantine = { note: async () => {} }
    const ports = {
      writer,
      brokers,
      leases,
      recoveries,
      quarantine,
      hours,
      followUps,
      clock,
      log,
      registry,
      workerId,
    }
    const ownership = new ConnectionBalancer({
      ...ports,
      boundaries: noBoundaries,
      accountMetrics: noMetrics,
      overExit: 'alarm',
      askForCheck: () => {},
    })
    for (const ref of refs) ownership.changed(ref)
    return ownership
  }
  return { ...worker, refs, alive, start }
}

const closing = async (
  one: { close(): Promise<void> },
  advance: (ms: number) => Promise<void>,
): Promise<void> => {
  const closed = one.close()
  await advance(10_000)
  await closed
}

describe('workers that share connections', () => {
  test('three workers - equal shares after a join, leases released at a leave', async () => {
    const { start, clock, store } = fleet(10)
    const advance = (ms: number): Promise<void> => clock.advance(ms)
    const a = start('a')
    await advance(3_000)
    expect(a.ownedCount).toBe(10)
    const b = start('b')
    await advance(8_000)
    expect([a.ownedCount, b.ownedCount]).toEqual([5, 5])
    const c = start('c')
    await advance(8_000)
    expect([a, b, c].map((one) => one.ownedCount).sort()).toEqual([2, 4, 4])
    await closing(b, advance)
    expect(a.ownedCount + c.ownedCount).toBe(10)
    expect(Math.abs(a.ownedCount - c.ownedCount)).toBeLessThanOrEqual(2)
    expect(store.leases.size).toBe(10)
    await closing(a, advance)
    await closing(c, advance)
    expect(store.leases.size).toBe(0)
  })

  test('connections of a vanished worker are taken once their leases expire', async () => {
    const { start, clock, store, alive, refs } = fleet(4)
    alive.add('vanished')
    for (const { userId, connectionId } of refs.slice(0, 2))
      store.leases.set(`${userId} ${connectionId}`, 'its token')
    const a = start('a')
    await clock.advance(5_000)
    expect(a.ownedCount).toBe(2)
    for (const { userId, connectionId } of refs.slice(0, 2))
      store.leases.delete(`${userId} ${connectionId}`) // they ran out
    await clock.advance(10_000 - LEASE_TTL_MS)
    expect(a.ownedCount).toBe(4)
    await closing(a, (ms) => clock.advance(ms))
  })
})

describe('one connection, several owners', () => {
  const open: ConnectionLease[] = []
  afterEach(() => void open.splice(0))

  test('MUL-05 two owners, one frozen beyond its lease - no double event, few handshakes', async () => {
    for (let seed = 1; seed <= 8; seed += 1) {
      const world = await openWorld({ seed, workers: 2 })
      world.submit()
      await world.settle()
      world.fill('t1', '180', '40')
      world.freezeAt('update.received', 20_000 + seed * 1_000)
      world.fill('t1', '181', '30')
      await world.advance(12_000)
      world.fill('t1', '182')
      await world.quiesce()
      expect(world.told('t1')).toEqual([
        'trade.submitted',
        'trade.partialFill',
        'trade.partialFill',
        'trade.filled',
      ])
      expect(world.broker.streams.handshakes).toBeLessThanOrEqual(4)
    }
  })

  test('MUL-01 fifty users at once - each user gets only own fills', async () => {
    const accounts = Array.from({ length: 50 }, (_, n): ConnectionRef => ({
      userId: `u${n}`,
      connectionId: `broker_${n}`,
    }))
    const world = await openWorld({ seed: 5, workers: 2, accounts })
    for (const ref of accounts)
      world.submit({ ...ref, tradeId: 'same', quantity: String(Number(ref.userId.slice(1)) + 1) })
    await world.settle()
    for (const [n, ref] of accounts.entries()) {
      if (n % 7 === 0) world.brokerOf(ref).streams.cut()
      world.fill('same', '180', undefined, ref)
    }
    await world.advance(30_000)
    for (const [n, { userId }] of accounts.entries()) {
      const filled = world.store.log(userId).filter(({ event }) => event === 'trade.filled')
      expect(filled.map(({ payload }) => payload)).toMatchObject([{ userId, quantity: n + 1 }])
    }
  })

  test('MUL-01 keys of another account - its data is not booked, a check is requested', async () => {
    const one = await follow()
    await closing(one.owner, one.advance)
    const told = one.told().length
    Object.assign(one.broker, { accountId: 'somebody-else' })
    one.broker.placeElsewhere('MSFT', '10')
    one.broker.fill('elsewhere-0', '400')
    const owner = one.own()
    await one.advance(60_000)
    expect(one.told()).toHaveLength(told)
    expect(one.checks.length).toBeGreaterThan(0)
    expect((await one.store.loadConnection('u1', 'broker_1')).positions.size).toBe(0)
    await closing(owner, one.advance)
  })

  test('MUL-01 stream reports before the account check - not booked if it is another one', async () => {
    const one = await follow()
    await closing(one.owner, one.advance)
    const told = one.told().length
    Object.assign(one.broker, { accountId: 'somebody-else' })
    one.broker.fail('read', { kind: 'delay_reply', ms: 20_000 }, { times: Infinity })
    const owner = one.own()
    await one.advance(2_000)
    expect(owner.standing()?.stream).toBe('live')
    one.broker.placeElsewhere('MSFT', '10')
    one.broker.fill('elsewhere-0', '400')
    await one.advance(10_000)
    expect((await one.store.loadConnection('u1', 'broker_1')).orders).toEqual([])
    await one.advance(60_000)
    expect(one.told()).toHaveLength(told)
    expect((await one.store.loadConnection('u1', 'broker_1')).positions.size).toBe(0)
    await closing(owner, one.advance)
  })

  test.each([1, 2, 3])(
    'MUL-01 seed %i, a fill while the account cannot be checked - booked only after',
    async (seed) => {
      const world = await openWorld({ seed })
      world.submit()
      await world.settle()
      const heal = world.broker.fail('read', { kind: 'error_before' }, { times: Infinity })
      world.at('broker.readAccount answered', () => world.fill('t1', '180', '40'))
      world.restart(world.workers[0]!)
      await world.until(() => world.broker.orders.get('b-1')?.filledQuantity === '40', 60_000)
      await world.advance(1_000)
      expect((await world.order('t1'))?.cumulativeQuantity).toBe('0')
      heal()
      await world.advance(30_000)
      world.fill('t1', '181')
      await world.quiesce()
      expect(world.told('t1')).toEqual(['trade.submitted', 'trade.partialFill', 'trade.filled'])
    },
  )

  test('MUL-01 a first read that ends after a lease change - the store refuses it', async () => {
    const world = await openWorld({ seed: 4, workers: 2, isAdopted: false })
    world.freezeAt('broker.listExecutions', 20_000)
    await world.advance(15_000)
    expect(world.events()).toEqual(['state.resync', 'broker.connected'])
    await world.advance(15_000)
    await world.quiesce()
    expect(world.events()).toEqual(['state.resync', 'broker.connected'])
  })

  test('CRA-04 crash after each step of a reconcile, up to three times - booked once', async () => {
    const points = [
      ...([
        'reconcile.orders_read',
        'reconcile.executions_read',
        'reconcile.portfolio_read',
      ] as const),
      ...(['reconcile.committed', 'poll.listed', 'poll.applied'] as const),
    ]
    for (const point of points)
      for (let times = 1; times <= 3; times += 1) {
        const world = await openWorld({ seed: times })
        world.submit()
        await world.settle()
        world.fill('t1', '180', '40')
        world.broker.streams.cut()
        world.fill('t1', '181', '30')
        for (let crash = 0; crash < times; crash += 1) world.crashAt(point)
        await world.advance(60_000)
        world.fill('t1', '182')
        await world.quiesce()
        expect(world.told('t1'), `${point} ${times}`).toEqual([
          'trade.submitted',
          'trade.partialFill',
          'trade.partialFill',
          'trade.filled',
        ])
      }
  })

  test('CRA-06 termination while the broker hangs - closed in 20 s, next owner starts', async () => {
    const one = await follow()
    await one.place()
    one.broker.fail('read', { kind: 'delay_reply', ms: 60_000 }, { times: Infinity })
    one.broker.streams.cut()
    await one.advance(2_000)
    let isClosed = false
    void one.owner.close().then(() => (isClosed = true))
    await one.advance(20_000)
    expect(isClosed).toBe(true)
    expect(one.store.leases.size).toBe(0)
    expect(one.broker.listeners.size).toBe(0)
    const next = makeNext(one)
    one.broker.fill(t1, '180')
    await settle()
    await one.advance(30_000)
    expect(next.isHolding).toBe(true)
    await closing(next, one.advance)
  })

  test('a lease that cannot be renewed is given up before it expires', async () => {
    const one = await follow()
    const { leases } = one
    const away = (): Promise<never> => Promise.reject(new Error('the store is away'))
    Object.assign(leases, { renew: away, take: away })
    await one.advance(LEASE_TTL_MS + 2_000)
    expect(one.broker.listeners.size).toBe(0)
    expect(one.owner.isHolding).toBe(false)
    await closing(one.owner, one.advance)
  })
})

const makeNext = (one: Awaited<ReturnType<typeof follow>>): ConnectionLease => one.own()
