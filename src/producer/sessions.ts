import type { Redis } from 'ioredis'
import { z } from 'zod'
import { type TokenClaims, userIdSchema } from '#contract'
import { createSessions } from '#store'
import { available, parse } from './request.ts'

/** Ends sessions and checks tokens. */
export interface SessionCommands {
  /**
   * Bars the tokens of one login session (`sessionId` is its `sid` or `jti` claim). Without
   * `sessionId` all tokens that the user was issued up to this second are barred: issue new tokens
   * from the next second on. Every relay sends `connection.closed` (reason `logout`) to the
   * connections of these tokens and closes them. A bar is permanent, and a repeated call is
   * harmless.
   * @throws {InvalidRequestError}
   * @throws {UnavailableError}
   */
  logout(request: Readonly<{ userId: string; sessionId?: string }>): Promise<void>
  /**
   * Reports if a logout bars a token, by the claims of the token. A trade API calls this for every
   * request, after it has checked the signature: the token of an ended login must neither trade nor
   * be exchanged for a new one. If Redis does not answer, the token cannot be accepted, so the call
   * throws.
   * @param claims `sub`, `sid` and `jti` as in the token; `iat` in seconds since 1970. A token
   *   without `iat` is barred by any logout of its user.
   * @throws {UnavailableError}
   */
  isBarred(claims: Pick<TokenClaims, 'sub' | 'sid' | 'jti' | 'iat'>): Promise<boolean>
}

const logoutSchema = z.strictObject({
  userId: userIdSchema,
  sessionId: z.string().min(1).max(128).optional(),
})

/** Sessions over one Redis connection. */
export function createSessionCommands(redis: Redis): SessionCommands {
  const sessions = createSessions(redis)
  return {
    async logout(request) {
      const { userId, sessionId } = parse(logoutSchema, request)
      await available(sessions.logout(userId, sessionId))
    },
    isBarred: async (claims) => (await available(sessions.validity(claims))).isBarred,
  }
}
