import { z } from 'zod'
import { userIdSchema } from './ids.ts'

/** The end of the year 9999, in seconds since 1970. A later end is one in milliseconds. */
export const TOKEN_END_S_MAX = 253_402_300_799

/**
 * Claims of a client's token. Signature, issuer, audience and expiry are checked before this. Other
 * claims are ignored.
 */
export const tokenClaimsSchema = z.object({
  sub: userIdSchema,
  /** Seconds since 1970. */
  exp: z.number().max(TOKEN_END_S_MAX, 'write seconds since 1970, not milliseconds'),
  iat: z.number().optional(),
  /** The login session; one session may have several tokens. */
  sid: z.string().min(1).max(128).optional(),
  jti: z.string().min(1).max(128).optional(),
})
export type TokenClaims = z.output<typeof tokenClaimsSchema>

/**
 * A device that a client names in its handshake (`auth.deviceId`): a newer connection of it
 * replaces the older one.
 */
export const deviceIdSchema = z.string().regex(/^[A-Za-z0-9_.:@|-]{1,128}$/)

/**
 * Between processes only, in a user's room: something changed about the user's sessions, look
 * again. Never sent to a client.
 */
export const SESSION_NOTICE = 'session.changed'
