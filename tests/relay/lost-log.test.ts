import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { adopt } from '#domain'
import { createReader } from '#store'
import { readingOf } from '../domain/orders.ts'
import { type Client, notice, numbers, signed, Stage } from './harness.ts'

// P4 after Redis lost a part of its data: on a real Redis, with plain clients.

let stage: Stage
beforeAll(async () => void (stage = await Stage.open()))
afterAll(() => stage[Symbol.asyncDispose]())

let users = 0
const newUser = (): string => `loser-${(users += 1)}`
const from = async (user: string, lastEventId: string): Promise<Client> =>
  stage.authorized({ auth: { token: await signed({ sub: user }), lastEventId } }, user)
const TOLD_ANEW = ['connection.authorized', 'state.resync', 'state.sync']

/** A user with five events that were sent; ids by their number. */
async function five(): Promise<{ user: string; ids: string[] }> {
  const user = newUser()
  const ids = ['']
  for (let n = 1; n <= 5; n += 1) ids.push(await stage.tell(user, notice(n)))
  return { user, ids }
}
const logKey = (user: string): string => `log:{${user}}`
const stateKey = (user: string): string => `state:{${user}}`
const redisId = (id = ''): string => `${Number(id.slice(0, 13))}-${Number(id.slice(14))}`

describe('the end of the log is lost, and the state is not', () => {
  test('a complete client loses nothing; an incomplete one gets the rest, then the state', async () => {
    const { user, ids } = await five()
    const redis = stage.redis.connect()
    await redis.xdel(logKey(user), redisId(ids[4]), redisId(ids[5]))
    const whole = await from(user, ids[5]!)
    const behind = await from(user, ids[1]!)
    await expect.poll(() => behind.names()).toContain('state.sync')
    expect(behind.names()).toEqual([
      'connection.authorized',
      'broker.connected',
      'broker.connected',
      ...TOLD_ANEW.slice(1),
    ])
    expect(numbers(behind)).toEqual([2, 3])
    await stage.tell(user, notice(6))
    for (const client of [whole, behind]) await expect.poll(() => numbers(client).at(-1)).toBe(6)
    expect(whole.names()).toEqual(['connection.authorized', 'broker.connected'])
    expect(behind.names().filter((name) => name === 'state.resync')).toHaveLength(1)
  })

  test('later events in the log - the hole is detected, and the state is sent', async () => {
    const { user, ids } = await five()
    await stage.redis.connect().xdel(logKey(user), redisId(ids[4]), redisId(ids[5]))
    const last = await stage.tell(user, notice(6))
    const client = await from(user, ids[1]!)
    await expect.poll(() => client.names()).toContain('state.sync')
    expect(numbers(client)).toEqual([2, 3])
    expect(client.heard.at(-1)?.[1]).toMatchObject({ lastEventId: last })
    await stage.tell(user, notice(7))
    await expect.poll(() => numbers(client)).toEqual([2, 3, 7])
    expect(client.names().filter((name) => name === 'state.resync')).toHaveLength(1)
  })

  test.each(['connected', 'back'] as const)(
    'all of the log is lost: a complete client that is %s gets no resync',
    async (when) => {
      const { user, ids } = await five()
      const early = when === 'connected' ? await from(user, ids[5]!) : null
      await stage.redis.connect().del(logKey(user))
      const client = early ?? (await from(user, ids[5]!))
      const behind = await from(user, ids[2]!)
      await expect.poll(() => behind.names()).toEqual(TOLD_ANEW)
      await stage.tell(user, notice(6))
      for (const one of [client, behind]) await expect.poll(() => numbers(one)).toEqual([6])
      expect(client.names()).not.toContain('state.resync')
    },
  )
})

describe('state and log fall back together, as after a failover', () => {
  /** The replica that takes over has three of the five events. */
  async function fallenBack() {
    const { user, ids } = await five()
    const redis = stage.redis.connect()
    const live = await from(user, ids[5]!)
    await redis.xdel(logKey(user), redisId(ids[4]), redisId(ids[5]))
    await redis.hset(stateKey(user), 'last', ids[3]!)
    return { user, ids, live }
  }

  test('each client that has a lost event gets one resync; other clients get none', async () => {
    const { user, ids, live } = await fallenBack()
    const back = await from(user, ids[5]!)
    const before = await from(user, ids[2]!)
    await expect.poll(() => back.names()).toEqual(TOLD_ANEW)
    expect(back.heard.at(-1)?.[1]).toMatchObject({ lastEventId: ids[3] })
    await stage.tell(user, notice(14))
    await expect.poll(() => live.names()).toEqual(TOLD_ANEW) // the new event does not follow its last event
    await expect.poll(() => numbers(before)).toEqual([3, 14])
    await expect.poll(() => numbers(back)).toEqual([14])
    const late = await from(user, ids[4]!)
    await expect.poll(() => late.names()).toEqual(TOLD_ANEW)
    await stage.tell(user, notice(15))
    for (const client of [live, back, before, late])
      await expect.poll(() => numbers(client).at(-1)).toBe(15)
    expect(
      [live, back, before, late].map(
        (client) => client.names().filter((name) => name === 'state.resync').length,
      ),
    ).toEqual([1, 1, 0, 1])
  })
})

describe('the state is lost, and the log is not', () => {
  test('no event is sent twice; the rebuild is sent, and continues the log', async () => {
    const { user, ids } = await five()
    const live = await from(user, ids[5]!)
    const redis = stage.redis.connect()
    await redis.del(stateKey(user))
    expect(await createReader(redis).top(user)).toBe(ids[5])
    expect(await createReader(redis).snapshot(user)).toMatchObject({
      version: '0',
      lastEventId: ids[5],
    })
    const back = await from(user, ids[3]!)
    await expect.poll(() => numbers(back)).toEqual([4, 5])
    const { account } = adopt('c1', readingOf({}))
    const resync = {
      event: 'state.resync',
      payload: { reason: 'rebuilt', timestamp: '2024-03-15T14:00:00.000Z' },
    } as const
    const rebuilt = await stage.store.commit(user, {
      expectVersion: '0',
      fence: { kind: 'version' },
      writes: [{ kind: 'account', account }],
      events: [resync],
    })
    expect(rebuilt.kind).toBe('committed')
    await expect.poll(() => live.names()).toEqual(TOLD_ANEW)
    await expect.poll(() => back.names().slice(-2)).toEqual(['state.resync', 'state.sync'])
    expect(numbers(live)).toEqual([])
    expect(numbers(back)).toEqual([4, 5])
  })
})
