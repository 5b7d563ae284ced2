import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Queue } from 'bullmq'
import { SignJWT } from 'jose'
import { pino } from 'pino'
import { io, type Socket } from 'socket.io-client'
import { createProducer } from '#producer'
import { type ManagedProcess, startProcess } from '../support/process.ts'
import type { TestRedis } from '../support/redis.ts'

/** One of the pipelines that are measured beside each other, started and ready for orders. */
export type Side = AsyncDisposable &
  Readonly<{
    /** Our own processes, whose CPU counts: the worker and the relay. */
    processes: readonly ManagedProcess[]
    /** Resolves when the order is queued. */
    enqueue(userId: string, tradeId: string): Promise<void>
    connect(userId: string): Promise<Socket>
  }>

export type BenchUser = Readonly<{ userId: string; keyId: string; secret: string }>

export type SideOptions = Readonly<{
  redis: TestRedis
  sandboxUrl: string
  users: readonly BenchUser[]
  folder: string
  profileFolder: string | undefined
}>

export const SIDES = ['fetch', 'undici', 'fillcast'] as const
export type SideName = (typeof SIDES)[number]

const SYMBOL = 'AAPL'
const QUANTITY = '10'
const SECRET = 'the secret of the pipeline benchmark, 32+'
const VAULT = Buffer.alloc(32, 7)
const ADOPTED_MS_MAX = 60_000

export const startSide = (name: SideName, options: SideOptions): Promise<Side> =>
  name === 'fillcast' ? startFillcast(options) : startNaive(name, options)

async function startNaive(httpClient: 'fetch' | 'undici', options: SideOptions): Promise<Side> {
  const { redis, sandboxUrl, users, folder, profileFolder } = options
  const accountsFile = join(folder, 'naive-accounts.json')
  writeFileSync(accountsFile, JSON.stringify(users))
  const env = {
    REDIS_URL: redis.url,
    SANDBOX_URL: sandboxUrl,
    ACCOUNTS_FILE: accountsFile,
    HTTP_CLIENT: httpClient,
    JWT_HS256_SECRET: SECRET,
  }
  const relay = await startProcess({
    entry: 'tests/bench/naive/relay.ts',
    env,
    ready: / on http/,
    profileFolder,
  })
  const worker = await startProcess({
    entry: 'tests/bench/naive/worker.ts',
    env,
    ready: /is ready/,
    profileFolder,
  })
  const url = / on (\S+)/.exec(relay.readyLine)?.[1] ?? ''
  const queue = new Queue('naive', { connection: redis.connect() })
  return {
    processes: [worker, relay],
    enqueue: async (userId, tradeId) =>
      void (await queue.add(
        'order',
        { userId, tradeId, symbol: SYMBOL, quantity: QUANTITY },
        { jobId: tradeId },
      )),
    async connect(userId) {
      const auth = { token: await tokenOf(userId) }
      return opened(io(url, { forceNew: true, transports: ['websocket'], auth }), 'connect')
    },
    async [Symbol.asyncDispose]() {
      await queue.close()
      await Promise.all([worker.stop(), relay.stop()])
    },
  }
}

async function startFillcast({
  redis,
  sandboxUrl,
  users,
  profileFolder,
}: SideOptions): Promise<Side> {
  const env = {
    REDIS_URL: redis.url,
    LISTEN_HOST: '127.0.0.1',
    LOG_LEVEL: 'info',
    VAULT_KEYS: `t:${VAULT.toString('base64')}`,
    JWT_HS256_SECRET: SECRET,
    RELAY_PORT: '0',
    ALPACA_ENV: 'sandbox',
    ALPACA_SANDBOX_URL: sandboxUrl,
    WORKER_ROLES: 'orders,streams,connections',
  }
  const relay = await startProcess({
    entry: 'relay/main.ts',
    env,
    ready: /relay\.ready/,
    profileFolder,
  })
  const worker = await startProcess({
    entry: 'workers/main.ts',
    env,
    ready: /workers\.ready/,
    profileFolder,
  })
  const { port } = JSON.parse(relay.readyLine) as { port: number }
  const vaultKeys = [{ kid: 't', key: new Uint8Array(VAULT) }]
  const producer = await createProducer({
    redisUrl: redis.url,
    vaultKeys,
    log: pino({ level: 'silent' }),
  })
  for (const { userId, keyId, secret } of users) {
    const credentials = { keyId, secretKey: secret }
    await producer.connections.connect({
      userId,
      connectionId: `broker_${userId}`,
      env: 'sandbox',
      credentials,
    })
  }
  await adopted(redis, users)
  return {
    processes: [worker, relay],
    enqueue: async (userId, tradeId) =>
      void (await producer.submitOrder({
        userId,
        connectionId: `broker_${userId}`,
        tradeId,
        symbol: SYMBOL,
        side: 'buy',
        orderType: 'market',
        quantity: QUANTITY,
      })),
    async connect(userId) {
      const query = { token: await tokenOf(userId) }
      const url = `http://127.0.0.1:${port}`
      return opened(
        io(url, { forceNew: true, transports: ['websocket'], query }),
        'connection.authorized',
      )
    },
    async [Symbol.asyncDispose]() {
      await producer[Symbol.asyncDispose]()
      await Promise.all([worker.stop(), relay.stop()])
    },
  }
}

const tokenOf = (userId: string): Promise<string> =>
  new SignJWT({})
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(userId)
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(SECRET))

const opened = (socket: Socket, event: string): Promise<Socket> =>
  new Promise((resolve, reject) => {
    socket.once(event, () => resolve(socket))
    socket.once('connect_error', (error) => {
      socket.disconnect() // else it goes on trying, and the benchmark never ends
      reject(error)
    })
  })

/** Every account has been read once: from then on orders are sent at once. */
async function adopted(redis: TestRedis, users: readonly BenchUser[]): Promise<void> {
  const connection = redis.connect()
  const deadlineMs = performance.now() + ADOPTED_MS_MAX
  for (const { userId } of users) {
    while ((await connection.hexists(`state:{${userId}}`, `account:broker_${userId}`)) === 0) {
      if (performance.now() > deadlineMs)
        throw new Error(`the account of ${userId} was not read in time`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}
