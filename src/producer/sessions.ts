import type { Redis } from 'ioredis'
import { z } from 'zod'
import { type TokenClaims, userIdSchema } from '#contract'
import { createSessions } from '#store'
import { available, parse } from './request.ts'

/** Ends what a login began. */
export interface SessionCommands {
  /**
   * Bars the tokens of one login session (its `sid` or `jti` claim), or, without `sessionId`, all
   * that the user was issued up to this second: issue new ones from the next second on. Their
   * connections are told `connection.closed`, reason `logout`, and closed, whichever relay they are
   * on. For good, and harmless when repeated.
   * @throws {InvalidRequestError}
   * @throws {UnavailableError}
   */
  logout(request: Readonly<{ userId: string; sessionId?: string }>): Promise<void>
  /**
   * Whether a logout bars a token, by the claims of the token. A trade API asks this for every
   * request, after the signature was checked: the token of a login that has ended must neither
   * trade nor be exchanged for a new one. Without an answer of Redis the token is not known to be
   * good, so the call throws.
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
