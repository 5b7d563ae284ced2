import { createHash } from 'node:crypto'
import { createRemoteJWKSet, errors, jwtVerify, type JWTVerifyGetKey, type JWTVerifyOptions } from 'jose'
import { type ConnectionErrorCode, type TokenClaims, tokenClaimsSchema } from '#contract'
import { FillcastError } from '#runtime'
import type { RelayConfig } from './config.ts'

/** A token that lets nobody in. The message is for the client; it never holds the token. */
export class TokenError extends FillcastError<
  Extract<ConnectionErrorCode, 'AUTHENTICATION_FAILED' | 'INTERNAL_ERROR'>
> {}

/** Checks a token and reads its claims. @throws {TokenError} */
export type Verify = (token: string | undefined) => Promise<TokenClaims>

const TOKEN_LENGTH_MAX = 8_192
/** Clocks of issuer and relay may differ by this many seconds. */
const CLOCK_TOLERANCE_S = 5
const ASYMMETRIC = ['EdDSA', 'Ed25519', 'ES256', 'ES384', 'ES512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']
const JWKS_TIMEOUT_MS = 2_000
/** Between two looks for a key that is not known yet: a new key serves after this at the latest. */
const JWKS_COOLDOWN_MS = 5_000
/** Long, because once it has passed an outage of the key server turns even known keys away. */
const JWKS_AGE_MS_MAX = 6 * 3_600_000

/** The algorithms come from the configuration, never from the token. */
export function createVerifier(config: TokenConfig, nowMs: () => number, jwksCooldownMs = JWKS_COOLDOWN_MS): Verify {
  const options: JWTVerifyOptions = {
    requiredClaims: ['exp', 'sub'],
    clockTolerance: CLOCK_TOLERANCE_S,
    ...(config.jwtIssuer === undefined ? {} : { issuer: config.jwtIssuer }),
    ...(config.jwtAudience === undefined ? {} : { audience: config.jwtAudience }),
  }
  const check = signatureCheck(config, jwksCooldownMs, () => ({ ...options, currentDate: new Date(nowMs()) }))
  return async (token) => {
    if (token === undefined || token === '')
      throw new TokenError('AUTHENTICATION_FAILED', 'A token is required: pass ?token= or auth.token')
    if (token.length > TOKEN_LENGTH_MAX) throw new TokenError('AUTHENTICATION_FAILED', 'The token is too long')
    const claims = tokenClaimsSchema.safeParse(await check(token).catch(refuse))
    if (!claims.success) throw new TokenError('AUTHENTICATION_FAILED', 'The token names no valid user')
    return claims.data
  }
}

type TokenConfig = Pick<RelayConfig, 'jwtSecret' | 'jwksUrl' | 'jwtIssuer' | 'jwtAudience'>

function signatureCheck(
  { jwtSecret, jwksUrl }: TokenConfig,
  cooldownDuration: number,
  options: () => JWTVerifyOptions,
) {
  if (jwksUrl !== undefined) {
    const keys: JWTVerifyGetKey = createRemoteJWKSet(new URL(jwksUrl), {
      timeoutDuration: JWKS_TIMEOUT_MS,
      cooldownDuration,
      cacheMaxAge: JWKS_AGE_MS_MAX,
    })
    return async (token: string) => (await jwtVerify(token, keys, { ...options(), algorithms: ASYMMETRIC })).payload
  }
  const key = new TextEncoder().encode(jwtSecret)
  return async (token: string) => (await jwtVerify(token, key, { ...options(), algorithms: ['HS256'] })).payload
}

/** Key servers that cannot be reached are our trouble, everything else is the token's. */
function refuse(error: unknown): never {
  if (error instanceof errors.JWTExpired) throw new TokenError('AUTHENTICATION_FAILED', 'JWT token expired')
  const isTokens =
    error instanceof errors.JWTClaimValidationFailed ||
    error instanceof errors.JWSSignatureVerificationFailed ||
    error instanceof errors.JWTInvalid ||
    error instanceof errors.JWSInvalid ||
    error instanceof errors.JOSEAlgNotAllowed ||
    error instanceof errors.JOSENotSupported ||
    error instanceof errors.JWKSNoMatchingKey
  if (isTokens) throw new TokenError('AUTHENTICATION_FAILED', 'JWT token is not valid')
  throw new TokenError('INTERNAL_ERROR', 'The token could not be checked; try again later', { cause: error })
}

/** Refused tokens kept in mind at once; the oldest is forgotten first. */
const REFUSED_MAX = 10_000

/**
 * Tokens that were refused a moment ago (D13): repeats are turned away without another look, so that a client that tries for ever
 * stays slow. Kept by hash; forgotten after their time.
 */
export class RefusedTokens {
  readonly #untilMs = new Map<string, number>()
  readonly #nowMs: () => number

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  add(tokenHash: string, forMs: number): void {
    if (this.#untilMs.size >= REFUSED_MAX) this.#untilMs.delete(this.#untilMs.keys().next().value ?? '')
    this.#untilMs.set(tokenHash, this.#nowMs() + forMs)
  }

  has(tokenHash: string): boolean {
    const until = this.#untilMs.get(tokenHash)
    if (until === undefined) return false
    if (until > this.#nowMs()) return true
    this.#untilMs.delete(tokenHash)
    return false
  }
}

/** What is kept of a token once it has served. */
export const hashOf = (token: string): string => createHash('sha256').update(token).digest('base64')
