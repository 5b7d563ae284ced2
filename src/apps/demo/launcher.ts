import { randomBytes } from 'node:crypto'
import { createProducer, type Producer } from '#producer'
import { createLogger } from '#runtime'
import { startEmbeddedRedis } from '../../setup/embedded-redis.mjs'
import { hashPassword } from '../dashboard/passwords.ts'
import { type Child, freePort, startChild } from './children.ts'
import { SandboxControl } from './sandbox-control.ts'
import { startTradeApi } from './trade-api.ts'

/** A user of the demo: a login at the example trade API, and an account at the sandbox. */
export type DemoUser = Readonly<{ userId: string; name: string; password: string; connectionId: string }>

/** Known to everybody, and of no use outside: everything listens on 127.0.0.1 and ends with the demo. */
export const demoUsers: readonly DemoUser[] = [
  { userId: 'alice', name: 'alice', password: 'demo', connectionId: 'broker_alice' },
  { userId: 'bob', name: 'bob', password: 'demo', connectionId: 'broker_bob' },
]
const KEYS = [
  { keyId: 'demo-key', secretKey: 'demo-secret' },
  { keyId: 'demo-key-2', secretKey: 'demo-secret-2' },
] as const

export type Demo = AsyncDisposable &
  Readonly<{
    pageUrl: string
    relayUrl: string
    dashboardUrl: string
    dashboardLogin: string
    sandboxUrl: string
    sandbox: SandboxControl
    producer: Producer
  }>

export type DemoOptions = Readonly<{
  /** Wanted ports; a taken one is replaced by a free one. */
  ports: Readonly<{ page: number; relay: number; dashboard: number; sandbox: number }>
  seed: number
  partialFills: boolean
  onLine(name: string, line: string): void
}>

/** Starts the whole system on this machine: Redis, sandbox, workers, relay, dashboard, trade API. */
export async function startDemo(options: DemoOptions): Promise<Demo> {
  const stack = new AsyncDisposableStack()
  try {
    return await launch(options, stack)
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
}

async function launch({ ports, seed, partialFills, onLine }: DemoOptions, stack: AsyncDisposableStack): Promise<Demo> {
  const given = process.env['REDIS_URL']
  const redisUrl = given ?? stack.use(await startEmbeddedRedis()).url
  const [page, relay, dashboard, sandbox] = await Promise.all(
    [ports.page, ports.relay, ports.dashboard, ports.sandbox].map(freePort),
  )
  const urls = {
    pageUrl: `http://127.0.0.1:${page}`,
    relayUrl: `http://127.0.0.1:${relay}`,
    dashboardUrl: `http://127.0.0.1:${dashboard}`,
    sandboxUrl: `http://127.0.0.1:${sandbox}`,
  }
  const jwtSecret = randomBytes(32).toString('base64url')
  const vaultKey = randomBytes(32)
  const password = randomBytes(9).toString('base64url')
  const start = (
    name: string,
    entry: string,
    args: string[],
    env: Record<string, string>,
    ready: string,
  ): Promise<Child> =>
    startChild(name, entry, args, env, ready, onLine).then((child) => {
      stack.defer(() => child.stop())
      return child
    })

  const partial = partialFills ? '--partial-fills' : '--no-partial-fills'
  await start(
    'sandbox',
    'src/apps/sandbox/main.ts',
    ['--port', String(sandbox), '--seed', String(seed), partial],
    {},
    urls.sandboxUrl,
  )
  const shared = { REDIS_URL: redisUrl, LOG_LEVEL: 'info' }
  await Promise.all([
    start(
      'workers',
      'workers/main.ts',
      [],
      {
        ...shared,
        VAULT_KEYS: `demo:${vaultKey.toString('base64')}`,
        ...{ ALPACA_ENV: 'sandbox', ALPACA_SANDBOX_URL: urls.sandboxUrl },
        ...{ ALPACA_DATA_KEY_ID: KEYS[0].keyId, ALPACA_DATA_SECRET: KEYS[0].secretKey },
      },
      'workers.ready',
    ),
    start(
      'relay',
      'relay/main.ts',
      [],
      {
        ...shared,
        ...{ RELAY_PORT: String(relay), RELAY_CORS_ORIGINS: `${urls.pageUrl},http://localhost:${page}` },
        ...{ JWT_HS256_SECRET: jwtSecret, JWT_ISSUER: 'fillcast-demo', JWT_AUDIENCE: 'fillcast' },
      },
      'relay.ready',
    ),
    start(
      'dashboard',
      'src/apps/dashboard/main.ts',
      [],
      {
        ...shared,
        DASHBOARD_PORT: String(dashboard),
        DASHBOARD_USERS: `operator:operator:${await hashPassword(password)}`,
      },
      'dashboard.ready',
    ),
  ])
  const log = createLogger('trade-api', 'warn')
  const producer = stack.use(
    await createProducer({ redisUrl, vaultKeys: [{ kid: 'demo', key: new Uint8Array(vaultKey) }], log }),
  )
  for (const [index, { userId, connectionId }] of demoUsers.entries()) {
    const credentials = KEYS[index] ?? KEYS[0]
    await producer.connections.connect({ userId, connectionId, env: 'sandbox', credentials })
  }
  stack.use(await startTradeApi({ port: page ?? 0, producer, jwtSecret, users: demoUsers, urls }))
  return {
    ...urls,
    dashboardLogin: `operator / ${password}`,
    sandbox: new SandboxControl(urls.sandboxUrl),
    producer,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}
