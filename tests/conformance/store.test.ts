import { describe, expect, test } from 'vitest'
import type { LoggedEvent } from '#contract'
import { adopt, dec, type Order, reduce } from '#domain'
import type { Write } from '#store'
import { claimed, emptySlice, landing, readingOf } from '../domain/orders.ts'
import { newUser, storeBenches, STORES } from './store-bench.ts'

const order = reduce(emptySlice, claimed(), landing).slice.order as Order
const address = { orderId: 't1', connectionId: 'broker_1', symbol: 'AAPL' }
const notice = (n: number): LoggedEvent => ({
  event: 'broker.connected',
  payload: { brokerType: 'alpaca', brokerConnectionId: `broker_${n}`, timestamp: '2024-03-15T14:00:00.000Z' },
})

const { benchOf } = storeBenches()

describe.each(STORES)('store %s', (name) => {
  const make = () => benchOf(name)
  const open = { fence: { kind: 'version' }, writes: [], events: [] } as const

  test('a user nobody wrote to has version 0 and nothing in it', async () => {
    const { version, slice, claim } = await make().store.loadSlice(newUser(), address)
    expect({ version, order: slice.order, claim }).toEqual({ version: '0', order: null, claim: null })
  })

  test('what is committed is loaded, at the version that the commit answered', async () => {
    const { store } = make()
    const user = newUser()
    const { account, positions } = adopt('broker_1', readingOf({ cash: dec('5') }))
    const done = await store.commit(user, {
      ...open,
      expectVersion: '0',
      writes: [
        { kind: 'order', order },
        { kind: 'account', account },
      ],
    })
    const loaded = await store.loadSlice(user, address)
    expect(done).toMatchObject({ kind: 'committed', version: loaded.version })
    expect(loaded.slice).toEqual({ order, account, position: null })
    expect(await store.loadConnection(user, 'broker_1')).toEqual({
      version: loaded.version,
      account,
      positions,
      orders: [order],
    })
  })

  test('of the orders only those that are not over are loaded as open, with the account and its positions', async () => {
    const { store } = make()
    const user = newUser()
    let expectVersion = '0'
    const write = async (...writes: Write[]): Promise<void> => {
      const done = await store.commit(user, { ...open, expectVersion, writes })
      if (done.kind === 'committed') expectVersion = done.version
    }
    const shown = async (): Promise<string[]> =>
      (await store.loadOpen(user, 'broker_1')).orders.map(({ id }) => id).sort()
    const held = { symbol: 'AAPL', quantity: dec('10'), averageEntryPrice: dec('180'), currentPrice: null }
    const { account, positions } = adopt('broker_1', readingOf({ cash: dec('5'), positions: [held] }))
    const position = positions.get('AAPL') ?? null
    const ended = { ...order, id: 't2', status: 'filled', endedAt: '2024-03-15T14:00:00.000Z' } as const
    const placements = (['entry', 'takeProfit', 'stopLoss'] as const).map((leg) => {
      return {
        ...order.placements[0]!,
        leg,
        status: 'filled',
        cumulativeQuantity: dec('10'),
        reportedQuantity: dec('10'),
      } as const
    })
    const overExited = { ...ended, orderClass: 'bracket', placements } as const
    await write({ kind: 'account', account }, { kind: 'position', connectionId: 'broker_1', symbol: 'AAPL', position })
    await write(
      { kind: 'order', order },
      { kind: 'order', order: ended },
      { kind: 'order', order: { ...order, id: 't3' } },
    )
    const loaded = await store.loadOpen(user, 'broker_1')
    expect(loaded).toMatchObject({ version: expectVersion, account, positions })
    expect(await shown()).toEqual(['t1', 't3'])
    expect((await store.loadOpen(user, 'broker_2')).orders).toEqual([])
    await write({ kind: 'order', order: { ...ended, id: 't1' } })
    expect(await shown()).toEqual(['t3'])
    await write({ kind: 'order', order: { ...overExited, id: 't4' } }, { kind: 'order', order })
    expect(await shown()).toEqual(['t1', 't3', 't4'])
    await write({ kind: 'archive', order: { ...overExited, id: 't4' } }, { kind: 'archive', order: ended })
    expect(await shown()).toEqual(['t1', 't3'])
    await write({ kind: 'position', connectionId: 'broker_1', symbol: 'AAPL', position: null })
    expect((await store.loadOpen(user, 'broker_1')).positions.size).toBe(0)
    await write({ kind: 'forget', connectionId: 'broker_1' })
    expect(await store.loadOpen(user, 'broker_1')).toEqual({
      ...{ version: expectVersion, account: null, positions: new Map(), orders: [] },
    })
  })

  test('the version only grows; an old one is a clash that writes nothing', async () => {
    const { store, log } = make()
    const user = newUser()
    const first = await store.commit(user, { ...open, expectVersion: '0', events: [notice(1)] })
    const again = await store.commit(user, {
      ...open,
      expectVersion: '0',
      writes: [{ kind: 'order', order }],
      events: [notice(2)],
    })
    expect(again).toEqual({ kind: 'clash' })
    expect((await store.loadSlice(user, address)).slice.order).toBeNull()
    expect(await log(user)).toHaveLength(1)
    const version = first.kind === 'committed' ? first.version : ''
    const second = await store.commit(user, { ...open, expectVersion: version })
    expect(second.kind === 'committed' && Number(second.version) > Number(version)).toBe(true)
  })

  test('event ids grow, and each entry names the one before it, across commits', async () => {
    const { store, log } = make()
    const user = newUser()
    let expectVersion = '0'
    for (const events of [[notice(1), notice(2)], [notice(3)], [], [notice(4), notice(5), notice(6)]]) {
      const done = await store.commit(user, { ...open, expectVersion, events })
      if (done.kind === 'committed') expectVersion = done.version
    }
    const entries = await log(user)
    expect(entries).toHaveLength(6)
    entries.forEach((entry, index) => {
      expect(entry.id).toMatch(/^\d{13}-\d{5}$/)
      expect(entry.prev).toBe(entries[index - 1]?.id ?? '0000000000000-00000')
      expect(entry.id > entry.prev).toBe(true)
    })
  })

  test('only the holder of the lease writes under it', async () => {
    const { store, takeLease } = make()
    const user = newUser()
    const old = await takeLease(user, 'broker_1')
    const token = await takeLease(user, 'broker_1')
    const under = (token: string, expectVersion: string) =>
      store.commit(user, {
        expectVersion,
        fence: { kind: 'lease', connectionId: 'broker_1', token },
        writes: [],
        events: [],
      })
    expect(await under(old, '0')).toEqual({ kind: 'fenced' })
    expect(await under(token, '0')).toMatchObject({ kind: 'committed' })
    expect(await under(token, '0')).toEqual({ kind: 'clash' })
  })

  test('taking a trade voids every earlier claim', async () => {
    const { store } = make()
    const user = newUser()
    const take = async (by: string): Promise<string> => {
      const { version } = await store.loadSlice(user, address)
      await store.commit(user, { ...open, expectVersion: version, fence: { kind: 'resolve', tradeId: 't1', by } })
      return (await store.loadSlice(user, address)).claim ?? ''
    }
    const first = await take('a')
    const second = await take('b')
    expect([first.split(' ')[1], second.split(' ')[1]]).toEqual(['a', 'b'])
    const { version } = await store.loadSlice(user, address)
    const under = (claim: string) =>
      store.commit(user, { ...open, expectVersion: version, fence: { kind: 'claim', tradeId: 't1', claim } })
    expect(await under(first)).toEqual({ kind: 'fenced' })
    expect(await under(second)).toMatchObject({ kind: 'committed' })
  })

  test('a removed record is gone, and nobody else’s state was touched', async () => {
    const { store } = make()
    const [user, other] = [newUser(), newUser()]
    const mark = { schema: 1, commandId: 'c', by: 'user', reason: 'r', requestedAt: '2024-03-15T14:00:00Z' } as const
    const done = await store.commit(user, {
      ...open,
      expectVersion: '0',
      writes: [{ kind: 'cancelMark', tradeId: 't1', mark }],
    })
    expect((await store.loadSlice(user, address)).cancelMark).toEqual(mark)
    const expectVersion = done.kind === 'committed' ? done.version : ''
    await store.commit(user, { ...open, expectVersion, writes: [{ kind: 'cancelMark', tradeId: 't1', mark: null }] })
    expect((await store.loadSlice(user, address)).cancelMark).toBeNull()
    expect((await store.loadSlice(other, address)).version).toBe('0')
  })
})
