import { errors, jwtVerify, type JWTVerifyOptions } from 'jose'
import {
  type ConnectionErrorCode,
  describeIssues,
  type TokenClaims,
  tokenClaimsSchema,
} from '#contract'
import { FillcastError } from '#runtime'
import { KEYS_COOLDOWN_MS, KeysTooYoungError, RemoteKeys } from './remote-keys.ts'

type TokenErrorCode = Extract<ConnectionErrorCode, 'AUTHENTICATION_FAILED' | 'INTERNAL_ERROR'>

type TokenErrorFields = { isSigned?: boolean; forMs?: number }

/** A token that is not accepted. The message is for the client; it never holds the token. */
export class TokenError extends FillcastError<TokenErrorCode> {
  /** The signature was good, so the refusal is for the signed part (see `TokenNames`). */
  readonly isSigned: boolean
  /** For how long the answer stays the same, in ms; `null`: unknown. */
  readonly forMs: number | null

  constructor(
    code: TokenErrorCode,
    message: string,
    options: ErrorOptions & TokenErrorFields = {},
  ) {
    super(code, message, options)
    this.isSigned = options.isSigned ?? false
    this.forMs = options.forMs ?? null
  }
}

/** Checks a token and reads its claims. @throws {TokenError} */
export type Verify = (token: string | undefined) => Promise<TokenClaims>

const TOKEN_LENGTH_MAX = 8_192
/** Clocks of issuer and relay may differ by this much. */
export const CLOCK_TOLERANCE_MS = 5_000

/**
 * The time from which on a token is refused, both for a new connection and for a connection that
 * came in with it. If the two times differed, a client would come and go in between.
 */
export const tokenEndMs = ({ exp }: Pick<TokenClaims, 'exp'>): number =>
  exp * 1_000 + CLOCK_TOLERANCE_MS

const ASYMMETRIC = [
  'EdDSA',
  'Ed25519',
  'ES256',
  'ES384',
  'ES512',
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
]

/** The algorithms come from the configuration, never from the token. */
export function createVerifier(config: TokenConfig, nowMs: () => number): Verify {
  const options: JWTVerifyOptions = {
    requiredClaims: ['exp', 'sub'],
    clockTolerance: CLOCK_TOLERANCE_MS / 1_000,
    ...(config.jwtIssuer === undefined ? {} : { issuer: config.jwtIssuer }),
    ...(config.jwtAudience === undefined ? {} : { audience: config.jwtAudience }),
  }
  const check = signatureCheck(config, nowMs, () => ({
    ...options,
    currentDate: new Date(nowMs()),
  }))
  return async (token) => {
    if (token === undefined || token === '')
      throw new TokenError(
        'AUTHENTICATION_FAILED',
        'A token is required: pass ?token= or auth.token',
      )
    if (token.length > TOKEN_LENGTH_MAX)
      throw new TokenError('AUTHENTICATION_FAILED', 'The token is too long')
    const read = tokenClaimsSchema.safeParse(await check(token).catch(refuse))
    if (!read.success)
      throw refused(`A claim of the token does not fit: ${describeIssues(read.error)}`)
    const { data: claims } = read
    if (nowMs() >= tokenEndMs(claims)) throw refused('JWT token expired')
    if (claims.iat !== undefined && claims.iat * 1_000 > nowMs() + CLOCK_TOLERANCE_MS)
      throw refused('The token was issued in the future (iat): check the clock of its issuer')
    return claims
  }
}

/** How tokens are checked: with a shared secret, or with the public keys behind a URL. */
export type TokenConfig = Readonly<{
  jwtSecret?: string | undefined
  jwksUrl?: string | undefined
  jwtIssuer?: string | undefined
  jwtAudience?: string | undefined
}>

function signatureCheck(
  { jwtSecret, jwksUrl }: TokenConfig,
  nowMs: () => number,
  options: () => JWTVerifyOptions,
) {
  if (jwksUrl !== undefined) {
    const keys = new RemoteKeys(new URL(jwksUrl), nowMs)
    return (token: string) => keys.verify(token, { ...options(), algorithms: ASYMMETRIC })
  }
  const key = new TextEncoder().encode(jwtSecret)
  return async (token: string) =>
    (await jwtVerify(token, key, { ...options(), algorithms: ['HS256'] })).payload
}

/** The error of a token whose signature is good and whose claims are not. */
const refused = (message: string): TokenError =>
  new TokenError('AUTHENTICATION_FAILED', message, { isSigned: true })

/**
 * A key server that cannot be reached is our error (`INTERNAL_ERROR`); every other error is the
 * token's.
 */
function refuse(error: unknown): never {
  if (error instanceof errors.JWTExpired) throw refused('JWT token expired')
  if (error instanceof errors.JWTClaimValidationFailed) throw refused('JWT token is not valid')
  const isTokens =
    error instanceof errors.JWSSignatureVerificationFailed ||
    error instanceof errors.JWTInvalid ||
    error instanceof errors.JWSInvalid ||
    error instanceof errors.JOSEAlgNotAllowed ||
    error instanceof errors.JOSENotSupported ||
    error instanceof errors.JWKSNoMatchingKey
  if (isTokens) throw new TokenError('AUTHENTICATION_FAILED', 'JWT token is not valid')
  const fields = error instanceof KeysTooYoungError ? { forMs: KEYS_COOLDOWN_MS } : {}
  throw new TokenError('INTERNAL_ERROR', 'The token could not be checked; try again later', {
    cause: error,
    ...fields,
  })
}
