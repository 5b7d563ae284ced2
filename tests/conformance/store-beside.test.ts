import { describe, expect, test } from 'vitest'
import { createStoreEpoch, createRegistry, type RequestKind } from '#store'
import { newUser, storeBenches, STORES } from './store-bench.ts'

const { benchOf, connect } = storeBenches()

describe.each(STORES)('records outside the state of a user, store %s', (name) => {
  const make = () => {
    const bench = benchOf(name)
    const userId = newUser()
    return { ...bench, userId, ref: { userId, connectionId: 'broker_1' } }
  }
  const record = (ref: { userId: string; connectionId: string }, sealed = 's') =>
    ({ ...ref, brokerType: 'alpaca', env: 'paper', sealed, connectedAt: '' }) as const

  describe('budget', () => {
    test.each<[RequestKind, number]>([
      ['submit', 150],
      ['poll', 80],
      ['reconcile', 80],
      ['refresh', 80],
      ['cancel', 200],
      ['resolve', 200],
    ])('class %s may make %i requests within a minute', async (kind, most) => {
      const { budget, ref } = make()
      const waits: number[] = []
      for (let count = 0; count <= most; count += 1) waits.push(await budget.take(ref, kind))
      expect(waits.filter((wait) => wait === 0)).toHaveLength(most)
      expect(waits.at(-1)).toBeGreaterThan(50_000)
      expect(waits.at(-1)).toBeLessThanOrEqual(65_000)
    })

    test('background reads get one share, most of it for polls, and leave room for cancels', async () => {
      const { budget, ref } = make()
      for (let count = 0; count < 80; count += 1) await budget.take(ref, 'submit')
      for (let count = 0; count < 8; count += 1) await budget.take(ref, 'reconcile')
      for (let count = 0; count < 8; count += 1) expect(await budget.take(ref, 'refresh')).toBe(0)
      expect(await budget.take(ref, 'reconcile')).toBeGreaterThan(50_000)
      for (let count = 0; count < 24; count += 1) expect(await budget.take(ref, 'poll')).toBe(0)
      expect(await budget.take(ref, 'poll')).toBeGreaterThan(50_000)
      for (let count = 0; count < 70; count += 1) expect(await budget.take(ref, 'submit')).toBe(0)
      for (let count = 0; count < 10; count += 1) expect(await budget.take(ref, 'cancel')).toBe(0)
      expect(await budget.take(ref, 'cancel')).toBeGreaterThan(0)
    })

    test('a recovery exceeds its share while budget is to spare, at no cost to polls', async () => {
      const { budget, ref } = make()
      for (let count = 0; count < 56; count += 1)
        expect(await budget.take(ref, 'reconcile')).toBe(0)
      for (let count = 0; count < 24; count += 1) expect(await budget.take(ref, 'poll')).toBe(0)
      expect(await budget.take(ref, 'reconcile')).toBeGreaterThan(50_000)
      expect(await budget.take(ref, 'poll')).toBeGreaterThan(50_000)
      for (let count = 0; count < 110; count += 1) expect(await budget.take(ref, 'submit')).toBe(0)
      expect(await budget.take(ref, 'submit')).toBeGreaterThan(50_000)
      for (let count = 0; count < 10; count += 1) expect(await budget.take(ref, 'cancel')).toBe(0)
    })

    test('a block by the broker stops every class, of that account only', async () => {
      const { budget, ref } = make()
      await budget.block(ref, 30_000)
      await budget.block(ref, 10_000)
      const wait = await budget.take(ref, 'cancel')
      expect(wait).toBeGreaterThan(25_000)
      expect(wait).toBeLessThanOrEqual(30_000)
      expect(await budget.take({ ...ref, connectionId: 'broker_2' }, 'cancel')).toBe(0)
    })
  })

  describe('control sets', () => {
    test('are listed in the order of their changes, each with its latest version', async () => {
      const { controls, connections, ref, userId } = make()
      const other = newUser()
      const from = Number((await connections.put(record(ref))).revision)
      await controls.setHalt(
        { scope: 'user', userId: other },
        { allows: 'nothing', by: 'o', reason: 'r', at: '' },
      )
      await controls.setHalt(
        { scope: 'connection', ...ref },
        { allows: 'nothing', by: 'o', reason: 'r', at: '' },
      )
      expect((await controls.changedSince(from, 10)).map((entry) => entry.userId)).toEqual([
        other,
        userId,
      ])
    })

    test('a restored set never replaces a newer set', async () => {
      const { controls, connections, ref, userId } = make()
      await connections.put(record(ref, 'old'))
      const before = await controls.read(userId)
      await connections.put(record(ref, 'new'))
      await controls.restore([before], null)
      expect((await connections.get(ref))?.sealed).toBe('new')
    })

    test('an emptied set is forgotten, unless a record came back meanwhile', async () => {
      const { controls, connections, ref, userId } = make()
      await connections.put(record(ref))
      const position = async () =>
        (await controls.changedSince(0, 1_000)).find((one) => one.userId === userId)?.position
      await controls.remove(ref)
      const emptied = (await position()) ?? 0
      await connections.put(record(ref))
      await controls.prune(userId, emptied)
      expect(await position()).toBeGreaterThan(emptied)
      await controls.remove(ref)
      await controls.prune(userId, (await position()) ?? 0)
      expect(await position()).toBeUndefined()
    })
  })

  describe('links', () => {
    test('an account has one connection, and a connection one account', async () => {
      const { connections, links, ref } = make()
      const account = `account of ${ref.userId}`
      const mine = await connections.put(record(ref))
      const other = await connections.put(record({ userId: newUser(), connectionId: 'broker_1' }))
      expect(await links.verify(mine, account)).toBe('verified')
      expect(await links.verify(mine, account)).toBe('verified')
      expect(await links.verify(mine, 'another')).toBe('other_account')
      expect(await links.verify({ ...mine, env: 'live' }, account)).toBe('other_account')
      expect(await links.verify(other, account)).toBe('linked_elsewhere')
    })

    test('credentials replaced during their check - the result does not count for the new', async () => {
      const { connections, links, ref } = make()
      const account = `account of ${ref.userId}`
      const old = await connections.put(record(ref, 'old'))
      const now = await connections.put(record(ref, 'new'))
      expect(await links.verify(old, account)).toBe('outdated')
      expect(await links.get(ref)).toBeNull()
      expect(await links.verify(now, account)).toBe('verified')
      await links.suspend(old)
      expect(await links.verify(old, account)).toBe('outdated')
      expect((await links.get(ref))?.verified).toBe(now.revision)
      await links.suspend(now)
      expect((await links.get(ref))?.verified).toBe('')
    })

    test('a connection under removal is verified with the credentials from before', async () => {
      const { connections, links, ref } = make()
      const account = `account of ${ref.userId}`
      const before = await connections.put(record(ref))
      await links.verify(before, account)
      await links.suspend(before)
      const leaving = await connections.leave(before, 'cancel')
      expect(await links.verify(before, account)).toBe('outdated')
      expect(await links.verify(leaving, account)).toBe('verified')
      expect((await links.get(ref))?.verified).toBe(before.revision)
    })

    test.each([true, false])(
      'a removed connection holds no account (verified before: %s)',
      async (isVerified) => {
        const { connections, controls, links, ref } = make()
        const account = `account of ${ref.userId}`
        const gone = await connections.put(record(ref))
        if (isVerified) await links.verify(gone, account)
        await controls.remove(ref)
        expect(await links.verify(gone, account)).toBe('outdated')
        expect(await links.get(ref)).toBeNull()
        const other = await connections.put(record({ userId: newUser(), connectionId: 'broker_1' }))
        expect(await links.verify(other, account)).toBe('verified')
      },
    )
  })
})

describe('epoch', () => {
  test('is minted once, also with several workers at once', async () => {
    let ids = 0
    const epochs = [1, 2, 3].map(() =>
      createStoreEpoch(connect('on Redis'), () => `epoch-${(ids += 1)}`),
    )
    await connect('on Redis').del('epoch')
    expect(await epochs[0]!.read()).toBeNull()
    const minted = await Promise.all(epochs.map((epoch) => epoch.mint()))
    expect(new Set(minted).size).toBe(1)
    expect(await epochs[0]!.read()).toBe(minted[0])
  })
})

describe('registry', () => {
  test('counts the live workers', async () => {
    const registry = createRegistry(connect('on Redis'))
    expect([await registry.beat('a'), await registry.beat('b'), await registry.beat('a')]).toEqual([
      1, 2, 2,
    ])
    await registry.leave('a')
    expect(await registry.beat('b')).toBe(1)
    await connect('on Redis').zadd('workers', 1, 'silent since long ago')
    expect(await registry.beat('b')).toBe(1)
  })
})
