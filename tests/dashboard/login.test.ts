import { describe, expect, test } from 'vitest'
import { hashPassword, parseHash, passwordMatches } from '../../src/apps/dashboard/passwords.ts'
import { SESSION_SECONDS, Sessions } from '../../src/apps/dashboard/session.ts'
import { FAILURES_MAX, LoginThrottle, WINDOW_MS } from '../../src/apps/dashboard/throttle.ts'
import { parseUsers, type User } from '../../src/apps/dashboard/users.ts'
import { FakeClock } from '../support/fake-clock.ts'

const hash = await hashPassword('correct horse battery')
const otherHash = await hashPassword('correct horse battery')

describe('passwords', () => {
  test('the right password matches, another does not, and nobody has no password', async () => {
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
  ])('%s is no hash we accept', (text) => expect(parseHash(text)).toBeNull())
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

  test('a session names its user, on every dashboard with the same users, until it expires', async () => {
    const clock = new FakeClock()
    const cookie = await new Sessions(users, clock).open(ann)
    const elsewhere = new Sessions(users, clock)
    expect(await elsewhere.userOf(cookie)).toBe(ann)
    await clock.advance(SESSION_SECONDS * 1000 + 1000)
    expect(await elsewhere.userOf(cookie)).toBeNull()
  })

  test('changing the role, the password or the users ends it', async () => {
    const clock = new FakeClock()
    const cookie = await new Sessions(users, clock).open(ann)
    for (const text of [
      `ann:viewer:${hash},ben:viewer:${otherHash}`,
      `ann:operator:${otherHash},ben:viewer:${otherHash}`,
      `ben:viewer:${otherHash}`,
    ]) {
      expect(await new Sessions(usersOf(text), clock).userOf(cookie)).toBeNull()
    }
  })

  test('a forged, an unsigned and a missing cookie are nobody', async () => {
    const sessions = new Sessions(users, new FakeClock())
    const [head = '', body = '', mark = ''] = (await sessions.open(ann)).split('.')
    const none = Buffer.from('{"alg":"none"}').toString('base64url')
    const altered = `${mark.startsWith('A') ? 'B' : 'A'}${mark.slice(1)}`
    for (const cookie of [`${head}.${body}.${altered}`, `${none}.${body}.`, '', 'x', undefined]) {
      expect(await sessions.userOf(cookie)).toBeNull()
    }
  })
})

describe('throttle', () => {
  const wrong = (): Promise<boolean> => Promise.resolve(false)
  const right = (): Promise<boolean> => Promise.resolve(true)

  test('after the allowed failures even the right password waits, and only for that pair', async () => {
    const clock = new FakeClock()
    const throttle = new LoginThrottle(clock)
    for (let tries = 0; tries < FAILURES_MAX; tries += 1) expect(await throttle.check('1 ann', wrong)).toBe(false)
    expect(await throttle.check('1 ann', right)).toEqual({ retryAfterSeconds: WINDOW_MS / 1000 })
    expect(await throttle.check('2 ann', right)).toBe(true)
    await clock.advance(WINDOW_MS + 1)
    expect(await throttle.check('1 ann', right)).toBe(true)
  })

  test('the right password forgets the failures before it', async () => {
    const throttle = new LoginThrottle(new FakeClock())
    for (let round = 0; round < 3; round += 1) {
      for (let tries = 1; tries < FAILURES_MAX; tries += 1) await throttle.check('1 ann', wrong)
      expect(await throttle.check('1 ann', right)).toBe(true)
    }
  })

  test('many tries at once gain nothing, and do not pile up', async () => {
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
    await Promise.all(Array.from({ length: 50 }, (_, address) => throttle.check(`${address} ann`, slow)))
    expect(checked).toBe(4)
  })
})
