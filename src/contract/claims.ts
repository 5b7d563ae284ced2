import { z } from 'zod'
import { userIdSchema } from './ids.ts'

/**
 * The latest expiry of a token: the end of the year 9999, in seconds since 1970. A later expiry was
 * written in milliseconds by mistake and is refused.
 */
export const TOKEN_END_S_MAX = 253_402_300_799

/**
 * The claims of a client's token. The signature, the issuer, the audience and the expiry are
 * checked before this schema reads the claims. Unknown claims are ignored.
 */
export const tokenClaimsSchema = z.object({
  /** The user's id. */
  sub: userIdSchema,
  /** When the token expires, in seconds since 1970. */
  exp: z.number().max(TOKEN_END_S_MAX, 'write seconds since 1970, not milliseconds'),
  /** When the token was issued, in seconds since 1970. */
  iat: z.number().optional(),
  /** The login session. One session may have several tokens. */
  sid: z.string().min(1).max(128).optional(),
  /** The id of this token. A logout may name it instead of `sid`. */
  jti: z.string().min(1).max(128).optional(),
})
/** The claims of a token after validation. */
export type TokenClaims = z.output<typeof tokenClaimsSchema>

/**
 * The device that a client names in its handshake (`auth.deviceId`). A newer connection of the same
 * device replaces the older connection.
 */
export const deviceIdSchema = z.string().regex(/^[A-Za-z0-9_.:@|-]{1,128}$/)

/**
 * A notice between relay processes in a user's room: the user's sessions changed, so each relay
 * reads them again. Never sent to a client.
 */
export const SESSION_NOTICE = 'session.changed'
