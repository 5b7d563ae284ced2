import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { CommandAnswer } from '#contract'
import { adopt, dec } from '#domain'
import { createConnections, createStoreEpoch, createLinks, createStore, type Write } from '#store'
import { at, readingOf } from '../domain/orders.ts'
import { type Client, notice, numbers, payloadsOf, signed, Stage } from './harness.ts'

// P4: a client is never shown figures of an account that was not read. On a real Redis, with plain
// clients.

let stage: Stage
beforeAll(async () => void (stage = await Stage.open()))
afterAll(() => stage[Symbol.asyncDispose]())

let users = 0
const newUser = (): string => `unread-${(users += 1)}`
const RESYNC = {
  event: 'state.resync',
  payload: { reason: 'read anew', timestamp: at(0) },
} as const
const slow = { timeout: 15_000 }

/** Connects an account as the trade API does, and finds out where it leads, as a worker does. */
async function link(own: Stage, userId: string, connectionId: string): Promise<void> {
  const redis = own.redis.connect()
  const record = await createConnections(redis).put({
    userId,
    connectionId,
    brokerType: 'alpaca',
    env: 'sandbox',
    sealed: 'sealed',
    connectedAt: at(0),
  })
  await createLinks(redis).verify(record, `account of ${userId} ${connectionId}`)
}

/** Writes an account's first reading, as a worker does. */
async function read(own: Stage, userId: string, connectionId: string, cash = '100'): Promise<void> {
  const store = createStore(own.redis.connect())
  const { account } = adopt(connectionId, readingOf({ cash: dec(cash) }))
  const writes: Write[] = [{ kind: 'account', account }]
  const expectVersion = await store.version(userId)
  const done = await store.commit(userId, {
    expectVersion,
    fence: { kind: 'version' },
    writes,
    events: [RESYNC],
  })
  expect(done.kind).toBe('committed')
}

const ask = (client: Client, payload: object = {}): Promise<CommandAnswer> =>
  client.socket.timeout(5_000).emitWithAck('state.requestSync', payload) as Promise<CommandAnswer>
const cashOf = (client: Client) =>
  payloadsOf(client, 'state.sync').map(({ portfolio }) => portfolio?.cashBalance)
const count = (client: Client, name: string): number =>
  client.names().filter((each) => each === name).length
const UNAVAILABLE = expect.objectContaining({
  ok: false,
  error: 'STATE_UNAVAILABLE',
}) as CommandAnswer

describe('a linked account that was not read yet', () => {
  test('the state is unavailable on request, and is sent once the account is read', async () => {
    const user = newUser()
    await link(stage, user, 'c1')
    const client = await stage.authorized({}, user)
    expect(await ask(client)).toEqual(UNAVAILABLE)
    expect(client.names()).toEqual(['connection.authorized', 'state.resync'])
    await read(stage, user, 'c1')
    await expect.poll(() => client.names(), slow).toContain('state.sync')
    expect(client.names()).toEqual(['connection.authorized', 'state.resync', 'state.sync'])
    expect(cashOf(client)).toEqual([100])
    expect(await ask(client)).toEqual({ ok: true })
  })

  test('of two accounts, the figures wait for the second, and there is one resync', async () => {
    const user = newUser()
    for (const id of ['c1', 'c2']) await link(stage, user, id)
    const client = await stage.authorized({}, user)
    await read(stage, user, 'c1', '100')
    await expect.poll(() => client.names(), slow).toContain('state.resync')
    expect(await ask(client)).toEqual(UNAVAILABLE)
    await stage.store.commit(user, {
      expectVersion: await stage.store.version(user),
      fence: { kind: 'version' },
      writes: [],
      events: [notice(1)],
    })
    await expect.poll(() => numbers(client)).toEqual([1]) // events in the meantime are sent
    expect(cashOf(client)).toEqual([])
    await read(stage, user, 'c2', '23')
    await expect.poll(() => cashOf(client), slow).toEqual([123])
    expect(count(client, 'state.resync')).toBe(1)
  })

  test('requests for two parts bring the whole state behind the resync', async () => {
    const user = newUser()
    await link(stage, user, 'c1')
    const client = await stage.authorized({}, user)
    for (const type of ['portfolio', 'trades'])
      expect(await ask(client, { syncTypes: [type] })).toEqual(UNAVAILABLE)
    await read(stage, user, 'c1')
    await expect.poll(() => client.names(), slow).toContain('state.sync')
    expect(payloadsOf(client, 'state.sync')[0]).toMatchObject({
      portfolio: { cashBalance: 100 },
      positions: [],
      pendingTrades: [],
    })
  })

  test('a connection without an account hides no other account', async () => {
    const user = newUser()
    await link(stage, user, 'c1')
    await createConnections(stage.redis.connect()).put({
      userId: user,
      connectionId: 'wrong',
      brokerType: 'alpaca',
      env: 'sandbox',
      sealed: 's',
      connectedAt: at(0),
    })
    await read(stage, user, 'c1')
    const client = await stage.authorized({}, user)
    expect(await ask(client)).toEqual({ ok: true })
    expect(cashOf(client)).toEqual([100])
  })

  test('a user without a connection gets an empty state', async () => {
    const client = await stage.authorized({}, newUser())
    expect(await ask(client)).toEqual({ ok: true })
    expect(cashOf(client)).toEqual([0])
  })
})

describe('after Redis was wiped', () => {
  const ready = async (own: Stage): Promise<[number, string]> => {
    const response = await fetch(`http://127.0.0.1:${own.relay.probes.port}/readyz`)
    return [response.status, await response.text()]
  }

  test.each(['survive', 'are new'])(
    'clients get one resync, and figures only after a read, when workers %s',
    { timeout: 60_000 },
    async (workers) => {
      await using own = await Stage.open()
      const user = newUser()
      await link(own, user, 'c1')
      await read(own, user, 'c1')
      const live = await own.authorized({}, user)
      const last = await createStore(own.redis.connect()).version(user)
      expect(last).not.toBe('0')
      const lastEventId = payloadsOf(live, 'connection.authorized')[0]!.lastEventId!
      await own.redis.connect().flushall()

      const back = await own.authorized(
        { auth: { token: await signed({ sub: user }), lastEventId } },
        user,
      )
      for (const client of [live, back]) expect(await ask(client)).toEqual(UNAVAILABLE)
      expect(await ready(own)).toEqual([
        200,
        expect.stringMatching(/^ready\nstore_lost: .*\naccount_unread: 2 /),
      ])
      // New workers know nothing of the user: an account is known again when the trade API connects
      // it.
      await createStoreEpoch(own.redis.connect(), () => 'another store').mint()
      for (const client of [live, back]) expect(await ask(client)).toEqual(UNAVAILABLE)
      if (workers === 'survive') await link(own, user, 'c1')
      for (const client of [live, back]) expect(await ask(client)).toEqual(UNAVAILABLE)
      if (workers === 'are new') await link(own, user, 'c1')
      await read(own, user, 'c1', '77')
      for (const client of [live, back]) {
        await expect.poll(() => cashOf(client), slow).toEqual([77])
        expect(count(client, 'state.resync')).toBe(1)
      }
      expect(await ready(own)).toEqual([200, 'ready\n'])
    },
  )

  test(
    'figures come without an event too, once the store marks them as known',
    { timeout: 30_000 },
    async () => {
      await using own = await Stage.open()
      const user = newUser()
      await link(own, user, 'c1')
      await read(own, user, 'c1')
      const client = await own.authorized({}, user)
      const redis = own.redis.connect()
      await redis.del('epoch')
      expect(await ask(client)).toEqual(UNAVAILABLE)
      await createStoreEpoch(redis, () => 'again').mint()
      await expect.poll(() => cashOf(client), slow).toEqual([100])
    },
  )
})
