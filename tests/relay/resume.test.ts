import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { EVENT_ID_ZERO } from '#contract'
import { type Client, type Heard, notice, numbers, signed, Stage } from './harness.ts'

// P4: "keep the last `id` you saw" is the whole rule of a resume.

let stage: Stage
beforeAll(async () => void (stage = await Stage.open()))
afterAll(() => stage[Symbol.asyncDispose]())

let users = 0
const newUser = (): string => `resumer-${(users += 1)}`
const idIn = ([, , meta]: Heard): string | undefined => (meta as { id?: string } | undefined)?.id
/** The id that a client keeps if it follows the rule. */
const lastId = (client: Client, before = ''): string =>
  client.heard.map(idIn).findLast(Boolean) ?? before
const resync = {
  event: 'state.resync',
  payload: { reason: 'rebuilt', timestamp: '2024-03-15T14:00:00.000Z' },
} as const

async function opened(user: string, lastEventId: unknown): Promise<Client> {
  const client = stage.connect({ auth: { token: await signed({ sub: user }), lastEventId } })
  await expect.poll(() => client.names()).toContain('connection.authorized')
  return client
}

describe('a client that keeps its last event id', () => {
  test.each([
    ['before the user’s first event', 0],
    ['after earlier events', 2],
  ])('and is cut before its first event, %s, misses nothing', async (_when, earlier) => {
    const user = newUser()
    for (let n = 1; n <= earlier; n += 1) await stage.tell(user, notice(n))
    const first = await opened(user, '')
    first.socket.disconnect()
    await stage.tell(user, notice(10))
    const second = await opened(user, lastId(first))
    await stage.tell(user, notice(11))
    await expect.poll(() => numbers(second)).toEqual([10, 11])
    expect(second.names()).not.toContain('state.resync')
  })

  test('gets every event once, for any number of cuts', async () => {
    const user = newUser()
    let kept = ''
    const heard: number[] = []
    for (let n = 1; n <= 12; n += 1) {
      const client = await opened(user, kept)
      if (n % 3 === 0) {
        client.socket.emit('state.requestSync', {})
        await expect.poll(() => client.names()).toContain('state.sync')
      }
      if (n % 2 === 0) {
        await stage.tell(user, notice(2 * n))
        await expect.poll(() => numbers(client)).toContain(2 * n)
      }
      client.socket.disconnect()
      kept = lastId(client, kept)
      heard.push(...numbers(client))
      await stage.tell(user, notice(2 * n + 1))
    }
    const last = await opened(user, kept)
    await expect.poll(() => numbers(last)).toContain(25)
    heard.push(...numbers(last))
    const told = Array.from({ length: 12 }, (_, i) => i + 1).flatMap((n) =>
      n % 2 ? [2 * n + 1] : [2 * n, 2 * n + 1],
    )
    expect(heard).toEqual(told)
  })

  test('resumes after the state.sync that it requested', async () => {
    const user = newUser()
    const at = await stage.tell(user, notice(1))
    const client = await opened(user, '')
    client.socket.emit('state.requestSync', {})
    await expect.poll(() => client.names()).toContain('state.sync')
    expect(client.heard.map(([event, , meta]) => [event, meta])).toEqual([
      ['connection.authorized', { id: at }],
      ['state.sync', { id: at }],
    ])
  })

  test('gets the whole state again when it is cut between a resync and its state', async () => {
    const user = newUser()
    await stage.tell(user, notice(1))
    const first = await opened(user, '')
    await stage.tell(user, resync, notice(2))
    await expect.poll(() => first.names()).toContain('state.sync')
    const told = first.heard.findIndex(([event]) => event === 'state.resync')
    const kept = first.heard
      .slice(0, told + 1)
      .map(idIn)
      .findLast(Boolean)
    const second = await opened(user, kept)
    await expect
      .poll(() => second.names())
      .toEqual(['connection.authorized', 'state.resync', 'state.sync'])
  })

  test('has no id to keep after an invalid lastEventId until the state arrives', async () => {
    const user = newUser()
    await stage.tell(user, notice(1))
    const client = await opened(user, 'yesterday')
    await expect
      .poll(() => client.names())
      .toEqual(['connection.authorized', 'state.resync', 'state.sync'])
    expect(client.heard.map(([, , meta]) => meta !== undefined)).toEqual([false, false, true])
    expect(client.heard[0]?.[1]).not.toHaveProperty('lastEventId')
  })
})

test('an event between the read of the log and a slow subscription is not missed', async () => {
  const user = newUser()
  const { promise: release, resolve } = Promise.withResolvers<void>()
  const { promise: isAsked, resolve: ask } = Promise.withResolvers<void>()
  const subscribe = Reflect.get(Redis.prototype, 'subscribe') as (
    ...channels: unknown[]
  ) => Promise<unknown>
  Redis.prototype.subscribe = async function (this: Redis, ...channels: never[]): Promise<unknown> {
    if (channels.map(String).some((channel) => channel.includes(user))) {
      ask()
      await release
    }
    return subscribe.apply(this, channels)
  } as unknown as Redis['subscribe']
  try {
    const client = stage.connect({ query: { token: await signed({ sub: user }) } })
    await isAsked
    await stage.authorized({}, newUser()) // by now the first one would have its place, had it not to wait
    const id = await stage.tell(user, notice(1))
    resolve()
    await expect.poll(() => client.names(), { timeout: 5_000 }).toContain('connection.authorized')
    const { lastEventId } = client.heard[0]?.[1] as { lastEventId: string }
    await expect
      .poll(() => lastEventId === id || numbers(client).length === 1, { timeout: 5_000 })
      .toBe(true)
  } finally {
    resolve()
    Reflect.set(Redis.prototype, 'subscribe', subscribe)
  }
})

test('a client that asks for no ids gets one argument with each event', async () => {
  const user = newUser()
  const client = await stage.authorized({}, user)
  await stage.tell(user, notice(1), resync)
  await expect.poll(() => client.names()).toContain('state.sync')
  client.socket.emit('state.requestSync', {})
  await expect.poll(() => client.names().filter((name) => name === 'state.sync')).toHaveLength(2)
  expect(client.heard.filter((event) => event.length !== 2)).toEqual([])
  expect(client.heard[0]?.[1]).toMatchObject({ lastEventId: EVENT_ID_ZERO })
})
