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

      .transform((text) => text.split(',').flatMap((origin) => origin.trim() || []))
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
  trustedProxies: count('RELAY_TRUSTED_PROXIES', 'Proxies of ours in front, each adding to X-Forwarded-For', 0, 0, 10),
  connectionsPerAddress: count('RELAY_CONNECTIONS_PER_ADDRESS', 'Connections of one client address', 1_000, 1, 100_000),
  ...tokenSettings,
  listenHost: listenHostSetting,
  probePort: probePortSetting,
  logLevel: logLevelSetting,
} as const

export type RelayConfig = ConfigOf<typeof relaySettings>

/** @throws {ConfigError} naming every bad value */
export const readRelayConfig = (env: Readonly<Record<string, string | undefined>>): RelayConfig =>
  readConfig(relaySettings, env, checkTokenSettings)
