import { SignJWT } from 'jose'
import { describe, expect, test } from 'vitest'
import { CLOCK_TOLERANCE_MS, createVerifier, tokenEndMs, type TokenError } from '#auth'
import { TOKEN_END_S_MAX } from '#contract'
import { SECRET } from './harness.ts'

const START_S = Date.UTC(2026, 0) / 1_000
const TOLERANCE_S = CLOCK_TOLERANCE_MS / 1_000
const token = (claims: Record<string, unknown>): Promise<string> =>
  new SignJWT({ sub: 'alice', exp: START_S + 60, ...claims })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode(SECRET))

/** The answer at `nowMs`: the code and the message of the refusal, or `null`. */
async function refusal(
  claims: Record<string, unknown>,
  nowMs = START_S * 1_000,
): Promise<string | null> {
  const verify = createVerifier({ jwtSecret: SECRET }, () => nowMs)
  return verify(await token(claims)).then(
    () => null,
    (error: unknown) => (error as TokenError).message,
  )
}

describe('the claims of a token with a good signature', () => {
  test.each([0, 0.4, 0.999])(
    'an expiry (and %d s) counts at the handshake as it counts for a connection',
    async (fraction) => {
      const exp = START_S + 60 + fraction
      const endMs = tokenEndMs({ exp })
      for (const [atMs, isOver] of [
        [endMs - 1_000, false] as const,
        [endMs - 1, false] as const,
        [endMs, true] as const,
        [endMs + 1, true] as const,
        [endMs + 60_000, true] as const,
      ])
        expect((await refusal({ exp }, atMs)) !== null, String(atMs - endMs)).toBe(isOver)
      expect(await refusal({ exp }, endMs)).toBe('JWT token expired')
    },
  )

  test('issued in the future beyond the tolerance - refused', async () => {
    expect(await refusal({ iat: START_S + TOLERANCE_S })).toBeNull()
    expect(await refusal({ iat: START_S + TOLERANCE_S + 1 })).toContain('issued in the future')
    expect(await refusal({ iat: (START_S - 5) * 1_000 })).toContain('issued in the future') // milliseconds
  })

  test('an expiry beyond the latest plausible one - refused', async () => {
    expect(await refusal({ exp: TOKEN_END_S_MAX })).toBeNull()
    expect(await refusal({ exp: TOKEN_END_S_MAX + 1 })).toContain('not milliseconds')
    expect(await refusal({ exp: (START_S + 60) * 1_000 })).toContain('not milliseconds')
  })

  test('a subject with other characters - refused, with the allowed ones', async () => {
    expect(await refusal({ sub: 'a b' })).toContain('sub: use 1 to 128 characters without spaces')
  })
})
