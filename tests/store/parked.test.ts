import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createParkedOrders, createReader } from '#store'
import { parkedKey } from '../../src/store/keys.ts'
import { PARKED_MAX } from '../../src/store/parked.ts'
import { intentOf } from '../domain/orders.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'

let redis: TestRedis
beforeAll(async () => void (redis = await startRedis()))
afterAll(() => redis.stop())

describe('the note of an order that waits to be sent', () => {
  test('keeps when it was first parked, with the latest reason', async () => {
    const connection = redis.connect()
    const parked = createParkedOrders(connection)
    const reader = createReader(connection)
    expect(await parked.waitingMs('u1', 't1')).toBe(0)
    expect(await parked.note(intentOf(), 'the account has not been read yet')).toBe(0)
    const first = await reader.parked('u1', 't1')
    await expect.poll(() => parked.note(intentOf(), 'no credentials')).toBeGreaterThan(20)
    expect(await reader.parked('u1', 't1')).toMatchObject({
      reason: 'no credentials',
      since: first!.since,
      symbol: 'AAPL',
      side: 'buy',
      quantity: '100',
      orderType: 'market',
    })
    expect((await reader.figures('u1')).snapshot.parked).toMatchObject([{ tradeId: 't1' }])
    await parked.clear('u1', 't1')
    expect([await reader.parked('u1', 't1'), await parked.waitingMs('u1', 't1')]).toEqual([null, 0])
  })

  test('does not count once no worker has parked the order for half a minute', async () => {
    const connection = redis.connect()
    const parked = createParkedOrders(connection)
    await parked.note(intentOf({ userId: 'u2' }), 'why')
    const record = JSON.parse((await connection.hget(parkedKey('u2'), 't1'))!) as Record<
      string,
      string
    >
    const old = {
      ...record,
      seenAt: new Date(Date.parse(record['seenAt']!) - 30_000).toISOString(),
    }
    await connection.hset(parkedKey('u2'), 't1', JSON.stringify(old))
    expect(await createReader(connection).parked('u2', 't1')).toBeNull()
    expect(await parked.note(intentOf({ userId: 'u2' }), 'why')).toBe(0)
  })

  test('is one of a bounded number, and expires by itself', async () => {
    const connection = redis.connect()
    const parked = createParkedOrders(connection)
    const noteOf = async (tradeId: string): Promise<string> => {
      await parked.note(intentOf({ userId: 'u3', tradeId }), 'why')
      return (await connection.hget(parkedKey('u3'), tradeId)) ?? ''
    }
    const fresh = await noteOf('o0')
    const old = fresh.replace(/"seenAt":"[^"]*"/, '"seenAt":"2024-03-15T14:00:00.000Z"')
    await connection.hset(
      parkedKey('u3'),
      Object.fromEntries(Array.from({ length: PARKED_MAX }, (_, n) => [`o${n}`, fresh])),
    )
    expect(await noteOf('late')).toBe('')
    await connection.hset(parkedKey('u3'), 'o1', old)
    expect(await noteOf('late')).not.toBe('')
    expect(await connection.hexists(parkedKey('u3'), 'o1')).toBe(0)
    expect(await connection.pttl(parkedKey('u3'))).toBeGreaterThan(0)
  })
})
