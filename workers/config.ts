import { z } from 'zod'
import {
  type ConfigOf,
  listenHostSetting,
  logLevelSetting,
  probePortSetting,
  readConfig,
  redisUrlSetting,
  setting,
  vaultKeysSetting,
} from '#runtime'

const ROLES = ['orders', 'streams', 'connections', 'market'] as const
export type Role = (typeof ROLES)[number]

/** Everything that a worker process reads from its environment. */
export const workerSettings = {
  redisUrl: redisUrlSetting,
  vaultKeys: vaultKeysSetting,
  env: setting({
    env: 'ALPACA_ENV',
    schema: z.enum(['paper', 'live', 'sandbox']).default('paper'),
    purpose: 'The only Alpaca environment that this worker talks to; live must be said',
    allowed: 'paper, live or sandbox',
    fallback: 'paper',
  }),
  sandboxUrl: setting({
    env: 'ALPACA_SANDBOX_URL',
    schema: z.url({ protocol: /^https?$/ }).optional(),
    purpose: 'Where the Alpaca-compatible sandbox is; only with ALPACA_ENV=sandbox',
    allowed: 'a URL like http://127.0.0.1:8085',
  }),
  dataKeyId: setting({
    env: 'ALPACA_DATA_KEY_ID',
    schema: z.string().optional(),
    purpose: 'Key id for market data (role market)',
    allowed: 'an Alpaca key id',
  }),
  dataSecret: setting({
    env: 'ALPACA_DATA_SECRET',
    schema: z.string().optional(),
    purpose: 'Secret for market data (role market)',
    allowed: 'the secret of ALPACA_DATA_KEY_ID',
  }),
  dataFeed: setting({
    env: 'ALPACA_DATA_FEED',
    schema: z.enum(['iex', 'sip', 'delayed_sip', 'test']).default('iex'),
    purpose: 'Which market-data feed the plan allows',
    allowed: 'iex, sip, delayed_sip or test',
    fallback: 'iex',
  }),
  overExit: setting({
    env: 'OVER_EXIT',
    schema: z.enum(['alarm', 'flatten']).default('alarm'),
    purpose:
      'What follows when the exits of an order executed more than its entry: an alarm, or also a trade that closes the excess',
    allowed: 'alarm or flatten',
    fallback: 'alarm',
  }),
  roles: setting({
    env: 'WORKER_ROLES',
    schema: z
      .string()
      .default(ROLES.join(','))
      .transform((text) => text.split(',').map((role) => role.trim()))
      .pipe(z.array(z.enum(ROLES)).min(1)),
    purpose: 'What this worker does',
    allowed: `a list of ${ROLES.join(', ')}`,
    fallback: ROLES.join(','),
  }),
  parkedMarketSeconds: setting({
    env: 'PARKED_MARKET_SECONDS',
    schema: z.coerce.number().int().min(1).max(900).default(30),
    purpose:
      'A market order without notAfter that cannot be sent is given up so long after it was first parked',
    allowed: 'a number, 1 to 900',
    fallback: '30',
  }),
  isStoreExpected: setting({
    env: 'STORE_EXPECTED',
    schema: z
      .enum(['0', '1'])
      .default('0')
      .transform((text) => text === '1'),
    purpose:
      'With 1, a store found empty at start counts as lost: no order is worked on before acceptStore was called',
    allowed: '0 or 1',
    fallback: '0',
  }),
  listenHost: listenHostSetting,
  probePort: probePortSetting,
  logLevel: logLevelSetting,
} as const

export type WorkerConfig = ConfigOf<typeof workerSettings>

/** @throws {ConfigError} naming every bad value */
export const readWorkerConfig = (env: Readonly<Record<string, string | undefined>>): WorkerConfig =>
  readConfig(workerSettings, env, ({ env: alpaca, sandboxUrl, roles, dataKeyId, dataSecret }) => [
    ...(alpaca === 'sandbox' && sandboxUrl === undefined
      ? ['ALPACA_SANDBOX_URL is missing: ALPACA_ENV=sandbox needs it']
      : []),
    ...(alpaca !== undefined && alpaca !== 'sandbox' && sandboxUrl !== undefined
      ? ['ALPACA_SANDBOX_URL is set: say ALPACA_ENV=sandbox, or remove it']
      : []),
    ...(roles?.includes('market') === true &&
    (dataKeyId === undefined) !== (dataSecret === undefined)
      ? ['ALPACA_DATA_KEY_ID and ALPACA_DATA_SECRET go together: set both or neither']
      : []),
  ])
