import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { join } from 'node:path'
import { Queue } from 'bullmq'
import { SignJWT } from 'jose'
import { pino } from 'pino'
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client'
import { expect, vi } from 'vitest'
import {
  queues,
  type QueueName,
  serverEvents,
  type ServerEventName,
  type SubmitOrder,
} from '#contract'
import { createProducer, type Producer } from '#producer'
import { systemClock, systemRandomness } from '#runtime'
import { type Sandbox, startSandbox } from '#sandbox'
import { readRelayConfig } from '../../relay/config.ts'
import { type Relay, startRelay } from '../../relay/server.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'

const SECRET = 'the secret of the end-to-end suites, 32+'
const VAULT = Buffer.alloc(32, 7)
const root = join(import.meta.dirname, '../..')

export type Client = {
  socket: Socket
  heard: [event: ServerEventName, payload: Record<string, unknown>][]
  names(): string[]
}

/** One process of workers, and its log so far. */
export type WorkerProcess = Readonly<{ child: ChildProcess; lines: string[] }>

type UrlOf = (process: 'workers' | 'relay' | 'producer') => string

/**
 * The whole system: Redis, sandbox, relay and producer here, workers as a process that can be
 * killed.
 */
export class System implements AsyncDisposable {
  readonly redis: TestRedis
  readonly sandbox: Sandbox
  readonly relay: Relay
  readonly producer: Producer
  readonly #workers: WorkerProcess[] = []
  /** Of all of them, those that are gone too. */
  readonly workerLines: string[] = []
  readonly #clients: Socket[] = []
  readonly #queues: Queue[] = []

  readonly #urlOf: UrlOf

  private constructor(
    redis: TestRedis,
    urlOf: UrlOf,
    sandbox: Sandbox,
    relay: Relay,
    producer: Producer,
  ) {
    this.redis = redis
    this.#urlOf = urlOf
    this.sandbox = sandbox
    this.relay = relay
    this.producer = producer
  }

  /** @param users each gets the sandbox account of its place in the list */
  static async open(...users: string[]): Promise<System> {
    const redis = await startRedis()
    return System.openOn(redis, () => redis.url, users)
  }

  /** @param urlOf by which each process reaches Redis */
  static async openOn(redis: TestRedis, urlOf: UrlOf, users: readonly string[]): Promise<System> {
    const sandbox = await startSandbox({
      partialFills: false,
      fillDelayMs: 20,
      tickMs: 100,
      seed: 'e2e',
    })
    const log = pino({ level: 'silent' })
    const config = readRelayConfig({
      REDIS_URL: urlOf('relay'),
      LISTEN_HOST: '127.0.0.1',
      RELAY_PORT: '0',
      JWT_HS256_SECRET: SECRET,
    })
    const relay = await startRelay(config, { clock: systemClock, random: systemRandomness, log })
    const producer = await createProducer({
      redisUrl: urlOf('producer'),
      vaultKeys: [{ kid: 't', key: new Uint8Array(VAULT) }],
      log,
    })
    const system = new System(redis, urlOf, sandbox, relay, producer)
    await system.startWorkers()
    const keys = ['demo-key', 'demo-key-2']
    for (const [index, userId] of users.entries()) {
      const keyId = keys[index] ?? ''
      const credentials = { keyId, secretKey: keyId.replace('key', 'secret') }
      await producer.connections.connect({
        userId,
        connectionId: `broker_${userId}`,
        env: 'sandbox',
        credentials,
      })
    }
    for (const user of users) await system.#adopted(user)
    return system
  }

  /** Starts one more process of workers; resolves once it is ready. */
  async startWorkers(): Promise<WorkerProcess> {
    const child = spawn(process.execPath, ['workers/main.ts'], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
      env: {
        PATH: process.env['PATH'] ?? '',
        NODE_EXTRA_CA_CERTS: process.env['NODE_EXTRA_CA_CERTS'],
        REDIS_URL: this.#urlOf('workers'),
        LISTEN_HOST: '127.0.0.1',
        VAULT_KEYS: `t:${VAULT.toString('base64')}`,
        ALPACA_ENV: 'sandbox',
        ALPACA_SANDBOX_URL: this.sandbox.url,
        ALPACA_DATA_KEY_ID: 'demo-key',
        ALPACA_DATA_SECRET: 'demo-secret',
        LOG_LEVEL: 'info',
      },
    })
    const lines: string[] = []
    const worker: WorkerProcess = { child, lines }
    this.#workers.push(worker)
    const { stdout } = child
    if (stdout === null) throw new Error('workers have no output')
    await new Promise<void>((resolve, reject) => {
      child.once('exit', (code) =>
        reject(new Error(`workers ended with ${code}\n${lines.join('\n')}`)),
      )
      createInterface({ input: stdout }).on('line', (line) => {
        lines.push(line)
        this.workerLines.push(line)
        if (line.includes('workers.ready')) resolve()
      })
    })
    return worker
  }

  get workers(): readonly WorkerProcess[] {
    return this.#workers
  }

  /** Ends workers as a crash would; all of them, unless one is named. */
  async killWorkers(only?: WorkerProcess): Promise<void> {
    await Promise.all(
      (only === undefined ? [...this.#workers] : [only]).map((one) => this.#end(one, 'SIGKILL')),
    )
  }

  async #end(worker: WorkerProcess, signal: NodeJS.Signals): Promise<void> {
    const { child } = worker
    this.#workers.splice(this.#workers.indexOf(worker), 1)
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    await exited
  }

  /**
   * A plain client of the relay, authorised. Everything it hears is checked against the contract.
   */
  async client(
    user: string,
    options: Partial<ManagerOptions & SocketOptions> = {},
  ): Promise<Client> {
    const key = new TextEncoder().encode(SECRET)
    const token = await new SignJWT({})
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject(user)
      .setExpirationTime('1h')
      .sign(key)
    const socket = io(this.relay.url, {
      forceNew: true,
      reconnection: false,
      query: { token },
      transports: ['websocket'],
      ...options,
    })
    const client: Client = { socket, heard: [], names: () => client.heard.map(([event]) => event) }
    socket.onAny((event: ServerEventName, payload: Record<string, unknown>) => {
      serverEvents[event].schema.parse(payload)
      client.heard.push([event, payload])
    })
    this.#clients.push(socket)
    await expect.poll(() => client.names(), { timeout: 10_000 }).toContain('connection.authorized')
    return client
  }

  queue(which: QueueName): Queue {
    const { name, prefix } = queues[which]
    const queue = new Queue(name, { connection: this.redis.connect(), prefix })
    this.#queues.push(queue)
    return queue
  }

  #adopted(user: string): Promise<void> {
    const connection = this.redis.connect()
    const isThere = async (): Promise<void> => {
      if ((await connection.hexists(`state:{${user}}`, `account:broker_${user}`)) !== 1)
        throw new Error(`${user} is not connected`)
    }
    return vi.waitFor(isThere, { timeout: 20_000, interval: 50 })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#clients) socket.disconnect()
    await Promise.all([...this.#workers].map((one) => this.#end(one, 'SIGTERM')))
    for (const queue of this.#queues) await queue.close()
    await this.producer[Symbol.asyncDispose]()
    await this.relay[Symbol.asyncDispose]()
    await this.sandbox.close()
    await this.redis.stop()
  }
}

export const orderOf = (over: Partial<SubmitOrder> = {}): SubmitOrder => ({
  userId: 'alice',
  connectionId: 'broker_alice',
  tradeId: 't1',
  symbol: 'AAPL',
  side: 'buy',
  orderType: 'market',
  quantity: '10',
  ...over,
})

/** Events of trades, without those of the connection and the market. */
export const told = (client: Client): string[] =>
  client.names().filter((name) => /^(trade|portfolio)\./.test(name))
