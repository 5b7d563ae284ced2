import { z } from 'zod'
import { checkTokenSettings, tokenSettings } from '#auth'
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
import { type TrustedProxies, trustOf } from '#transport'

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

const PROXIES_MAX = 10

/** A number of proxies, or the addresses and networks that they have. */
const trustedProxiesSchema = z
  .string()
  .transform((text, context): TrustedProxies => {
    const trusted = /^\d{1,2}$/.test(text)
      ? Number(text)
      : text.split(',').map((part) => part.trim())
    if (isUsable(trusted)) return trusted
    context.addIssue('neither a number nor addresses')
    return z.NEVER
  })
  .default(0)

function isUsable(trusted: TrustedProxies): boolean {
  if (typeof trusted === 'number') return trusted <= PROXIES_MAX
  try {
    trustOf(trusted)
    return true
  } catch {
    return false
  }
}

/** Everything that a relay process reads from its environment. */
export const relaySettings = {
  redisUrl: redisUrlSetting,
  port: portSetting('RELAY_PORT', 'Port on which clients connect', 3001),
  corsOrigins: setting({
    env: 'RELAY_CORS_ORIGINS',
    schema: z
      .string()
      .default('')

      .transform((text) => text.split(',').flatMap((origin) => origin.trim() || []))
      .pipe(z.array(z.url({ protocol: /^https?$/ }).transform((url) => new URL(url).origin))),
    purpose:
      'Origins of the pages that may connect, besides those of the relay’s own host and clients without an Origin',
    allowed: 'a list of origins like https://app.example.com',
  }),
  hopHost: setting({
    env: 'RELAY_HOP_HOST',
    schema: z.union([z.ipv4(), z.ipv6(), z.hostname()]).optional(),
    purpose:
      'Where other relays reach this one, on RELAY_PORT; default: LISTEN_HOST, else the machine’s first address',
    allowed: 'an IP address or host name',
  }),
  trustedProxies: setting({
    env: 'RELAY_TRUSTED_PROXIES',
    schema: trustedProxiesSchema,
    purpose:
      'Proxies of ours in front, each adding to X-Forwarded-For: their addresses and networks, or how many they are',
    allowed: `a list like 10.0.0.0/8,fd00::/8,192.0.2.7, or a number, 0 to ${PROXIES_MAX}`,
    fallback: '0',
  }),
  connectionsPerAddress: count(
    'RELAY_CONNECTIONS_PER_ADDRESS',
    'Connections of one client address',
    1_000,
    1,
    100_000,
  ),
  handshakesPerSecond: count(
    'RELAY_HANDSHAKES_PER_SECOND',
    'Handshakes of all clients together',
    1_000,
    1,
    100_000,
  ),
  ...tokenSettings,
  listenHost: listenHostSetting,
  probePort: probePortSetting,
  logLevel: logLevelSetting,
} as const

export type RelayConfig = ConfigOf<typeof relaySettings>

/** @throws {ConfigError} naming every bad value */
export const readRelayConfig = (env: Readonly<Record<string, string | undefined>>): RelayConfig =>
  readConfig(relaySettings, env, checkTokenSettings)
