import { z } from 'zod'
import { setting } from '#runtime'
import type { TokenConfig } from './verify.ts'

/** A secret shorter than the digest of HS256 weakens it. */
const SECRET_BYTES_MIN = 32

const optionalText = (env: string, purpose: string, allowed: string) =>
  setting({ env, schema: z.string().optional(), purpose, allowed })

/** The settings that decide which tokens a process accepts. */
export const tokenSettings = {
  jwtSecret: setting({
    env: 'JWT_HS256_SECRET',
    schema: z
      .string()
      .refine((text) => Buffer.byteLength(text) >= SECRET_BYTES_MIN)
      .optional(),
    purpose: 'Shared secret of HS256 tokens; this or JWT_JWKS_URL',
    allowed: `at least ${SECRET_BYTES_MIN} bytes`,
  }),
  jwksUrl: setting({
    env: 'JWT_JWKS_URL',
    schema: z.url({ protocol: /^https?$/ }).optional(),
    purpose: 'Where the public keys of asymmetric tokens are; this or JWT_HS256_SECRET',
    allowed: 'a URL like https://auth.example.com/.well-known/jwks.json',
  }),
  jwtIssuer: optionalText(
    'JWT_ISSUER',
    'Required issuer (iss) of tokens; not checked when absent',
    'the exact iss claim',
  ),
  jwtAudience: optionalText(
    'JWT_AUDIENCE',
    'Required audience (aud) of tokens; not checked when absent',
    'the exact aud claim',
  ),
} as const

/** Checks the settings together. @returns the problems */
export const checkTokenSettings = ({ jwtSecret, jwksUrl }: TokenConfig): string[] =>
  (jwtSecret === undefined) === (jwksUrl === undefined)
    ? ['Set JWT_HS256_SECRET or JWT_JWKS_URL: exactly one of them']
    : []
