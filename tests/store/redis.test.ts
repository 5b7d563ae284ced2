import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  createConnections,
  createDemand,
  createLeases,
  createReader,
  createRecoveries,
  createStore,
  createVault,
  leaseKey,
  VaultError,
} from '#store'
import { startRedis, type TestRedis } from '../support/redis.ts'

let redis: TestRedis
beforeAll(async () => {
  redis = await startRedis()
})
afterAll(() => redis.stop())

const notice = {
  event: 'broker.connected',
  payload: {
    brokerType: 'alpaca',
    brokerConnectionId: 'b#############-#####',
    timestamp: '2024-03-15T14:00:00.000Z',
  },
} as const
const commit = {
  expectVersion: '0',
  fence: { kind: 'version' },
  writes: [],
  events: [notice],
} as const

describe('commit', () => {
  test('publishes the events that it logs, with the same ids, on the user’s own channel', async () => {
    const subscriber = redis.connect()
    const heard: [string, Buffer][] = []
    subscriber.on('messageBuffer', (channel: Buffer, packet: Buffer) =>
      heard.push([channel.toString(), packet]),
    )
    await subscriber.subscribe('socket.io#/#user:u1#')
    await createStore(redis.connect()).commit('u1', commit)
    await expect.poll(() => heard.length).toBe(1)
    const [entry] = (await createReader(redis.connect()).events('u1', '0000000000000-00000', 10))
      .entries
    const text = heard[0]![1].toString('latin1')
    expect(heard[0]![0]).toBe('socket.io#/#user:u1#')
    expect(text).toContain(entry!.id)
    expect(text).toContain(entry!.prev)
    expect(text).toContain('b#############-#####') // payload text that looks like a placeholder stays as it is
  })

  test('a commit whose reply was lost may be sent again', async () => {
    const store = createStore(redis.connect())
    const [first, second] = await Promise.all([
      store.commit('u2', commit),
      store.commit('u2', commit),
    ])
    expect([first.kind, second.kind].sort()).toEqual(['committed', 'conflict'])
    expect(
      (await createReader(redis.connect()).events('u2', '0000000000000-00000', 10)).entries,
    ).toHaveLength(1)
  })

  test('the log is bounded in count and time', async () => {
    const connection = redis.connect()
    const store = createStore(connection)
    let expectVersion = '0'
    for (let i = 0; i < 15; i += 1) {
      const done = await store.commit('u3', {
        ...commit,
        expectVersion,
        events: Array.from({ length: 100 }, () => notice),
      })
      if (done.kind === 'committed') expectVersion = done.version
    }
    expect(await connection.xlen('log:{u3}')).toBeLessThan(1_200)
    expect(await connection.pttl('log:{u3}')).toBeGreaterThan(0)
  })
})

describe('reader', () => {
  test('a snapshot names the last event that it contains', async () => {
    const connection = redis.connect()
    const done = await createStore(connection).commit('u4', commit)
    const snapshot = await createReader(connection).snapshot('u4')
    expect(snapshot.lastEventId).toBe(done.kind === 'committed' && done.lastEventId)
    expect(await createReader(connection).top('u4')).toBe(snapshot.lastEventId)
  })
})

describe('leases', () => {
  test('one holder at a time, tokens grow, an expired lease is free', async () => {
    const leases = createLeases(redis.connect())
    const key = leaseKey('u5', 'c')
    const first = await leases.take(key, 40)
    expect(await leases.take(key, 40)).toBeNull()
    expect(await leases.renew(key, first!, 40)).toBe(true)
    await expect.poll(() => leases.take(key, 1_000), { interval: 10 }).not.toBeNull()
    expect(await leases.renew(key, first!, 1_000)).toBe(false)
    await leases.release(key, first!) // not ours any more: changes nothing
    expect(await leases.take(key, 1_000)).toBeNull()
  })
})

describe('connections', () => {
  test('revisions grow', async () => {
    const connections = createConnections(redis.connect())
    const record = {
      userId: 'u6',
      connectionId: 'c',
      brokerType: 'alpaca',
      env: 'paper',
      sealed: 'x',
      connectedAt: 'now',
    } as const
    const first = await connections.put(record)
    const second = await connections.put({ ...record, sealed: 'y' })
    expect(Number(second.revision)).toBeGreaterThan(Number(first.revision))
    expect(await connections.get(record)).toEqual({
      schema: 1,
      ...record,
      sealed: 'y',
      revision: second.revision,
    })
  })
})

describe('demand', () => {
  test('a symbol is wanted until its last watcher was silent for the whole time', async () => {
    let now = 1_000
    const demand = createDemand(redis.connect(), () => now)
    await demand.announce(['AAPL', 'TSLA'])
    now += 20_000
    await demand.announce(['AAPL'])
    now += 15_000
    expect(await demand.wanted()).toEqual(['AAPL'])
  })
})

describe('vault', () => {
  const key = (kid: string, fill: number) => ({ kid, key: new Uint8Array(32).fill(fill) })
  const at = { userId: 'u', connectionId: 'c' }
  const credentials = { keyId: 'K', secretKey: 'S3CRET' }

  test('opens credentials that it sealed, also under an older key', async () => {
    const sealed = await createVault([key('a', 1)]).seal(at, credentials)
    expect(sealed).not.toContain('S3CRET')
    expect(await createVault([key('b', 2), key('a', 1)]).open(at, sealed)).toEqual({
      credentials,
      stale: true,
    })
  })

  test.each([
    ['another user', { userId: 'v', connectionId: 'c' }, [key('a', 1)]],
    ['another connection', { userId: 'u', connectionId: 'd' }, [key('a', 1)]],
    ['a retired key', at, [key('b', 2)]],
    ['another key of the same name', at, [key('a', 3)]],
  ])('refuses %s', async (_name, ref, keys) => {
    const sealed = await createVault([key('a', 1)]).seal(at, credentials)
    await expect(createVault(keys).open(ref, sealed)).rejects.toThrow(VaultError)
  })
})

test('a script that Redis forgot is sent again', async () => {
  const connection = redis.connect()
  const store = createStore(connection)
  await store.commit('u7', commit)
  await redis.connect().script('FLUSH')
  expect((await store.commit('u7', commit)).kind).toBe('conflict')
})

describe('recoveries', () => {
  test('a mark lasts until its own lease ends it, or its time is over', async () => {
    const recoveries = createRecoveries(redis.connect())
    const ref = { userId: 'u6', connectionId: 'c' }
    expect(await recoveries.isRunning(ref)).toBe(false)
    await recoveries.begin(ref, 'first', 60_000)
    await recoveries.begin(ref, 'second', 60_000)
    await recoveries.end(ref, 'first')
    expect(await recoveries.isRunning(ref)).toBe(true)
    await recoveries.end(ref, 'second')
    expect(await recoveries.isRunning(ref)).toBe(false)
    await recoveries.begin(ref, 'third', 30)
    await expect.poll(() => recoveries.isRunning(ref)).toBe(false)
  })
})
