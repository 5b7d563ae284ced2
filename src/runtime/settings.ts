import { z } from 'zod'
import { setting } from './config.ts'
import { readRedisAddress } from './redis-address.ts'

// Settings that more than one process reads. A setting of a single process is described beside that
// process.

const port = (fallback: number) =>
  z
    .string()
    .regex(/^\d{1,5}$/)
    .transform(Number)
    .refine((value) => value <= 65_535)
    .default(fallback)

/** A listening port; 0 lets the system choose one. */
export const portSetting = (env: string, purpose: string, fallback: number) =>
  setting({
    env,
    schema: port(fallback),
    purpose,
    allowed: 'a port, 0 to 65535',
    fallback: String(fallback),
  })

export const redisUrlSetting = setting({
  env: 'REDIS_URL',
  schema: z.string().refine((url) => readRedisAddress(url) !== null),
  purpose: 'The Redis that holds queues, state and event logs',
  allowed:
    'a URL: rediss://user:password@host:6380/0, redis+sentinel://host:26379,host:26379/name, redis+cluster://host:6379,host:6379',
})

export const listenHostSetting = setting({
  env: 'LISTEN_HOST',
  schema: z.union([z.ipv4(), z.ipv6()]).optional(),
  purpose:
    'Address on which the process listens, probes included; none: every address of the machine',
  allowed: 'an IP address like 127.0.0.1',
})

export const logLevelSetting = setting({
  env: 'LOG_LEVEL',
  schema: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  purpose: 'Least severe log lines that are written',
  allowed: 'one of fatal, error, warn, info, debug, trace, silent',
  fallback: 'info',
})

export const probePortSetting = portSetting(
  'PROBE_PORT',
  'Port of /healthz, /readyz and /metrics; 0 picks a free one',
  0,
)

type VaultKey = Readonly<{ kid: string; key: Uint8Array }>

/**
 * Reads `kid:base64,...`; `null` if an entry is malformed, a key is not 32 bytes, or two keys have
 * one name.
 */
function readVaultKeys(text: string): readonly VaultKey[] | null {
  const keys = text.split(',').flatMap((entry): VaultKey[] => {
    const [, kid, base64] = /^\s*([A-Za-z0-9_-]{1,32}):([A-Za-z0-9+/_=-]+)\s*$/.exec(entry) ?? []
    if (kid === undefined || base64 === undefined) return []
    return [{ kid, key: new Uint8Array(Buffer.from(base64, 'base64')) }]
  })
  const isWhole =
    keys.length === text.split(',').length && keys.every(({ key }) => key.length === 32)
  return isWhole && new Set(keys.map(({ kid }) => kid)).size === keys.length ? keys : null
}

export const vaultKeysSetting = setting({
  env: 'VAULT_KEYS',
  schema: z.string().transform((text, context) => {
    const keys = readVaultKeys(text)
    if (keys !== null) return keys
    context.addIssue({ code: 'custom', message: 'malformed' })
    return z.NEVER
  }),
  purpose: "Keys that seal the brokers' credentials; the first seals, all of them open",
  allowed: 'kid:base64,... with 32 random bytes per key (openssl rand -base64 32)',
})
