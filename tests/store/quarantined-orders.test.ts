import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  ASIDE_MAX,
  ASIDE_MS,
  ASIDE_SHOWN_MAX,
  type QuarantinedOrder,
  type QuarantinedOrders,
  createQuarantinedOrders,
} from '#store'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { FakeAside } from '../support/fake-quarantine.ts'

let redis: TestRedis
let nowMs = 0
beforeAll(async () => {
  redis = await startRedis()
})
afterAll(() => redis.stop())

const order = (n: number, over: Partial<QuarantinedOrder> = {}): QuarantinedOrder => ({
  userId: `user${n}`,
  connectionId: 'broker_1',
  tradeId: `t${n}`,
  symbol: 'AAPL',
  due: 'submission',
  at: `2024-03-15T14:00:00.${String(n).padStart(4, '0')}Z`,
  ...over,
})

const makers: Record<string, () => QuarantinedOrders> = {
  redis: () => createQuarantinedOrders(redis.connect(), () => nowMs),
  'the fake': () => new FakeAside(() => nowMs),
}

describe.each(Object.entries(makers))('quarantined orders (%s)', (_name, make) => {
  beforeEach(async () => {
    nowMs = 1_700_000_000_000
    await redis.connect().flushall()
  })

  test('are listed once, as they were noted last', async () => {
    const aside = make()
    await aside.note([order(1), order(2)])
    nowMs += 1_000
    await aside.note([order(1, { due: 'cancel' })])
    await aside.note([])
    expect(await aside.list()).toEqual({
      orders: [order(1, { due: 'cancel' }), order(2)],
      total: 2,
    })
  })

  test('are dropped when no worker notes them any more', async () => {
    const aside = make()
    await aside.note([order(1), order(2)])
    nowMs += ASIDE_MS - 1_000
    await aside.note([order(2)])
    nowMs += 2_000
    expect(await aside.list()).toEqual({ orders: [order(2)], total: 1 })
  })
})

test('of very many, one page is listed with the total; the stored list is bounded', async () => {
  await redis.connect().flushall()
  const aside = makers['redis']!()
  const many = Array.from({ length: ASIDE_MAX + 50 }, (_, n) => order(n))
  await aside.note(many)
  const { orders, total } = await aside.list()
  expect([orders.length, total]).toEqual([ASIDE_SHOWN_MAX, ASIDE_MAX])
  expect(await redis.connect().zcard('aside')).toBe(ASIDE_MAX)
})
