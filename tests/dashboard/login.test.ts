import type { Redis } from 'ioredis'
import RedisMock from 'ioredis-mock'
import { beforeEach, describe, expect, test } from 'vitest'
import { FAILURES_MAX, LoginThrottle, WINDOW_MS } from '#auth'
import { systemRandomness } from '#runtime'
import { hashPassword, parseHash, passwordMatches } from '../../src/apps/dashboard/passwords.ts'
import {
  SESSION_SECONDS,
  Sessions,
  SESSIONS_PER_USER_MAX,
} from '../../src/apps/dashboard/session.ts'
import { parseUsers, type User } from '../../src/apps/dashboard/users.ts'
import { FakeClock } from '../support/fake-clock.ts'

const hash = await hashPassword('correct horse battery')
const otherHash = await hashPassword('correct horse battery')

describe('passwords', () => {
  test('only the right password matches; an unknown user has no password', async () => {
    const parsed = parseHash(hash) ?? undefined
    expect(await passwordMatches('correct horse battery', parsed)).toBe(true)
    expect(await passwordMatches('correct horse batterz', parsed)).toBe(false)
    expect(await passwordMatches('correct horse battery', undefined)).toBe(false)
    expect(await passwordMatches('', undefined)).toBe(false)
  })

  test('equal passwords have different hashes', () => expect(hash).not.toBe(otherHash))

  test.each([
    'scrypt$1024$8$1$c2FsdHNhbHRzYWx0c2FsdA==$aGFzaA==',
    'bcrypt$x',
    hash.replace('$8$', '$99$'),
    hash.replace('32768', '1048576'),
    hash.replace('32768', '32769'),
    hash.slice(0, -8),
    '',
  ])('%s is refused as a hash', (text) => expect(parseHash(text)).toBeNull())
})

describe('users', () => {
  test('entries are read', () => {
    const users = parseUsers(`ann:operator:${hash}, ben:viewer:${otherHash}`)
    expect([...(users?.values() ?? [])].map(({ name, role }) => [name, role])).toEqual([
      ['ann', 'operator'],
      ['ben', 'viewer'],
    ])
  })

  test.each([
    ['an unknown role', `ann:admin:${hash}`],
    ['a name twice', `ann:viewer:${hash},ann:operator:${hash}`],
    ['a hash missing', 'ann:viewer'],
    ['a trailing comma', `ann:viewer:${hash},`],
    ['something after the hash', `ann:viewer:${hash}:x`],
    ['nothing', ''],
  ])('%s is refused', (_what, text) => expect(parseUsers(text)).toBeNull())
})

describe('sessions', () => {
  const usersOf = (text: string): ReadonlyMap<string, User> => parseUsers(text) ?? new Map()
  const users = usersOf(`ann:operator:${hash},ben:viewer:${otherHash}`)
  const ann = users.get('ann') as User
  const clock = new FakeClock()
  let redis: Redis
  const sessionsOf = (known = users): Sessions =>
    new Sessions(redis, known, clock, systemRandomness)
  beforeEach(async () => {
    redis = new RedisMock()
    await redis.flushall()
  })

  test('a session names its user on every dashboard of the same Redis until it expires', async () => {
    const cookie = await sessionsOf().open(ann)
    expect(await sessionsOf().userOf(cookie)).toBe(ann)
    await clock.advance(SESSION_SECONDS * 1000 + 1000)
    expect(await sessionsOf().userOf(cookie)).toBeNull()
  })

  test('a change of role, password or users ends the session', async () => {
    const cookie = await sessionsOf().open(ann)
    for (const text of [
      `ann:viewer:${hash},ben:viewer:${otherHash}`,
      `ann:operator:${otherHash},ben:viewer:${otherHash}`,
      `ben:viewer:${otherHash}`,
    ]) {
      expect(await sessionsOf(usersOf(text)).userOf(cookie)).toBeNull()
    }
  })

  test('a logout ends the session on every dashboard, and no other session of the user', async () => {
    const first = await sessionsOf().open(ann)
    const second = await sessionsOf().open(ann)
    await sessionsOf().close(first)
    expect(await sessionsOf().userOf(first)).toBeNull()
    expect(await sessionsOf().userOf(second)).toBe(ann)
  })

  test('of many sessions of one user the newest stay', async () => {
    const cookies: string[] = []
    for (let n = 0; n <= SESSIONS_PER_USER_MAX; n += 1) {
      cookies.push(await sessionsOf().open(ann))
      await clock.advance(1)
    }
    expect(await sessionsOf().userOf(cookies[0])).toBeNull()
    expect(await sessionsOf().userOf(cookies[1])).toBe(ann)
    expect(await sessionsOf().userOf(cookies.at(-1))).toBe(ann)
  })

  test('an invented, borrowed or missing cookie has no user; Redis stores no cookie', async () => {
    const cookie = await sessionsOf().open(ann)
    const id = cookie.slice('ann.'.length)
    for (const wrong of [
      `ben.${id}`,
      `ann.${id}x`,
      `ann.`,
      id,
      `__proto__.${id}`,
      '',
      '.',
      undefined,
    ])
      expect(await sessionsOf().userOf(wrong)).toBeNull()
    expect((await redis.zrange('operator-sessions:ann', 0, -1)).join()).not.toContain(id)
  })
})

describe('throttle', () => {
  const wrong = (): Promise<boolean> => Promise.resolve(false)
  const right = (): Promise<boolean> => Promise.resolve(true)

  test('after the allowed failures the right password waits too, for that pair only', async () => {
    const clock = new FakeClock()
    const throttle = new LoginThrottle(clock)
    for (let tries = 0; tries < FAILURES_MAX; tries += 1)
      expect(await throttle.check('1 ann', wrong)).toBe(false)
    expect(await throttle.check('1 ann', right)).toEqual({ retryAfterSeconds: WINDOW_MS / 1000 })
    expect(await throttle.check('2 ann', right)).toBe(true)
    await clock.advance(WINDOW_MS + 1)
    expect(await throttle.check('1 ann', right)).toBe(true)
  })

  test('the right password clears the failures before it', async () => {
    const throttle = new LoginThrottle(new FakeClock())
    for (let round = 0; round < 3; round += 1) {
      for (let tries = 1; tries < FAILURES_MAX; tries += 1) await throttle.check('1 ann', wrong)
      expect(await throttle.check('1 ann', right)).toBe(true)
    }
  })

  test('many parallel tries gain nothing, and do not pile up', async () => {
    const throttle = new LoginThrottle(new FakeClock())
    let checked = 0
    const slow = async (): Promise<boolean> => {
      checked += 1
      await new Promise((resolve) => setImmediate(resolve))
      return false
    }
    await Promise.all(Array.from({ length: 50 }, () => throttle.check('1 ann', slow)))
    expect(checked).toBeLessThanOrEqual(FAILURES_MAX)
    checked = 0
    await Promise.all(
      Array.from({ length: 50 }, (_, address) => throttle.check(`${address} ann`, slow)),
    )
    expect(checked).toBe(4)
  })
})
