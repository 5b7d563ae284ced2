import type { Redis } from 'ioredis'
import { z } from 'zod'
import { userIdSchema } from '#contract'
import { createSessions } from '#store'
import { available, parse } from './request.ts'

/** Ends what a login began. */
export interface SessionCommands {
  /**
   * Bars the tokens of one login session (its `sid` or `jti` claim), or, without `sessionId`, all that the user was issued up to this
   * second: issue new ones from the next second on. Their connections are told `connection.closed`, reason `logout`, and closed,
   * whichever relay they are on. For good, and harmless when repeated.
   * @throws {InvalidRequestError}  @throws {UnavailableError}
   */
  logout(request: Readonly<{ userId: string; sessionId?: string }>): Promise<void>
}

const logoutSchema = z.object({ userId: userIdSchema, sessionId: z.string().min(1).max(128).optional() })

export function createSessionCommands(redis: Redis): SessionCommands {
  const sessions = createSessions(redis)
  return {
    async logout(request) {
      const { userId, sessionId } = parse(logoutSchema, request)
      await available(sessions.logout(userId, sessionId))
    },
  }
}
