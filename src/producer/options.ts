import { z } from 'zod'
import { createLogger, type Logger, readRedisAddress } from '#runtime'
import type { VaultKey } from '#store'
import { parse } from './request.ts'

/** Options of `createProducer`. */
export type ProducerOptions = Readonly<{
  /** The address of Redis: `redis://`, `rediss://`, `redis+sentinel://` or `redis+cluster://`. */
  redisUrl: string
  /**
   * 1 to 16 keys that seal credentials, 32 bytes each. The first key seals new credentials. The
   * workers need the same keys.
   */
  vaultKeys: readonly VaultKey[]
  /** A pino logger. Default: no log. */
  log?: Logger
}>

const VAULT_KEY_BYTES = 32
const VAULT_KEYS_MAX = 16

const isLogger = (value: unknown): value is Logger =>
  typeof value === 'object' &&
  value !== null &&
  ['debug', 'info', 'warn', 'error'].every(
    (level) => level in value && typeof Reflect.get(value, level) === 'function',
  )

const vaultKeySchema = z.strictObject({
  kid: z.string({ error: 'name the key' }).min(1).max(64),
  key: z
    .instanceof(Uint8Array, { error: `must be a Uint8Array of ${VAULT_KEY_BYTES} bytes` })
    .refine((key) => key.length === VAULT_KEY_BYTES, {
      error: `must have ${VAULT_KEY_BYTES} bytes`,
    }),
})

const optionsSchema = z.strictObject({
  redisUrl: z
    .string({ error: 'say where Redis is' })
    .refine((url) => readRedisAddress(url) !== null, {
      error: 'must be a URL such as redis://127.0.0.1:6379/0',
    }),
  vaultKeys: z
    .array(vaultKeySchema, { error: 'give at least one key, as { kid, key }' })
    .min(1, 'give at least one key, as { kid, key }')
    .max(VAULT_KEYS_MAX)
    .refine((keys) => new Set(keys.map(({ kid }) => kid)).size === keys.length, {
      error: 'each kid once',
    }),
  log: z
    .custom<Logger>(isLogger, {
      error: 'must be a pino logger; leave the field out to write nothing',
    })
    .default(createLogger('producer', 'silent')),
})

/**
 * Validates the options and fills in the defaults.
 * @throws {InvalidRequestError} naming each wrong field; the message contains no key
 */
export const readOptions = (options: ProducerOptions): Required<ProducerOptions> =>
  parse(optionsSchema, options)
