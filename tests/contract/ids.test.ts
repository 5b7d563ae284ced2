import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { z } from 'zod'
import {
  commandIdSchema,
  connectionIdSchema,
  describeIssues,
  EVENT_ID_PATTERN,
  EVENT_ID_ZERO,
  marketRoom,
  padEventId,
  symbolSchema,
  tokenClaimsSchema,
  tradeIdSchema,
  userIdSchema,
  userOfRoom,
  userRoom,
} from '#contract'

const shortIds = {
  good: ['a', 'trade_1', 'A-b_9', '550e8400-e29b-41d4-a716-446655440000', 'x'.repeat(64)],
  bad: ['', 'x'.repeat(65), 'a b', 'a:b', 'a.b', 'a/b', 'a}b', 'é', 'a\n', '\na', 'a\0'],
}
const tables: Record<string, { schema: z.ZodType; good: string[]; bad: string[] }> = {
  userId: {
    schema: userIdSchema,
    good: [
      'u',
      '550e8400-e29b-41d4-a716-446655440000',
      'auth0|65f',
      'me@example.com',
      'a.b:c',
      'x'.repeat(128),
      'me+trading@example.com',
      'a/b',
      'a#b',
      'a*',
      '"a"',
      '<a>',
      'жанна',
      '王芳',
      '\u00e9',
      '😀'.repeat(128),
    ],
    bad: [
      '',
      'x'.repeat(129),
      'a b',
      'a}b',
      '{a}',
      'u\n',
      '\tu',
      'a\0',
      'e\u0301',
      'a\u00a0b',
      'a\u2028',
      'a\u200bb',
      'a\u202eb',
      '\ud800',
      '\udc00a',
      'a\u0085',
      '\ufeffa',
      '😀'.repeat(129),
    ],
  },
  tradeId: { schema: tradeIdSchema, ...shortIds },
  connectionId: { schema: connectionIdSchema, ...shortIds },
  commandId: { schema: commandIdSchema, ...shortIds },
  symbol: {
    schema: symbolSchema,
    good: ['AAPL', 'A', 'BRK.B', 'ABR.PR.D', 'BTC/USD', 'BTC/USDT', 'SHIB/USD', 'TUSD', 'USD'],
    bad: [
      '',
      'aapl',
      'BTC/usd',
      'BTC/',
      '/USD',
      'A B',
      'A/B/C',
      'A.B/C',
      'A.B.C.D',
      'A..B',
      'AAPL\n',
      'user:u1',
      'A*',
      `${'A'.repeat(24)}`,
    ],
  },
}

describe.each(Object.entries(tables))('%s', (_name, { schema, good, bad }) => {
  test.each(good)('%j is accepted', (id) => expect(schema.parse(id)).toBe(id))
  test.each(bad)('%j is refused', (id) => expect(schema.safeParse(id).success).toBe(false))
  test.each([undefined, null, 7, {}, ['a']])('%j is refused', (id) =>
    expect(schema.safeParse(id).success).toBe(false),
  )
})

test.each([
  ['ETHUSD', 'ETH/USD'],
  ['USDTUSD', 'USDT/USD'],
  ['ETHUSDT', 'ETH/USDT'],
  ['ETHBTC', 'ETH/BTC'],
  ['DOGEUSDC', 'DOGE/USDC'],
])('%s, a pair without its slash, is read as %s', (written, symbol) => {
  expect(symbolSchema.parse(written)).toBe(symbol)
})

describe('event ids', () => {
  test.each([
    ['1526919030474-5', '1526919030474-00005'],
    ['1526919030474-0', '1526919030474-00000'],
    ['1526919030474-99999', '1526919030474-99999'],
    ['0-0', EVENT_ID_ZERO],
    ['0-1', '0000000000000-00001'],
  ])('%s is padded to %s, and padding a padded id changes nothing', (streamId, id) => {
    expect(padEventId(streamId)).toBe(id)
    expect(padEventId(id)).toBe(id)
    expect(id).toMatch(EVENT_ID_PATTERN)
  })

  test('the text order of event ids is the order of the log', () => {
    const streamId = fc.tuple(
      fc.integer({ min: 0, max: 9_999_999_999_999 }),
      fc.integer({ min: 0, max: 99_999 }),
    )
    fc.assert(
      fc.property(streamId, streamId, ([ms1, n1], [ms2, n2]) => {
        const a = padEventId(`${ms1}-${n1}`)
        const b = padEventId(`${ms2}-${n2}`)
        expect(Math.sign(ms1 - ms2 || n1 - n2)).toBe(a < b ? -1 : a > b ? 1 : 0)
        expect(a >= EVENT_ID_ZERO).toBe(true)
      }),
    )
  })

  test.each([
    '',
    '1526919030474-5',
    '1526919030474-000005',
    'x',
    ' 1526919030474-00005',
    '1526919030474-00005\n',
  ])('%j is no event id', (id) => expect(id).not.toMatch(EVENT_ID_PATTERN))
})

describe('rooms', () => {
  const userId = fc
    .string({ unit: 'binary', maxLength: 128 })
    .filter((id) => userIdSchema.safeParse(id).success)

  test('a user has one room of their own, and the room leads back to the user', () => {
    expect(userRoom('u1')).toBe('user:u1')
    fc.assert(fc.property(userId, (id) => void expect(userOfRoom(userRoom(id))).toBe(id)))
    fc.assert(
      fc.property(userId, userId, (a, b) => void expect(userRoom(a) === userRoom(b)).toBe(a === b)),
    )
  })

  test('a market room belongs to no user', () => {
    expect(marketRoom('BTC/USD')).toBe('market:BTC/USD')
    expect(userOfRoom(marketRoom('AAPL'))).toBeNull()
    expect(userOfRoom('')).toBeNull()
  })
})

describe('token claims', () => {
  const claims = { sub: 'u1', exp: 1_710_512_595 }

  test('a refusal lists the characters that a subject may have', () => {
    const { error } = tokenClaimsSchema.safeParse({ ...claims, sub: 'a b' })
    expect(error && describeIssues(error)).toBe(
      'sub: use 1 to 128 characters without spaces, control characters and braces, in Unicode form NFC',
    )
  })

  test('an expiry in milliseconds is refused with that reason', () => {
    const { error } = tokenClaimsSchema.safeParse({ ...claims, exp: 1_710_512_595_000 })
    expect(error && describeIssues(error)).toContain('not milliseconds')
  })

  test('subject and expiry are enough', () =>
    expect(tokenClaimsSchema.parse(claims)).toEqual(claims))

  test('the claims that identify the session are kept, other claims are dropped', () => {
    const known = { ...claims, iat: 1_710_512_000, sid: 's1', jti: 'j1' }
    expect(tokenClaimsSchema.parse({ ...known, role: 'admin' })).toEqual(known)
  })

  test.each([
    [{ exp: 1 }],
    [{ sub: 'u1' }],
    [{ ...claims, sub: '' }],
    [{ ...claims, sub: 'a}b' }],
    [{ ...claims, sub: ['u1'] }],
    [{ ...claims, exp: '1710512595' }],
    [{ ...claims, exp: NaN }],
    [{ ...claims, exp: 1_710_512_595_000 }],
    [{ ...claims, exp: 253_402_300_800 }],
    [{ ...claims, iat: 'now' }],
    [{ ...claims, sid: '' }],
    [{ ...claims, jti: 'x'.repeat(129) }],
    [null],
  ])('%j is refused', (bad) => expect(tokenClaimsSchema.safeParse(bad).success).toBe(false))
})
