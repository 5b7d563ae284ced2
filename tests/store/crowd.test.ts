import { afterAll, beforeAll, expect, test } from 'vitest'
import { type OrderKey, type OrderIntent } from '#domain'
import { StateCache } from '../../workers/state/cache.ts'
import { claimOrder } from '../../workers/state/write.ts'
import { benchOnRedis } from '../conformance/store-bench.ts'
import { claimed, intentOf, orderKey } from '../domain/orders.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'

/** Far more than the clashes that one commit bears. */
const CROWD = 200

let redis: TestRedis
beforeAll(async () => void (redis = await startRedis()))
afterAll(() => redis.stop())

test('two processes claim a crowd of trades of one user at once - each is claimed', async () => {
  const { store, connections, links } = benchOnRedis(redis.connect())
  const connection = await connections.put({
    userId: 'u1',
    connectionId: 'broker_1',
    brokerType: 'alpaca',
    env: 'paper',
    sealed: 's',
    connectedAt: '',
  } as const)
  await links.verify(connection, 'account of u1')
  const other = benchOnRedis(redis.connect()).store
  const cache = new StateCache()
  const take = async (index: number) => {
    const intent: OrderIntent = intentOf({ tradeId: `t${index}` })
    const at: OrderKey = { ...orderKey, id: intent.tradeId }
    const writer = {
      store: index % 2 === 0 ? store : other,
      cache,
      clock: new FakeClock(),
      onCommitted: () => {},
    }
    const address = { orderId: at.id, connectionId: 'broker_1', symbol: 'AAPL' }
    const fence = {
      kind: 'take' as const,
      tradeId: at.id,
      by: `w${index}`,
      connectionId: 'broker_1',
      revision: connection.revision,
      exposure: 'adds' as const,
      budget: false,
      pace: null,
      first: true,
    } as const
    const known = await writer.store.loadSlice('u1', address)
    return claimOrder(
      writer,
      at,
      'AAPL',
      async () => ({ fence, updates: [claimed(intent)] }),
      known,
    )
  }
  const taken = await Promise.all(Array.from({ length: CROWD }, (_, index) => take(index)))
  expect(taken.filter(({ kind }) => kind === 'taken')).toHaveLength(CROWD)
  expect((await store.loadConnection('u1', 'broker_1')).orders).toHaveLength(CROWD)
})
