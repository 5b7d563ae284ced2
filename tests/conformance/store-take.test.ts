import { describe, expect, test } from 'vitest'
import { adopt, dec, type Exposure, type Order, reduce } from '#domain'
import type { CommitResult, Fence, Halt } from '#store'
import { brokerOrder, claimed, emptySlice, orderKey, readingOf, seen } from '../domain/orders.ts'
import { newUser, storeBenches, STORES } from './store-bench.ts'

const order = reduce(emptySlice, claimed(), orderKey).slice.order as Order
const address = { orderId: 't1', connectionId: 'broker_1', symbol: 'AAPL' }
const halt = {
  allows: 'nothing',
  by: 'ops',
  reason: 'drill',
  at: '2024-03-15T14:00:00.000Z',
} as const

const { benchOf } = storeBenches()

describe.each(STORES)('claiming a trade, store %s', (name) => {
  /** A user with one connection that works, unless the test says otherwise. */
  async function make({ linked = true } = {}) {
    const bench = benchOf(name)
    const userId = newUser()
    const ref = { userId, connectionId: 'broker_1' }
    const record = {
      ...ref,
      brokerType: 'alpaca',
      env: 'paper',
      sealed: 's',
      connectedAt: '',
    } as const
    const connection = await bench.connections.put(record)
    if (linked) await bench.links.verify(connection, `account of ${userId}`)
    const commit = async (
      fence: Fence,
      writes: Parameters<typeof bench.store.commit>[1]['writes'] = [],
    ) =>
      bench.store.commit(userId, {
        expectVersion: await bench.store.version(userId),
        fence,
        writes,
        events: [],
      })
    const take = (over: Partial<Extract<Fence, { kind: 'take' }>> = {}): Promise<CommitResult> =>
      commit({
        kind: 'take',
        tradeId: 't1',
        by: 'w',
        connectionId: 'broker_1',
        revision: connection.revision,
        exposure: 'adds',
        budget: false,
        pace: null,
        first: false,
        ...over,
      })
    return { ...bench, userId, ref, record, connection, commit, take }
  }

  test('a trade of a verified connection is claimed', async () => {
    const { take } = await make()
    expect(await take()).toMatchObject({ kind: 'committed', globalHalt: null })
  })

  test.each<[string, Halt['allows'], Exposure, boolean]>([
    ['all refused', 'nothing', 'adds', false],
    ['all refused, reducing orders too', 'nothing', 'reduces', false],
    ['shrinking an order of ours passes', 'nothing', 'shrinks', true],
    ['reduce-only refuses an adding order', 'reducing', 'adds', false],
    ['reduce-only passes a reducing order', 'reducing', 'reduces', true],
    ['reduce-only passes a shrinking change', 'reducing', 'shrinks', true],
  ])('halted: %s', async (_what, allows, exposure, passes) => {
    for (const scope of ['user', 'connection'] as const) {
      const { controls, take, ref, userId, store } = await make()
      await controls.setHalt({ scope, ...ref }, { ...halt, allows })
      const result = await take({ exposure })
      if (passes) expect(result.kind).toBe('committed')
      else expect(result).toMatchObject({ kind: 'halted', halt: { scope, ...halt, allows } })
      if (!passes) expect((await store.loadSlice(userId, address)).claim).toBeNull()
      await controls.setHalt({ scope, ...ref }, null)
      expect((await take()).kind).toBe('committed')
    }
  })

  test('a halt of one connection does not stop other connections', async () => {
    const { controls, take, ref } = await make()
    await controls.setHalt(
      { scope: 'connection', userId: ref.userId, connectionId: 'broker_2' },
      halt,
    )
    expect((await take()).kind).toBe('committed')
  })

  test('the claim returns the global halt', async () => {
    const { controls, take } = await make()
    await controls.setHalt({ scope: 'global' }, halt)
    expect(await take()).toMatchObject({
      kind: 'committed',
      globalHalt: { scope: 'global', reason: 'drill' },
    })
    await controls.setHalt({ scope: 'global' }, null)
    expect(await take()).toMatchObject({ kind: 'committed', globalHalt: null })
  })

  test('no connection, or an unverified one - no trade is claimed', async () => {
    const { connections, links, take, record, ref, controls } = await make({ linked: false })
    expect(await take()).toEqual({ kind: 'unusable', isLinked: true })
    expect(await links.verify((await connections.get(ref))!, 'a')).toBe('verified')
    expect((await take()).kind).toBe('committed')
    await connections.put({ ...record, sealed: 'other' })
    expect(await take()).toEqual({ kind: 'unusable', isLinked: true })
    await links.verify((await connections.get(ref))!, 'a')
    await links.suspend((await connections.get(ref))!)
    expect(await take()).toEqual({ kind: 'unusable', isLinked: true })
    await controls.remove(ref)
    expect(await take()).toEqual({ kind: 'unusable', isLinked: false })
  })

  test('credentials that are not the latest - no trade is claimed', async () => {
    const { connections, links, take, record, ref } = await make()
    await connections.put({ ...record, sealed: 'other' })
    const { revision } = (await connections.get(ref))!
    await links.verify((await connections.get(ref))!, `account of ${ref.userId}`)
    expect(await take()).toEqual({ kind: 'unusable', isLinked: true })
    expect((await take({ revision })).kind).toBe('committed')
  })

  test('a first claim is refused where the trade has an order or a cancel already', async () => {
    const { commit, take, store, userId } = await make()
    const mark = { schema: 1, commandId: 'c', by: 'user', reason: 'r', requestedAt: '' } as const
    await commit({ kind: 'version' }, [
      { kind: 'order', order },
      { kind: 'cancelMark', tradeId: 't2', mark },
    ])
    const before = await store.version(userId)
    expect(await take({ first: true })).toEqual({ kind: 'conflict' })
    expect(await take({ first: true, tradeId: 't2' })).toEqual({ kind: 'conflict' })
    expect(await store.version(userId)).toBe(before)
    expect((await take({ first: true, tradeId: 't3' })).kind).toBe('committed')
    expect((await take({ first: false })).kind).toBe('committed')
  })

  test('a claim that only resolves a trade passes a halt', async () => {
    const { commit, controls, ref, store, userId } = await make({ linked: false })
    await controls.setHalt({ scope: 'user', ...ref }, halt)
    expect((await commit({ kind: 'resolve', tradeId: 't1', by: 'w' })).kind).toBe('committed')
    expect((await store.loadSlice(userId, address)).claim).toMatch(/^\d+ w$/)
  })

  test('store lost everything - no trade is claimed until its control sets are back', async () => {
    const { controls, take, ref, wipe } = await make()
    const set = await controls.read(ref.userId)
    await wipe()
    expect(await take()).toEqual({ kind: 'unusable', isLinked: false })
    await controls.restore([set], null)
    expect((await take()).kind).toBe('committed')
    await wipe()
  })

  test('the submissions of a minute are counted in the same step', async () => {
    const { take, budget, ref, userId, store } = await make()
    for (let i = 0; i < 149; i += 1) await budget.take(ref, 'submit')
    expect((await take({ budget: true })).kind).toBe('committed')
    const before = await store.version(userId)
    expect(await take({ budget: true })).toMatchObject({ kind: 'over_budget' })
    expect(await store.version(userId)).toBe(before)
    expect((await take({ budget: false })).kind).toBe('committed')
  })

  test('a permit to change an order passes the same checks, and claims no trade', async () => {
    const { commit, take, controls, ref, connection, budget, store, userId } = await make()
    const { revision } = connection
    const leave = {
      tradeId: 't1',
      connectionId: 'broker_1',
      revision,
      exposure: 'adds',
      budget: true,
      pace: null,
    } as const
    const change = (over: Partial<typeof leave | { exposure: Exposure; revision: string }> = {}) =>
      commit({ kind: 'change', ...leave, ...over })
    await take({ by: 'owner' })
    const { claim } = await store.loadSlice(userId, address)
    await controls.setHalt({ scope: 'global' }, halt)
    expect(await change()).toMatchObject({ kind: 'committed', globalHalt: { scope: 'global' } })
    await controls.setHalt({ scope: 'global' }, null)
    expect((await store.loadSlice(userId, address)).claim).toBe(claim)
    await controls.setHalt({ scope: 'user', userId }, halt)
    expect(await change()).toMatchObject({ kind: 'halted' })
    expect((await change({ exposure: 'shrinks' })).kind).toBe('committed')
    await controls.setHalt({ scope: 'user', userId }, null)
    expect(await change({ revision: '1' })).toEqual({ kind: 'unusable', isLinked: true })
    for (let i = 0; i < 150; i += 1) await budget.take(ref, 'submit')
    expect(await change()).toMatchObject({ kind: 'over_budget' })
  })

  test.each(['user', 'connection'] as const)(
    'orders of a %s are counted in the same step: a sliding minute, and a day',
    async (scope) => {
      const { take, userId, store } = await make()
      const free = { minute: null, day: null }
      const paced = (
        max: Partial<typeof free | { minute: number; day: number }>,
        day = '2024-03-15',
      ) => ({
        pace: { day, user: free, connection: free, [scope]: { ...free, ...max } },
      })
      expect((await take(paced({ minute: 2 }))).kind).toBe('committed')
      expect((await take(paced({ minute: 2 }))).kind).toBe('committed')
      const before = await store.version(userId)
      const over = await take(paced({ minute: 2 }))
      expect(over).toMatchObject({
        kind: 'over_pace',
        scope,
        max: 2,
        retryAfterMs: expect.any(Number) as number,
      })
      expect(over.kind === 'over_pace' && over.retryAfterMs).toBeLessThanOrEqual(60_000)
      expect(await store.version(userId)).toBe(before)
      expect((await take()).kind).toBe('committed') // reducing orders are not counted
      for (let i = 0; i < 3; i += 1) expect((await take(paced({ day: 3 }))).kind).toBe('committed')
      const spent = { kind: 'over_pace', scope, max: 3, retryAfterMs: null }
      expect(await take(paced({ day: 3 }))).toEqual(spent)
      expect(await take(paced({ day: 3 }, '2024-03-14'))).toEqual(spent) // a clock that is behind
      expect((await take(paced({ day: 3 }, '2024-03-16'))).kind).toBe('committed')
      expect(await take(paced({ minute: 0 }))).toMatchObject({
        kind: 'over_pace',
        max: 0,
        retryAfterMs: null,
      })
    },
  )

  test('an order refused for one limit is not counted for another limit', async () => {
    const { take, budget, ref, controls, userId } = await make()
    const free = { minute: null, day: null }
    const pace = { day: '2024-03-15', user: { minute: 2, day: 1 }, connection: free }
    await controls.setHalt({ scope: 'user', userId }, halt)
    expect((await take({ pace, budget: true })).kind).toBe('halted')
    await controls.setHalt({ scope: 'user', userId }, null)
    for (let i = 0; i < 149; i += 1) await budget.take(ref, 'submit')
    expect((await take({ pace, budget: true })).kind).toBe('committed')
    expect((await take({ pace, budget: true })).kind).toBe('over_budget')
    expect((await take({ pace })).kind).toBe('over_pace')
  })

  test('an archived trade left the hot state, is found, and cannot be claimed again', async () => {
    const { commit, take, store, userId } = await make()
    const submitted = reduce({ ...emptySlice, order }, seen(brokerOrder('new', '0', 2)), orderKey)
      .slice.order as Order
    const mark = { schema: 1, commandId: 'c', by: 'user', reason: 'r', requestedAt: '' } as const
    await take()
    await commit({ kind: 'version' }, [
      { kind: 'order', order: submitted },
      { kind: 'cancelMark', tradeId: 't1', mark },
      { kind: 'ref', brokerOrderId: submitted.placements[0]!.brokerOrderId!, orderId: 't1' },
    ])
    await commit({ kind: 'version' }, [{ kind: 'archive', order: submitted }])
    const hot = await store.loadSlice(userId, address, { archived: false })
    expect(hot).toMatchObject({ slice: { order: null }, claim: null, cancelMark: null })
    expect((await store.loadConnection(userId, 'broker_1')).orders).toEqual([])
    expect(await store.findRefs(userId, [submitted.placements[0]!.brokerOrderId!])).toEqual(
      new Map(),
    )
    expect(hot).toMatchObject({ isArchived: false })
    expect(await store.loadSlice(userId, address)).toMatchObject({
      slice: { order: submitted },
      isArchived: true,
    })
    expect(await take()).toEqual({ kind: 'archived', order: submitted })
    await commit({ kind: 'version' }, [{ kind: 'order', order: submitted }]) // a correction brings it back
    expect(await store.loadSlice(userId, address)).toMatchObject({ isArchived: false })
    expect((await take()).kind).toBe('committed')
  })

  test('an expired archive leaves a tombstone: the trade id stays taken, with its hash', async () => {
    const { commit, take, store, userId, expireArchive } = await make()
    const elsewhere = { ...order, id: 'ext.b1', origin: 'external', parametersHash: null } as const
    await commit({ kind: 'version' }, [
      { kind: 'archive', order },
      { kind: 'archive', order: { ...order, id: 't2', parametersHash: null } },
      { kind: 'archive', order: elsewhere },
    ])
    for (const id of ['t1', 't2', 'ext.b1']) await expireArchive(userId, id)
    const tombstone = { parametersHash: order.parametersHash }
    expect(await take({ first: true })).toEqual({ kind: 'ended', tombstone })
    expect(await take({ tradeId: 't2' })).toEqual({
      kind: 'ended',
      tombstone: { parametersHash: null },
    })
    const load = (orderId: string, options?: object) =>
      store.loadSlice(userId, { ...address, orderId }, options)
    expect(await load('t1')).toMatchObject({ slice: { order: null }, tombstone })
    expect(await load('t1', { archived: false })).toMatchObject({ tombstone: null })
    expect(await load('ext.b1')).toMatchObject({ slice: { order: null }, tombstone: null })
    await commit({ kind: 'version' }, [{ kind: 'order', order }]) // a correction brings it back
    expect(await load('t1')).toMatchObject({ slice: { order }, tombstone: null })
    expect((await take()).kind).toBe('committed')
  })

  test('a note leads from a broker order to our order, until the note is removed', async () => {
    const { commit, store, userId } = await make()
    await commit({ kind: 'version' }, [
      { kind: 'ref', brokerOrderId: 'b1', orderId: 't1' },
      { kind: 'ref', brokerOrderId: 'b2', orderId: 't2' },
    ])
    await commit({ kind: 'version' }, [{ kind: 'ref', brokerOrderId: 'b2', orderId: null }])
    expect(await store.findRefs(userId, ['b1', 'b2', 'b3'])).toEqual(new Map([['b1', 't1']]))
    expect(await store.findRefs(userId, [])).toEqual(new Map())
  })

  test('a forgotten connection leaves only the archive of its own orders', async () => {
    const { commit, store, userId } = await make()
    const of = (connectionId: string) => {
      const position = {
        symbol: 'AAPL',
        quantity: dec('1'),
        averageEntryPrice: dec('1'),
        currentPrice: null,
      }
      const { account, positions } = adopt(connectionId, readingOf({ positions: [position] }))
      return { account, position: positions.get('AAPL')! }
    }
    const ours = of('broker_1')
    const other = of('broker_2')
    await commit({ kind: 'version' }, [
      { kind: 'order', order },
      { kind: 'order', order: { ...order, id: 't2', connectionId: 'broker_2' } },
      { kind: 'account', account: ours.account },
      { kind: 'account', account: other.account },
      { kind: 'position', connectionId: 'broker_1', symbol: 'AAPL', position: ours.position },
      { kind: 'position', connectionId: 'broker_2', symbol: 'AAPL', position: other.position },
    ])
    expect(
      (await commit({ kind: 'version' }, [{ kind: 'forget', connectionId: 'broker_1' }])).kind,
    ).toBe('committed')
    const gone = await store.loadConnection(userId, 'broker_1')
    expect(gone).toMatchObject({ account: null, orders: [] })
    expect(gone.positions.size).toBe(0)
    expect((await store.loadSlice(userId, address)).slice.order).toEqual(order)
    const kept = await store.loadConnection(userId, 'broker_2')
    expect([kept.orders.length, kept.positions.size, kept.account]).toEqual([1, 1, other.account])
  })
})
