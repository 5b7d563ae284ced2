import { randomBytes } from 'node:crypto'
import { createProducer, type Producer } from '#producer'
import { connectRedis, createLogger, type Logger, redisReady, systemRandomness } from '#runtime'
import { createReader, type Reader } from '#store'
import { startEmbeddedRedis } from '../../setup/embedded-redis.mjs'
import { hashPassword } from '../dashboard/passwords.ts'
import { type Child, type ChildOptions, freePort, startChild } from './children.ts'
import { forgetUsers } from './forget.ts'
import { until } from './player.ts'
import { SandboxControl } from './sandbox-control.ts'
import { startTradeApi } from './trade-api.ts'

/**
 * The logins at the example trade API, each with an account at the sandbox. The passwords are
 * public and useless outside: every server listens on 127.0.0.1 and ends with the demo.
 */
export const demoUsers = [
  { name: 'alice', password: 'demo', keyId: 'demo-key', secretKey: 'demo-secret' },
  { name: 'bob', password: 'demo', keyId: 'demo-key-2', secretKey: 'demo-secret-2' },
] as const

export type Demo = Readonly<{
  pageUrl: string
  relayUrl: string
  dashboardUrl: string
  dashboardLogin: string
  sandboxUrl: string
  sandbox: SandboxControl
  producer: Producer
  userIdOf(name: string): string
}>

export type DemoOptions = Readonly<{
  /** Wanted ports; a port that is in use is replaced by a free port. */
  ports: Readonly<{ page: number; relay: number; dashboard: number; sandbox: number }>
  seed: string
  partialFills: boolean
  /**
   * A Redis to use instead of an embedded Redis. The demo creates new users there and removes their
   * records at the end; finished jobs expire as usual. No other key is touched.
   */
  redisUrl: string | undefined
  /** Is called with every line that a process writes. */
  onLine(name: string, line: string): void
}>

/** The log of this process itself, in which the trade API and the producer run. */
export const ownLog = (onLine: DemoOptions['onLine']): Logger =>
  createLogger('demo', 'warn', { write: (line) => onLine('demo', line.trimEnd()) })

const JWT = { issuer: 'fillcast-demo', audience: 'fillcast' } as const
const VAULT_KID = 'demo'

/** Secrets of one run; none of them outlives the run. */
const newSecrets = () => ({
  jwt: randomBytes(32).toString('base64url'),
  vault: randomBytes(32),
  dashboardPassword: randomBytes(9).toString('base64url'),
})

/**
 * Starts the whole system on this machine: Redis, sandbox, workers, relay, dashboard, trade API.
 * Resolves when orders can be placed.
 * @param stack gets everything that was started, also if the start fails: disposing the stack ends
 *   the demo, last started first
 */
export async function startDemo(options: DemoOptions, stack: AsyncDisposableStack): Promise<Demo> {
  const start = async (child: ChildOptions): Promise<Child> =>
    stack.use(await startChild(child, options.onLine))
  const log = ownLog(options.onLine)
  // The embedded Redis ends with this process, even if this process is killed.
  const redisUrl = options.redisUrl ?? stack.use(await startEmbeddedRedis()).url
  const redis = connectRedis(redisUrl, 'patient', log)
  stack.defer(() => redis.disconnect())
  await redisReady(redis)
  // A given Redis outlives the run. The suffix keeps our users apart from the users of other runs,
  // whose broker accounts are gone.
  const suffix = options.redisUrl === undefined ? '' : `-${systemRandomness.id(6)}`
  const users = demoUsers.map((user) => ({
    ...user,
    userId: `${user.name}${suffix}`,
    connectionId: `broker_${user.name}`,
  }))
  if (options.redisUrl !== undefined) stack.defer(() => forgetUsers(redis, users))
  const secrets = newSecrets()
  const { ports, urls } = await choosePorts(options.ports)
  const args = ['--port', String(ports.sandbox), '--seed', options.seed]
  const partial = options.partialFills ? '--partial-fills' : '--no-partial-fills'
  await start({
    name: 'sandbox',
    entry: 'src/apps/sandbox/main.ts',
    // The real limit of 200 requests a minute would make people wait on a demo page.
    args: [...args, partial, '--rate-limit', '0'],
    ready: urls.sandboxUrl,
  })
  await Promise.all((await processes(redisUrl, ports, urls, secrets)).map(start))
  const vaultKeys = [{ kid: VAULT_KID, key: new Uint8Array(secrets.vault) }]
  const producer = stack.use(await createProducer({ redisUrl, vaultKeys, log }))
  for (const { userId, connectionId, keyId, secretKey } of users) {
    await producer.connections.connect({
      userId,
      connectionId,
      env: 'sandbox',
      credentials: { keyId, secretKey },
    })
  }
  await accountsKnown(createReader(redis), users)
  stack.use(
    await startTradeApi({
      port: ports.page,
      producer,
      jwt: { ...JWT, secret: secrets.jwt },
      users,
      urls,
      log,
    }),
  )
  return {
    ...urls,
    dashboardLogin: `operator / ${secrets.dashboardPassword}`,
    sandbox: new SandboxControl(urls.sandboxUrl),
    producer,
    userIdOf: (name) => users.find((user) => user.name === name)?.userId ?? name,
  }
}

async function choosePorts(wanted: DemoOptions['ports']) {
  const ports = {
    page: await freePort(wanted.page),
    relay: await freePort(wanted.relay),
    dashboard: await freePort(wanted.dashboard),
    sandbox: await freePort(wanted.sandbox),
  }
  const urls = {
    pageUrl: `http://127.0.0.1:${ports.page}`,
    relayUrl: `http://127.0.0.1:${ports.relay}`,
    dashboardUrl: `http://127.0.0.1:${ports.dashboard}`,
    sandboxUrl: `http://127.0.0.1:${ports.sandbox}`,
  }
  return { ports, urls }
}

type Chosen = Awaited<ReturnType<typeof choosePorts>>

/** The services, each with only the variables that the README lists. */
async function processes(
  redisUrl: string,
  ports: Chosen['ports'],
  urls: Chosen['urls'],
  secrets: ReturnType<typeof newSecrets>,
): Promise<readonly ChildOptions[]> {
  const shared = {
    REDIS_URL: redisUrl,
    LOG_LEVEL: 'info',
    LISTEN_HOST: '127.0.0.1',
    PROBE_PORT: '0',
  }
  return [
    {
      name: 'workers',
      entry: 'workers/main.ts',
      env: {
        ...shared,
        VAULT_KEYS: `${VAULT_KID}:${secrets.vault.toString('base64')}`,
        ALPACA_ENV: 'sandbox',
        ALPACA_SANDBOX_URL: urls.sandboxUrl,
        ALPACA_DATA_KEY_ID: demoUsers[0].keyId,
        ALPACA_DATA_SECRET: demoUsers[0].secretKey,
      },
      ready: 'workers.ready',
    },
    {
      name: 'relay',
      entry: 'relay/main.ts',
      env: {
        ...shared,
        RELAY_PORT: String(ports.relay),
        RELAY_CORS_ORIGINS: `${urls.pageUrl},http://localhost:${ports.page}`,
        JWT_HS256_SECRET: secrets.jwt,
        JWT_ISSUER: JWT.issuer,
        JWT_AUDIENCE: JWT.audience,
      },
      ready: 'relay.ready',
    },
    {
      name: 'dashboard',
      entry: 'src/apps/dashboard/main.ts',
      env: {
        ...shared,
        DASHBOARD_PORT: String(ports.dashboard),
        DASHBOARD_USERS: `operator:operator:${await hashPassword(secrets.dashboardPassword)}`,
      },
      ready: 'dashboard.ready',
    },
  ]
}

/** Resolves when the workers have read the users' accounts at the broker. */
async function accountsKnown(reader: Reader, users: readonly { userId: string }[]): Promise<void> {
  for (const { userId } of users) {
    await until(
      async () => (await reader.snapshot(userId)).accounts.length > 0,
      `the account of ${userId} is known`,
    )
  }
}
