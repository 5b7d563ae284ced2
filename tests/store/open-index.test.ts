import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Order, reduce } from '#domain'
import { type Commit, createReader, createStore } from '#store'
import { claimed, emptySlice, orderKey } from '../domain/orders.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'

let redis: TestRedis
beforeAll(async () => void (redis = await startRedis()))
afterAll(() => redis.stop())

const order = reduce(emptySlice, claimed(), orderKey).slice.order as Order
const ended: Order = { ...order, id: 't0', status: 'denied', endedAt: '2024-03-15T14:00:00.000Z' }
const stateKey = (user: string) => `state:{${user}}`
const openKey = (user: string) => `state:{${user}}:open`

/** A user with one order that is open and one that is over. */
async function bench(user: string) {
  const connection = redis.connect()
  const store = createStore(connection)
  const reader = createReader(connection)
  const write = async (...orders: Order[]): Promise<void> => {
    const writes = orders.map((one) => ({ kind: 'order', order: one }) as const)
    const { version: expectVersion } = await store.loadConnection(user, 'broker_1')
    const commit: Commit = { expectVersion, fence: { kind: 'version' }, writes, events: [] }
    expect((await store.commit(user, commit)).kind).toBe('committed')
  }
  /** Open orders as workers and as relays are shown them. */
  const shown = async () => {
    const ids = (orders: readonly Order[]): string[] => orders.map(({ id }) => id).sort()
    return [
      ids((await reader.snapshot(user)).orders),
      ids((await store.loadOpen(user, 'broker_1')).orders),
    ]
  }
  const isExact = async (): Promise<boolean> => {
    const [version, indexed] = await connection.hmget(stateKey(user), 'v', 'indexed')
    return indexed === `${version} ${await connection.scard(openKey(user))}`
  }
  await write(order, ended)
  return { connection, write, shown, isExact }
}

describe('the set of open fields is never used where it may be wrong', () => {
  test('an older worker wrote without the set - every field is read, the set is rebuilt', async () => {
    const { connection, write, shown, isExact } = await bench('older')
    const record = JSON.stringify({ ...order, id: 't2' })
    await connection.hset(
      stateKey('older'),
      'v',
      '9999999999999999',
      'order:t2',
      record,
      'order:t1',
      JSON.stringify(ended),
    )
    await write({ ...order, id: 't3' }) // a commit of ours does not make it right
    expect(await isExact()).toBe(false)
    expect(await shown()).toEqual([
      ['t2', 't3'],
      ['t2', 't3'],
    ])
    expect(await isExact()).toBe(true)
    await write({ ...order, id: 't4' }, { ...ended, id: 't2' })
    expect([await isExact(), ...(await shown())]).toEqual([true, ['t3', 't4'], ['t3', 't4']])
  })

  test.each([
    ['is gone', (user: string) => redis.connect().del(openKey(user))],
    ['lacks a field', (user: string) => redis.connect().srem(openKey(user), 'order:t1')],
    ['has one that is none', (user: string) => redis.connect().sadd(openKey(user), 'order:t9')],
  ])('a set that %s', async (how, spoil) => {
    const { write, shown, isExact } = await bench(how)
    await spoil(how)
    expect(await shown()).toEqual([['t1'], ['t1']])
    expect(await isExact()).toBe(true)
    await write({ ...order, id: 't2' })
    expect(await shown()).toEqual(Array(2).fill(['t1', 't2']))
  })

  test('state gone - its set does not count for the next state', async () => {
    const { connection, write, shown, isExact } = await bench('wiped')
    await connection.del(stateKey('wiped'))
    expect(await shown()).toEqual([[], []])
    await write({ ...order, id: 't5' })
    expect([await isExact(), ...(await shown())]).toEqual([true, ['t5'], ['t5']])
  })

  test('under constant writes, each snapshot belongs to one version', async () => {
    const { write, shown } = await bench('busy')
    let isOver = false
    const writing = (async () => {
      for (let n = 0; n < 200; n += 1) {
        const [open, over] = n % 2 === 0 ? ['t1', 't0'] : ['t0', 't1']
        await write({ ...order, id: open }, { ...ended, id: over })
      }
      isOver = true
    })()
    while (!isOver) for (const ids of await shown()) expect(ids).toHaveLength(1)
    await writing
  })

  test('more open orders than a script returns at once', async () => {
    const { write, shown, connection, isExact } = await bench('many')
    const ids = Array.from({ length: 4_500 }, (_, n) => `m${n}`).sort()
    for (let from = 0; from < ids.length; from += 1_500)
      await write(...ids.slice(from, from + 1_500).map((id) => ({ ...order, id })))
    await connection.del(openKey('many'))
    await shown()
    expect([await isExact(), ...(await shown())]).toEqual([true, [...ids, 't1'], [...ids, 't1']])
  })
})
