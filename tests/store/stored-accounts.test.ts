import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { adopt, dec } from '#domain'
import { createConnections, createStore } from '#store'
import { field, stateKey } from '../../src/store/keys.ts'
import { readingOf } from '../domain/orders.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'

let redis: TestRedis
beforeAll(async () => void (redis = await startRedis()))
afterAll(() => redis.stop())

const accountOf = (connectionId: string, cash: string) =>
  adopt(connectionId, readingOf({ cash: dec(cash) })).account

function bench(userId: string) {
  const connection = redis.connect()
  const store = createStore(connection)
  const commit = async (
    write: Parameters<typeof store.commit>[1]['writes'][number],
  ): Promise<void> => {
    const expectVersion = await store.version(userId)
    await store.commit(userId, {
      expectVersion,
      fence: { kind: 'version' },
      writes: [write],
      events: [],
    })
  }
  return {
    connection,
    commit,
    connections: createConnections(connection),
    listed: () => connection.hget(stateKey(userId), field.accounts),
    elsewhere: async () =>
      (await store.loadSlice(userId, { orderId: 't1', connectionId: 'broker_1', symbol: 'AAPL' }))
        .cashElsewhere,
  }
}

describe('the list of stored accounts', () => {
  test('names each account once, while the account is stored', async () => {
    const { commit, listed } = bench('listed')
    const put = (connectionId: string) =>
      commit({ kind: 'account', account: accountOf(connectionId, '5') })
    for (const connectionId of ['broker_1', 'broker_10', 'broker_1', 'b-1']) await put(connectionId)
    expect(await listed()).toBe(' broker_1 broker_10 b-1 ')
    await commit({ kind: 'forget', connectionId: 'broker_10' })
    await commit({ kind: 'forget', connectionId: 'broker_10' })
    expect(await listed()).toBe(' broker_1 b-1 ')
    await commit({ kind: 'forget', connectionId: 'broker_1' })
    await commit({ kind: 'forget', connectionId: 'b-1' })
    expect(await listed()).toBe(' ')
  })

  test('an account that an older worker stored without the list counts by its connection', async () => {
    const { connection, connections, commit, elsewhere } = bench('older')
    await connections.put({
      userId: 'older',
      connectionId: 'broker_2',
      brokerType: 'alpaca',
      env: 'sandbox',
      sealed: 's',
      connectedAt: '',
    })
    const record = JSON.stringify(accountOf('broker_2', '7'))
    await connection.hset(stateKey('older'), field.version, '5', field.account('broker_2'), record)
    expect(await elsewhere()).toBe('7')
    await commit({ kind: 'account', account: accountOf('broker_1', '1') })
    expect(await elsewhere()).toBe('7')
  })

  test('an account that an older worker removed is still listed, and counts for nothing', async () => {
    const { connection, commit, elsewhere } = bench('forgotten')
    await commit({ kind: 'account', account: accountOf('broker_2', '7') })
    expect(await elsewhere()).toBe('7')
    await connection.hdel(stateKey('forgotten'), field.account('broker_2'))
    expect(await elsewhere()).toBeNull()
  })
})
