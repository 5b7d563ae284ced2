import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createControls, createSessions } from '#store'
import { createSessionCommands } from '../../src/producer/sessions.ts'
import type { Relay } from '../../relay/server.ts'
import { type Client, notice, numbers, payloadsOf, signed, Stage } from './harness.ts'

let stage: Stage
let second: Relay
beforeAll(async () => {
  stage = await Stage.open({ RELAY_CONNECTIONS_PER_ADDRESS: '2000' })
  second = await stage.another({ RELAY_CONNECTIONS_PER_ADDRESS: '2000' })
})
afterAll(() => stage[Symbol.asyncDispose]())

let users = 0
const newUser = (): string => `session-user-${(users += 1)}`
const nowS = (): number => Math.floor(Date.now() / 1_000)
const closed = (client: Client) =>
  payloadsOf(client, 'connection.closed').map(({ reason }) => reason)
const failed = (client: Client) => payloadsOf(client, 'connection.error').map(({ error }) => error)
const logout = (userId: string, sessionId?: string) =>
  createSessionCommands(stage.redis.connect()).logout({
    userId,
    ...(sessionId === undefined ? {} : { sessionId }),
  })

describe('logout', () => {
  test.each(['sid', 'jti'])(
    'of a session (%s) closes its connections on every relay, and no others',
    async (claim) => {
      const user = newUser()
      const one = await signed({ sub: user, [claim]: 'one' })
      const [laptop, phone, other] = await Promise.all([
        stage.authorized({ query: { token: one } }),
        stage.authorized({ query: { token: one }, at: second.url, transports: ['polling'] }),
        stage.authorized({
          query: { token: await signed({ sub: user, [claim]: 'two' }) },
          at: second.url,
        }),
      ])
      await logout(user, 'one')
      await expect.poll(() => [closed(laptop), closed(phone)]).toEqual([['logout'], ['logout']])
      // A plain client stays away after this reason only.
      await expect.poll(() => laptop.closed).toEqual(['io server disconnect'])
      await stage.tell(user, notice(1))
      await expect.poll(() => numbers(other)).toEqual([1])
      expect([...numbers(laptop), ...numbers(phone), ...other.closed]).toEqual([])
      const again = stage.connect({ query: { token: one } })
      await expect.poll(() => failed(again)).toEqual(['AUTHENTICATION_FAILED'])
      await stage.authorized({ query: { token: await signed({ sub: user, [claim]: 'three' }) } })
    },
  )

  test('of a user bars the tokens issued before, and tokens without an issue time', async () => {
    const user = newUser()
    const tokens = [{ iat: nowS() - 10 }, {}]
    const clients = await Promise.all(
      tokens.map(async (claims) =>
        stage.authorized({ query: { token: await signed({ sub: user, ...claims }) } }),
      ),
    )
    await logout(user)
    await expect.poll(() => clients.map(closed)).toEqual([['logout'], ['logout']])
    const late = await signed({ sub: user, iat: nowS() - 10, jti: 'late' })
    const refused = stage.connect({ query: { token: late }, at: second.url })
    await expect.poll(() => failed(refused)).toEqual(['AUTHENTICATION_FAILED'])
    await stage.authorized({ query: { token: await signed({ sub: user, iat: nowS() + 1 }) } })
  })

  test('whose notice Redis dropped is found by the next check', async () => {
    await using own = await Stage.open()
    const client = await own.authorized({ query: { token: await signed({ sid: 's' }) } })
    await own.redis.connect().hset('control:{alice}', 'bar:s', nowS())
    own.clock.aheadMs = 30_001
    await expect.poll(() => closed(client)).toEqual(['logout'])
  })

  test('a malformed request is refused with the field to fix', async () => {
    const commands = createSessionCommands(stage.redis.connect())
    await expect(commands.logout({ userId: 'a}b' })).rejects.toMatchObject({ fields: ['userId'] })
    await expect(commands.logout({ userId: 'a', sessionId: '' })).rejects.toMatchObject({
      fields: ['sessionId'],
    })
  })

  test('reaches the workers too, which restore it should Redis lose it', async () => {
    const user = newUser()
    const controls = createControls(stage.redis.connect())
    await logout(user, 's')
    expect(await controls.changedSince(0, 1_000)).toContainEqual({
      userId: user,
      position: expect.any(Number) as number,
    })
    const set = await controls.read(user)
    await stage.redis.connect().del(`control:{${user}}`)
    await controls.restore([set], null)
    const refused = stage.connect({ query: { token: await signed({ sub: user, sid: 's' }) } })
    await expect.poll(() => failed(refused)).toEqual(['AUTHENTICATION_FAILED'])
  })

  test('a barred session stays barred after many later logouts', async () => {
    const user = newUser()
    const redis = stage.redis.connect()
    const sessions = createSessions(redis)
    const claims = { sub: user, exp: nowS() + 60, iat: nowS() - 60, sid: 'first' }
    await sessions.logout(user, 'first')
    for (let n = 0; n < 600; n += 1) await sessions.logout(user, `s${n}`)
    expect(await sessions.validity(claims)).toMatchObject({ isBarred: true })
    expect(await redis.hlen(`control:{${user}}`)).toBeLessThanOrEqual(501)
    expect(await sessions.validity({ ...claims, sid: 'another', iat: nowS() + 1 })).toMatchObject({
      isBarred: false,
    })
  })
})

describe('a device that connects again', () => {
  const device = (user: string, deviceId: string, at?: string) =>
    stage.authorized({ auth: { deviceId }, ...(at === undefined ? {} : { at }) }, user)

  test('replaces its older connection on any relay; other devices and users stay', async () => {
    const user = newUser()
    const older = await device(user, 'phone')
    const others = [
      await device(user, 'laptop'),
      await device(newUser(), 'phone'),
      await stage.authorized({}, user),
    ]
    const newer = await device(user, 'phone', second.url)
    await expect.poll(() => closed(older)).toEqual(['duplicate_connection'])
    await expect.poll(() => older.closed).toEqual(['io server disconnect'])
    await stage.tell(user, notice(1))
    await expect.poll(() => [others[0]!, others[2]!, newer].map(numbers)).toEqual([[1], [1], [1]])
    expect(others.flatMap((client) => client.closed)).toEqual([])
  })

  test('on two relays at once leaves exactly one', async () => {
    for (let trial = 0; trial < 15; trial += 1) {
      const user = newUser()
      const token = await signed({ sub: user })
      const pair = [stage.relay.url, second.url].map((at) =>
        stage.connect({ query: { token }, auth: { deviceId: 'd' }, at }),
      )
      await expect.poll(() => pair.flatMap(closed)).toEqual(['duplicate_connection'])
      const survivor = pair.find((client) => closed(client).length === 0)!
      await expect.poll(() => survivor.names()).toEqual(['connection.authorized'])
      expect(survivor.socket.connected).toBe(true)
    }
  })
})

describe('too many connections', () => {
  test('of one user - the oldest is closed', async () => {
    const user = newUser()
    const clients: Client[] = []
    for (let n = 0; n < 21; n += 1) clients.push(await stage.authorized({}, user))
    await expect.poll(() => closed(clients[0]!)).toEqual(['duplicate_connection'])
    expect(clients.slice(1).flatMap((client) => client.closed)).toEqual([])
  })

  test('from one address - the next is refused with the reason', async () => {
    await using own = await Stage.open({
      RELAY_CONNECTIONS_PER_ADDRESS: '10',
      RELAY_TRUSTED_PROXIES: '1',
    })
    const from = (address: string) => ({
      extraHeaders: { 'x-forwarded-for': `6.6.6.6, ${address}` },
    })
    await Promise.all(Array.from({ length: 10 }, () => own.authorized(from('1.1.1.1'))))
    await own.authorized(from('2.2.2.2'))
    const answer = await fetch(`${own.relay.url}/socket.io/?EIO=4&transport=polling`, {
      headers: { 'x-forwarded-for': '2.2.2.2, 1.1.1.1' },
    })
    expect(answer.status).toBe(403)
    expect(await answer.text()).toMatch(/More than 10 connections from this address/)
  })
})
