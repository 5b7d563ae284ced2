import { describe, expect, test } from 'vitest'
import { LEASE_TTL_MS, READ_BY_OTHERS_TRIES } from '../../workers/accounts/lease.ts'
import { FakeBroker } from '../support/fake-broker.ts'
import { FakeStore } from '../support/fake-store.ts'
import { IdleTries } from './world/idle-tries.ts'
import { Process, UNWATCHED } from './world/process.ts'
import { Schedule } from './world/schedule.ts'
import { openWorld, type World } from './world.ts'

const SEEDS = [1, 2, 3, 4]
const MINUTE_MS = 60_000
const tries = (world: World): number => world.steps.get('leases.take') ?? 0

/** Two workers, long after one of them took the lease. */
async function oneWaits(
  seed: number,
): Promise<{ world: World; holder: Process; waiting: Process }> {
  const world = await openWorld({ seed, workers: 2 })
  await world.advance(20_000)
  let holder: Process | null = null
  world.at('leases.renew', (process) => void (holder = process))
  await world.advance(2_000)
  const waiting = world.workers.find((one) => one !== holder)
  if (holder === null || waiting === undefined) throw new Error('nobody renews the lease')
  return { world, holder, waiting }
}

describe.each(SEEDS)('an owner that was refused a lease several times, seed %i', (seed) => {
  test('waits without a step and tries again every minute', async () => {
    const { world } = await oneWaits(seed)
    const before = tries(world)
    await world.advance(25_000)
    expect(tries(world)).toBe(before)
    await world.advance(10 * MINUTE_MS)
    expect(tries(world) - before).toBeGreaterThanOrEqual(9)
    expect(tries(world) - before).toBeLessThanOrEqual(11)
  })

  test('takes the lease within a second after the lease of a dead holder expires', async () => {
    const { world, holder } = await oneWaits(seed)
    holder.kill()
    world.submit()
    await world.advance(LEASE_TTL_MS - 2_000)
    expect(world.broker.listeners.size).toBe(0)
    await world.advance(3_100)
    expect(world.store.leases.size).toBe(1)
    expect(world.broker.listeners.size).toBe(1)
    world.fill('t1', '180')
    await world.quiesce()
    expect(world.told('t1')).toEqual(['trade.submitted', 'trade.filled'])
  })

  test('tries again within a second after the lease is lost', async () => {
    const { world } = await oneWaits(seed)
    const before = tries(world)
    world.store.leases.clear()
    await world.advance(1_100)
    expect(tries(world)).toBeGreaterThan(before)
    await world.advance(5_000)
    expect(world.store.leases.size).toBe(1)
  })

  test('makes no try while its process is frozen or dead', async () => {
    const { world, holder, waiting } = await oneWaits(seed)
    const before = tries(world)
    waiting.freeze()
    holder.kill()
    await world.advance(20_000)
    expect(tries(world)).toBe(before)
    waiting.thaw()
    await world.advance(1_100)
    expect(world.store.leases.size).toBe(1)
    const next = world.startWorker()
    await world.advance(20_000)
    next.kill()
    const last = tries(world)
    await world.advance(2 * MINUTE_MS)
    expect(tries(world)).toBe(last)
  })
})

/** An owner that does nothing but try: it was refused as often as it takes to wait, and waits. */
async function refused() {
  const ref = { userId: 'u1', connectionId: 'broker_1' }
  const schedule = new Schedule(1, 0)
  const store = new FakeStore(() => schedule.nowMs)
  store.leases.set('u1 broker_1', 'of somebody else')
  const leases = {
    take: async () => null,
    renew: async () => false,
    release: async () => {},
    revoke: async () => {},
  }
  const heard: string[] = []
  const brokers = { get: async () => new FakeBroker() }
  const process = new Process('w1', schedule, UNWATCHED)
  const owner = new IdleTries(schedule, store).own(process, ref, { leases, brokers }, (doors) => {
    const tryAgain = async (): Promise<void> => {
      for (;;) {
        await doors.brokers.get(ref)
        await doors.leases.take('', 1)
        heard.push('refused')
        await process.clock.sleep(1_000)
      }
    }
    void tryAgain()
    const told = (what: string) => () => void heard.push(what)
    return {
      refresh: told('refresh'),
      readopt: told('readopt'),
      redisReconnected: told('redisReconnected'),
      close: async () => void heard.push('close'),
    }
  })
  await schedule.advance(30_000)
  expect(heard).toEqual(Array.from({ length: READ_BY_OTHERS_TRIES }, () => 'refused'))
  heard.length = 0
  return { schedule, owner, heard }
}

describe('calls of a worker to an owner that waits for a lease', () => {
  test.each(['refresh', 'close'] as const)('%s - the owner tries again at once', async (tell) => {
    const { schedule, owner, heard } = await refused()
    await owner[tell]()
    await schedule.advance(0)
    expect(heard).toEqual([tell, 'refused'])
  })

  test.each(['readopt', 'redisReconnected'] as const)(
    '%s - the owner gets the call and keeps waiting',
    async (tell) => {
      const { schedule, owner, heard } = await refused()
      owner[tell]()
      await schedule.advance(10_000)
      expect(heard).toEqual([tell])
    },
  )
})
