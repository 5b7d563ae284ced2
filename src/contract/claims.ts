import { z } from 'zod'
import { userIdSchema } from './ids.ts'

/** Claims of a client's token. Signature, issuer, audience and expiry are checked before this. Other claims are ignored. */
export const tokenClaimsSchema = z.object({
  sub: userIdSchema,
  /** Seconds since 1970. */
  exp: z.number(),
  iat: z.number().optional(),
  /** The login session; one session may have several tokens. */
  sid: z.string().min(1).max(128).optional(),
  jti: z.string().min(1).max(128).optional(),
})
export type TokenClaims = z.output<typeof tokenClaimsSchema>
