import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Order, reduce } from '#domain'
import { assertKeepsEverything } from '#runtime'
import { type Commit, createReader, createStore, RecordError } from '#store'
import { claimed, emptySlice, orderKey } from '../domain/orders.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'

let redis: TestRedis
beforeAll(async () => {
  redis = await startRedis()
})
afterAll(() => redis.stop())

const order = reduce(emptySlice, claimed(), orderKey).slice.order as Order
const address = { orderId: 't1', connectionId: 'broker_1', symbol: 'AAPL' }
const notice = {
  event: 'broker.connected',
  payload: { brokerType: 'alpaca', brokerConnectionId: 'b', timestamp: '2024-03-15T14:00:00.000Z' },
} as const
const commit: Commit = {
  expectVersion: '0',
  fence: { kind: 'version' } as const,
  writes: [{ kind: 'order', order } as const],
  events: [notice, notice],
}

const folder = join(import.meta.dirname, '../../src/store')
const source = (name: string): string => readFileSync(join(folder, name), 'utf8')

/** The commit script, that fails at its `failing`th write. */
const brokenScript = (failing: number): string => `
local writes, redis_ = 0, redis
local redis = setmetatable({call = function(command, ...)
  if string.find(' SADD SREM HSET HDEL XADD SET PEXPIRE PUBLISH ', ' ' .. command .. ' ', 1, true) then
    writes = writes + 1
    if writes == ${failing} then error('broken at write ${failing}') end
  end
  return redis_.call(command, ...)
end}, {__index = redis_})
${source('commit.lua').replace(/^--- include ([a-z-]+)$/gm, (_line, shared: string) => source(`${shared}.lua`))}`

describe('RDQ-07 a script that stops half way', () => {
  test.each([1, 2, 3, 4, 5, 6, 7])(
    'RDQ-07 at its write %i: no event without its state, and a retry completes',
    async (failing) => {
      const user = `broken-${failing}`
      const connection = redis.connect()
      connection.defineCommand('commit', { lua: brokenScript(failing) })
      await expect(createStore(connection).commit(user, commit)).rejects.toThrow(
        `broken at write ${failing}`,
      )
      const store = createStore(redis.connect())
      const reader = createReader(redis.connect())
      const isWritten = (await store.loadSlice(user, address)).slice.order !== null
      const { entries, top } = await reader.events(user, '0000000000000-00000', 10)
      if (!isWritten)
        expect({ entries: entries.length, version: await store.version(user) }).toEqual({
          entries: 0,
          version: '0',
        })
      else if (entries.at(-1)?.id !== top) expect(entries.length).toBeLessThan(2) // the log lacks an event that the state names: a resync
      const again = await store.commit(user, commit)
      expect(again.kind).toBe(isWritten ? 'conflict' : 'committed')
      expect((await store.loadSlice(user, address)).slice.order).toEqual(order)
      expect((await store.loadOpen(user, 'broker_1')).orders).toEqual([order])
    },
  )

  test('every check runs before the first write', () => {
    const lines = source('commit.lua').split('\n')
    const at = (pattern: RegExp): number[] =>
      lines.flatMap((line, index) => (pattern.test(line) ? [index] : []))
    const reads = at(
      /redis\.call\('(GET|HGET|HMGET|HEXISTS|SCARD|TIME|XRANGE|XLEN|XINFO)'|budget_(read|wait)\(/,
    )
    const writes = at(
      /redis\.call\('(SET|DEL|XADD|PEXPIRE|PUBLISH)'|inParts\('|budget_(spend|write)\(/,
    )
    const returns = at(/return \{'(clash|fenced|halted|archived|ended|unusable|over_budget)'/)
    expect(reads.length * writes.length * returns.length).toBeGreaterThan(0)
    expect(Math.max(...reads, ...returns)).toBeLessThan(Math.min(...writes))
  })
})

describe('RDQ-07 memory', () => {
  test.each([
    ['noeviction', true],
    ['allkeys-lru', false],
    ['volatile-ttl', false],
  ])('RDQ-07 a server with the policy %s is accepted: %s', async (policy, isTaken) => {
    const connection = redis.connect()
    await connection.config('SET', 'maxmemory-policy', policy)
    const checked = assertKeepsEverything(connection)
    await (isTaken
      ? expect(checked).resolves.toBeUndefined()
      : expect(checked).rejects.toThrow('maxmemory-policy'))
    await connection.config('SET', 'maxmemory-policy', 'noeviction')
  })

  test('RDQ-07 a full server refuses a commit whole', async () => {
    const connection = redis.connect()
    const store = createStore(connection)
    const reader = createReader(connection)
    await store.commit('full', commit)
    const { version } = await store.loadSlice('full', address)
    await connection.config('SET', 'maxmemory', '1')
    await expect(store.commit('full', { ...commit, expectVersion: version })).rejects.toThrow('OOM')
    await connection.config('SET', 'maxmemory', '0')
    expect((await reader.events('full', '0000000000000-00000', 10)).entries).toHaveLength(2)
    expect((await store.commit('full', { ...commit, expectVersion: version })).kind).toBe(
      'committed',
    )
  })
})

describe('RDQ-06 the same commit from two connections at once', () => {
  test('RDQ-06 is applied once, with one pair of events', async () => {
    const stores = [createStore(redis.connect()), createStore(redis.connect())]
    const results = await Promise.all(stores.map((store) => store.commit('twice', commit)))
    expect(results.map(({ kind }) => kind).sort()).toEqual(['committed', 'conflict'])
    expect(
      (await createReader(redis.connect()).events('twice', '0000000000000-00000', 10)).entries,
    ).toHaveLength(2)
  })
})

describe('CRA-09 two versions at once', () => {
  const put = (user: string, name: string, record: object) =>
    redis.connect().hset(`state:{${user}}`, name, JSON.stringify(record))

  test('CRA-09 fields that this version does not know survive a round trip', async () => {
    const store = createStore(redis.connect())
    await put('newer', 'order:t1', { ...order, invented: { later: true } })
    const { version, slice } = await store.loadSlice('newer', address)
    const writes = [{ kind: 'order', order: { ...slice.order!, status: 'submitted' } }] as const
    expect((await store.commit('newer', { ...commit, expectVersion: version, writes })).kind).toBe(
      'committed',
    )
    expect((await store.loadSlice('newer', address)).slice.order).toMatchObject({
      status: 'submitted',
      invented: { later: true },
    })
  })

  test('CRA-09 a record of an unreadable version is reported, and stays unchanged', async () => {
    const store = createStore(redis.connect())
    const unknown = { ...order, schema: 99 }
    await put('unknown', 'order:t1', unknown)
    await expect(store.loadSlice('unknown', address)).rejects.toThrow(RecordError)
    expect(JSON.parse((await redis.connect().hget('state:{unknown}', 'order:t1'))!)).toEqual(
      unknown,
    )
    const other = await store.loadSlice('unknown', { ...address, orderId: 't2' }) // the rest of the user goes on
    expect(other.slice.order).toBeNull()
  })

  test('CRA-09 health of the previous version is read with its meaning', async () => {
    const store = createStore(redis.connect())
    const first = {
      schema: 1,
      state: 'down',
      failures: 3,
      reason: 'The broker cannot be reached',
      since: 's',
    }
    await put('older', 'health:broker_1', first)
    expect((await store.loadHealth('older', 'broker_1')).health).toEqual({
      schema: 2,
      state: 'down',
      cause: 'failing',
      doubts: 0,
      doubtSince: null,
      reason: 'The broker cannot be reached',
      since: 's',
    })
  })
})
