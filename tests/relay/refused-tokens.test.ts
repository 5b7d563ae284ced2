import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RefusedTokens, tokenNames } from '#auth'
import { createSessions } from '#store'
import { type Client, payloadsOf, signed, Stage } from './harness.ts'

const failed = (client: Client) => payloadsOf(client, 'connection.error').map(({ error }) => error)
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
/**
 * The same signature, written differently: the last character of a 32-byte signature has two bits
 * that mean nothing.
 */
const rewritten = (token: string): string =>
  token.slice(0, -1) + ALPHABET.charAt(ALPHABET.indexOf(token.slice(-1)) ^ 1)

describe('a refusal', () => {
  let stage: Stage
  beforeAll(async () => void (stage = await Stage.open()))
  afterAll(() => stage[Symbol.asyncDispose]())

  test('is remembered by the signed part of the token, in any spelling of the signature', async () => {
    const token = await signed({ sub: 'refused-1', sid: 's' })
    await createSessions(stage.redis.connect()).logout('refused-1', 's')
    const first = stage.connect({ query: { token } })
    await expect.poll(() => failed(first)).toEqual(['AUTHENTICATION_FAILED'])
    expect(rewritten(token)).not.toBe(token)
    const second = stage.connect({ query: { token: rewritten(token) } })
    await expect.poll(() => second.closed).toEqual(['websocket error'])
    expect(second.names()).toEqual([])
  })

  test.each([
    ['claims that do not fit', { sub: 'refused 2' }],
    ['another audience', { sub: 'refused-2', aud: 'somebody' }],
    ['an end in the past', { sub: 'refused-2', exp: 1_700_000_000 }],
  ])('is remembered for a token with %s', async (_what, claims) => {
    const token = await signed(claims)
    const first = stage.connect({ query: { token } })
    await expect.poll(() => failed(first)).toEqual(['AUTHENTICATION_FAILED'])
    const second = stage.connect({ query: { token: rewritten(token) } })
    await expect.poll(() => second.closed).toEqual(['websocket error'])
  })

  test('of forged claims does not affect the right token', async () => {
    const token = await signed({ sub: 'refused-3' })
    const forged = token.slice(0, token.lastIndexOf('.') + 1) + 'x'.repeat(43)
    const thief = stage.connect({ query: { token: forged } })
    await expect.poll(() => failed(thief)).toEqual(['AUTHENTICATION_FAILED'])
    await stage.authorized({ query: { token } })
  })
})

describe('RefusedTokens', () => {
  test('are remembered for their time, at most the newest ten thousand', () => {
    let timeMs = 0
    const refused = new RefusedTokens(() => timeMs)
    refused.add('a', 60_000)
    expect([refused.has('a'), refused.has('b')]).toEqual([true, false])
    timeMs = 60_000
    expect(refused.has('a')).toBe(false)
    for (let i = 0; i <= 10_000; i += 1) refused.add(`t${i}`, 60_000)
    expect([refused.has('t0'), refused.has('t1'), refused.has('t10000')]).toEqual([
      false,
      true,
      true,
    ])
  })

  test('a name of a whole token never equals a name of a signed part', () => {
    const { whole } = tokenNames('a.b')
    expect(tokenNames('a.b.c').signed).not.toBe(whole)
    expect(tokenNames('a.b.c').signed).toBe(tokenNames('a.b.d').signed)
    expect(new Set(['', 'x', 'a.b.c'].map((token) => tokenNames(token).whole)).size).toBe(3)
  })
})
