import { z } from 'zod'
import {
  type ConfigOf,
  listenHostSetting,
  logLevelSetting,
  portSetting,
  probePortSetting,
  readConfig,
  redisUrlSetting,
  setting,
} from '#runtime'

/** A secret shorter than the digest of HS256 weakens it. */
const SECRET_BYTES_MIN = 32

const optionalText = (env: string, purpose: string, allowed: string) =>
  setting({ env, schema: z.string().optional(), purpose, allowed })

const count = (env: string, purpose: string, fallback: number, min: number, max: number) =>
  setting({
    env,
    schema: z
      .string()
      .regex(/^\d{1,9}$/)
      .transform(Number)
      .refine((value) => value >= min && value <= max)
      .default(fallback),
    purpose,
    allowed: `a number, ${min} to ${max}`,
    fallback: String(fallback),
  })

/** Everything that a relay process reads from its environment. */
export const relaySettings = {
  redisUrl: redisUrlSetting,
  port: portSetting('RELAY_PORT', 'Port on which clients connect', 3001),
  corsOrigins: setting({
    env: 'RELAY_CORS_ORIGINS',
    schema: z
      .string()
      .default('')
      .transform((text) =>
        text
          .split(',')
          .map((origin) => origin.trim())
          .filter((origin) => origin !== ''),
      )
      .pipe(z.array(z.url({ protocol: /^https?$/ }).transform((url) => new URL(url).origin))),
    purpose: 'Origins of the pages that may connect; none: clients without an Origin only',
    allowed: 'a list of origins like https://app.example.com',
  }),
  hopHost: setting({
    env: 'RELAY_HOP_HOST',
    schema: z.union([z.ipv4(), z.ipv6(), z.hostname()]).optional(),
    purpose: 'Where other relays reach this one, on RELAY_PORT; default: LISTEN_HOST, else the machine’s first address',
    allowed: 'an IP address or host name',
  }),
  trustedProxies: count(
    'RELAY_TRUSTED_PROXIES',
    'Proxies of ours in front, each of which adds to X-Forwarded-For; without them the address that connects is the client’s',
    0,
    0,
    10,
  ),
  connectionsPerAddress: count(
    'RELAY_CONNECTIONS_PER_ADDRESS',
    'Connections that one client address may have on this relay; a fifth of them may be opened in a second',
    1_000,
    1,
    1_000_000,
  ),
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
  listenHost: listenHostSetting,
  probePort: probePortSetting,
  logLevel: logLevelSetting,
} as const

export type RelayConfig = ConfigOf<typeof relaySettings>

/** @throws {ConfigError} naming every bad value */
export const readRelayConfig = (env: Readonly<Record<string, string | undefined>>): RelayConfig =>
  readConfig(relaySettings, env, ({ jwtSecret, jwksUrl }) =>
    (jwtSecret === undefined) === (jwksUrl === undefined)
      ? ['Set JWT_HS256_SECRET or JWT_JWKS_URL: exactly one of them']
      : [],
  )
