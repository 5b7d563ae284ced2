import { describe, expect, test } from 'vitest'
import type { LoggedEvent } from '#contract'
import { adopt, dec, type Order, reduce } from '#domain'
import type { Health, Write } from '#store'
import { claimed, emptySlice, orderKey, readingOf } from '../domain/orders.ts'
import { newUser, type StoreBench, storeBenches, STORES } from './store-bench.ts'

const order = reduce(emptySlice, claimed(), orderKey).slice.order as Order
const address = { orderId: 't1', connectionId: 'broker_1', symbol: 'AAPL' }
const notice = (n: number): LoggedEvent => ({
  event: 'broker.connected',
  payload: {
    brokerType: 'alpaca',
    brokerConnectionId: `broker_${n}`,
    timestamp: '2024-03-15T14:00:00.000Z',
  },
})

const { benchOf } = storeBenches()

describe.each(STORES)('store %s', (name) => {
  const make = () => benchOf(name)
  const open = { fence: { kind: 'version' }, writes: [], events: [] } as const

  test('a user without any write has version 0 and an empty slice', async () => {
    const { version, slice, claim } = await make().store.loadSlice(newUser(), address)
    expect({ version, order: slice.order, claim }).toEqual({
      version: '0',
      order: null,
      claim: null,
    })
  })

  test('committed records are loaded at the version that the commit returned', async () => {
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
      cancelMarks: [],
      health: null,
      cashElsewhere: null,
    })
  })

  test('a connection is loaded with the result of its health checks', async () => {
    const { store } = make()
    const user = newUser()
    const health: Health = {
      schema: 2,
      state: 'down',
      cause: 'broken',
      doubts: 0,
      doubtSince: null,
      reason: 'unauthorized',
      code: 'CREDENTIALS',
      since: '2024-03-15T14:00:00.000Z',
    }
    const writes = [{ kind: 'health', connectionId: 'broker_1', health }] as const
    await store.commit(user, { ...open, expectVersion: '0', writes })
    expect((await store.loadConnection(user, 'broker_1')).health).toEqual(health)
    expect((await store.loadConnection(user, 'broker_2')).health).toBeNull()
  })

  test('an account is loaded with the cash of the other accounts of its user', async () => {
    const { store, connections, controls } = make()
    const user = newUser()
    const elsewhere = async (connectionId: string) => [
      (await store.loadSlice(user, { ...address, connectionId })).cashElsewhere,
      (await store.loadConnection(user, connectionId)).cashElsewhere,
      (await store.loadOpen(user, connectionId)).cashElsewhere,
    ]
    const connect = async (connectionId: string, cash: string): Promise<void> => {
      await connections.put({
        userId: user,
        connectionId,
        brokerType: 'alpaca',
        env: 'sandbox',
        sealed: 's',
        connectedAt: '',
      })
      const { account } = adopt(connectionId, readingOf({ cash: dec(cash) }))
      const expectVersion = await store.version(user)
      await store.commit(user, { ...open, expectVersion, writes: [{ kind: 'account', account }] })
    }
    expect(await elsewhere('broker_1')).toEqual([null, null, null])
    await connect('broker_1', '5.25')
    expect(await elsewhere('broker_1')).toEqual([null, null, null])
    await connect('broker_2', '0.1')
    expect(await elsewhere('broker_1')).toEqual(['0.1', '0.1', '0.1'])
    await connect('broker_3', '0.2')
    expect(await elsewhere('broker_1')).toEqual(['0.3', '0.3', '0.3'])
    expect(await elsewhere('broker_2')).toEqual(['5.45', '5.45', '5.45'])
    // The connection is erased, and its account is there until it is forgotten: clients are shown
    // it.
    await controls.remove({ userId: user, connectionId: 'broker_2' })
    expect(await elsewhere('broker_1')).toEqual(['0.3', '0.3', '0.3'])
    const forget = { ...open, writes: [{ kind: 'forget', connectionId: 'broker_2' }] } as const
    await store.commit(user, { ...forget, expectVersion: await store.version(user) })
    expect(await elsewhere('broker_1')).toEqual(['0.2', '0.2', '0.2'])
    await connect('broker_2', '7')
    expect(await elsewhere('broker_3')).toEqual(['12.25', '12.25', '12.25'])
  })

  test('only orders without an end are loaded as open, with account and positions', async () => {
    const { store } = make()
    const user = newUser()
    let expectVersion = '0'
    const write = async (...writes: Write[]): Promise<void> => {
      const done = await store.commit(user, { ...open, expectVersion, writes })
      if (done.kind === 'committed') expectVersion = done.version
    }
    const shown = async (): Promise<string[]> =>
      (await store.loadOpen(user, 'broker_1')).orders.map(({ id }) => id).sort()
    const held = {
      symbol: 'AAPL',
      quantity: dec('10'),
      averageEntryPrice: dec('180'),
      currentPrice: null,
    }
    const { account, positions } = adopt(
      'broker_1',
      readingOf({ cash: dec('5'), positions: [held] }),
    )
    const position = positions.get('AAPL') ?? null
    const ended = {
      ...order,
      id: 't2',
      status: 'filled',
      endedAt: '2024-03-15T14:00:00.000Z',
    } as const
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
    await write(
      { kind: 'account', account },
      { kind: 'position', connectionId: 'broker_1', symbol: 'AAPL', position },
    )
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
    await write(
      { kind: 'archive', order: { ...overExited, id: 't4' } },
      { kind: 'archive', order: ended },
    )
    expect(await shown()).toEqual(['t1', 't3'])
    await write({ kind: 'position', connectionId: 'broker_1', symbol: 'AAPL', position: null })
    expect((await store.loadOpen(user, 'broker_1')).positions.size).toBe(0)
    await write({ kind: 'forget', connectionId: 'broker_1' })
    expect(await store.loadOpen(user, 'broker_1')).toEqual({
      version: expectVersion,
      account: null,
      positions: new Map(),
      orders: [],
      cancelMarks: [],
      health: null,
      cashElsewhere: null,
    })
  })

  test('versions only grow; a commit at an old version is a conflict and writes nothing', async () => {
    const { store, log } = make()
    const user = newUser()
    const first = await store.commit(user, { ...open, expectVersion: '0', events: [notice(1)] })
    const again = await store.commit(user, {
      ...open,
      expectVersion: '0',
      writes: [{ kind: 'order', order }],
      events: [notice(2)],
    })
    expect(again).toEqual({ kind: 'conflict' })
    expect((await store.loadSlice(user, address)).slice.order).toBeNull()
    expect(await log(user)).toHaveLength(1)
    const version = first.kind === 'committed' ? first.version : ''
    const second = await store.commit(user, { ...open, expectVersion: version })
    expect(second.kind === 'committed' && Number(second.version) > Number(version)).toBe(true)
  })

  test('event ids grow, and each entry names the previous one, across commits', async () => {
    const { store, log } = make()
    const user = newUser()
    let expectVersion = '0'
    for (const events of [
      [notice(1), notice(2)],
      [notice(3)],
      [],
      [notice(4), notice(5), notice(6)],
    ]) {
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

  describe('an event id follows both the last id of the state and the end of the log', () => {
    const FUTURE = '4102444800000-00007'

    /** Two events, then the damage of the test to state or log, then two more events. */
    async function around(damage: (bench: StoreBench, user: string) => Promise<void>) {
      const bench = make()
      const user = newUser()
      await bench.store.commit(user, {
        ...open,
        expectVersion: '0',
        events: [notice(1), notice(2)],
      })
      const before = [...(await bench.log(user))]
      await damage(bench, user)
      const expectVersion = await bench.store.version(user)
      const done = await bench.store.commit(user, {
        ...open,
        expectVersion,
        events: [notice(3), notice(4)],
      })
      const entries = await bench.log(user)
      const [third, fourth] = entries.slice(-2)
      expect(done).toMatchObject({ kind: 'committed', lastEventId: fourth?.id })
      expect(fourth?.prev).toBe(third?.id)
      return { before, entries, third: third! }
    }

    test('state lost - the chain goes on at the end of the log', async () => {
      const { before, entries, third } = await around(({ loseState }, user) => loseState(user))
      expect(entries).toHaveLength(4)
      expect(third.prev).toBe(before[1]?.id)
    })

    test('log ahead of the state and of the time - the event follows the log', async () => {
      const { entries, third } = await around(({ appendToLog }, user) => appendToLog(user, FUTURE))
      expect(entries).toHaveLength(5)
      expect(third).toMatchObject({ id: '4102444800000-00008', prev: FUTURE })
    })

    test('state lost, log ahead of the time - the event follows the log', async () => {
      const { third } = await around(async ({ appendToLog, loseState }, user) => {
        await appendToLog(user, FUTURE)
        await loseState(user)
      })
      expect(third).toMatchObject({ id: '4102444800000-00008', prev: FUTURE })
    })

    test('end of the log lost - the chain shows the hole', async () => {
      const { before, entries, third } = await around(({ cutLog }, user) => cutLog(user))
      expect(entries).toHaveLength(3)
      expect(third.prev).toBe(before[1]?.id)
    })

    test('log lost, one id ahead of the time - no id is given twice', async () => {
      const { third } = await around(async ({ appendToLog, cutLog }, user) => {
        await appendToLog(user, FUTURE)
        for (let i = 0; i < 3; i += 1) await cutLog(user)
      })
      expect(third).toMatchObject({ id: '4102444800000-00008', prev: FUTURE })
    })

    test('end of the log lost, ahead of the time, and state lost - no id is given twice', async () => {
      const { third } = await around(async ({ appendToLog, cutLog, loseState }, user) => {
        await appendToLog(user, FUTURE)
        await cutLog(user)
        await loseState(user)
      })
      expect(third.id > FUTURE).toBe(true)
    })
  })

  test('only the holder of the lease writes under the lease', async () => {
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
    expect(await under(token, '0')).toEqual({ kind: 'conflict' })
  })

  test('claiming a trade voids every earlier claim', async () => {
    const { store } = make()
    const user = newUser()
    const take = async (by: string): Promise<string> => {
      const { version } = await store.loadSlice(user, address)
      await store.commit(user, {
        ...open,
        expectVersion: version,
        fence: { kind: 'resolve', tradeId: 't1', by },
      })
      return (await store.loadSlice(user, address)).claim ?? ''
    }
    const first = await take('a')
    const second = await take('b')
    expect([first.split(' ')[1], second.split(' ')[1]]).toEqual(['a', 'b'])
    const { version } = await store.loadSlice(user, address)
    const under = (claim: string) =>
      store.commit(user, {
        ...open,
        expectVersion: version,
        fence: { kind: 'claim', tradeId: 't1', claim },
      })
    expect(await under(first)).toEqual({ kind: 'fenced' })
    expect(await under(second)).toMatchObject({ kind: 'committed' })
  })

  test('the list of cancels that wait for their trades is read at its version', async () => {
    const { store } = make()
    const user = newUser()
    expect(await store.loadWaitingMarks(user)).toEqual({ version: '0', marks: [] })
    const marks = [{ tradeId: 't1', requestedAt: '2024-03-15T14:00:00.000Z' }]
    const done = await store.commit(user, {
      ...open,
      expectVersion: '0',
      writes: [{ kind: 'waitingMarks', marks }],
    })
    const version = done.kind === 'committed' ? done.version : ''
    expect(await store.loadWaitingMarks(user)).toEqual({ version, marks })
  })

  test('a removed record is gone, and no other user’s state changed', async () => {
    const { store } = make()
    const user = newUser()
    const other = newUser()
    const mark = {
      schema: 1,
      commandId: 'c',
      by: 'user',
      reason: 'r',
      requestedAt: '2024-03-15T14:00:00Z',
    } as const
    const done = await store.commit(user, {
      ...open,
      expectVersion: '0',
      writes: [{ kind: 'cancelMark', tradeId: 't1', mark }],
    })
    expect((await store.loadSlice(user, address)).cancelMark).toEqual(mark)
    const waiting = { tradeId: 't1', requestedAt: mark.requestedAt }
    expect((await store.loadConnection(user, 'broker_1')).cancelMarks).toEqual([waiting])
    expect((await store.loadOpen(user, 'broker_1')).cancelMarks).toEqual([])
    const expectVersion = done.kind === 'committed' ? done.version : ''
    await store.commit(user, {
      ...open,
      expectVersion,
      writes: [{ kind: 'cancelMark', tradeId: 't1', mark: null }],
    })
    expect((await store.loadSlice(user, address)).cancelMark).toBeNull()
    expect((await store.loadSlice(other, address)).version).toBe('0')
  })
})
