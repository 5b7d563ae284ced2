import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { paceKey } from '../../src/store/keys.ts'
import { benchOnRedis, newUser } from '../conformance/store-bench.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'

// The minute of the orders that are counted, at its edges: the times lie in Redis as the script
// writes them, so a test may write them.

let redis: TestRedis
beforeAll(async () => void (redis = await startRedis()))
afterAll(() => redis.stop())

const SECOND_US = 1_000_000

async function make(agesUs: readonly number[]) {
  const link = redis.connect()
  const { store, connections, links } = benchOnRedis(link)
  const userId = newUser()
  const ref = { userId, connectionId: 'broker_1' }
  const record = {
    ...ref,
    brokerType: 'alpaca',
    env: 'paper',
    sealed: 's',
    connectedAt: '',
  } as const
  const { revision } = await connections.put(record)
  await links.verify((await connections.get(ref))!, `account of ${userId}`)
  const [seconds, micros] = await link.time()
  const nowUs = Number(seconds) * SECOND_US + Number(micros)
  if (agesUs.length > 0)
    await link.rpush(paceKey(userId), ...agesUs.map((age) => String(nowUs - age)))
  const free = { minute: null, day: null }
  const pace = { day: '2024-03-15', user: { minute: 2, day: null }, connection: free }
  const take = async () => {
    const who = {
      kind: 'take',
      tradeId: 't1',
      by: 'w',
      connectionId: 'broker_1',
      revision,
      first: false,
    } as const
    const fence = { ...who, exposure: 'adds', budget: false, pace } as const
    return store.commit(userId, {
      expectVersion: await store.version(userId),
      fence,
      writes: [],
      events: [],
    })
  }
  return { take, link, key: paceKey(userId) }
}

describe('the sliding minute in which orders are counted', () => {
  test.each<[string, number[], 'committed' | 'over_pace']>([
    ['two within it', [10 * SECOND_US, 50 * SECOND_US], 'over_pace'],
    ['the second is older', [10 * SECOND_US, 61 * SECOND_US], 'committed'],
    ['both are older', [61 * SECOND_US, 62 * SECOND_US], 'committed'],
  ])('%s', async (_what, ages, kind) => {
    const { take } = await make(ages)
    expect((await take()).kind).toBe(kind)
  })

  test('the refusal says when the next order may be sent', async () => {
    const { take } = await make([10 * SECOND_US, 50 * SECOND_US])
    const over = await take()
    expect(over).toMatchObject({ kind: 'over_pace', scope: 'user', max: 2 })
    expect(over.kind === 'over_pace' ? over.retryAfterMs : 0).toBeGreaterThan(5_000)
    expect(over.kind === 'over_pace' ? over.retryAfterMs : 0).toBeLessThanOrEqual(10_000)
  })

  test('counts from before Redis time stepped back delay orders for a minute at most', async () => {
    const { take, link, key } = await make([-3_600 * SECOND_US, -3_600 * SECOND_US])
    const over = await take()
    expect(over.kind === 'over_pace' ? over.retryAfterMs : 0).toBeLessThanOrEqual(60_000)
    expect(await link.pttl(key)).toBeLessThanOrEqual(60_000)
    const [seconds] = await link.time()
    for (const time of await link.lrange(key, 0, -1))
      expect(Number(time) / SECOND_US).toBeLessThanOrEqual(Number(seconds) + 1)
  })
})
