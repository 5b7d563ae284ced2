import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { pino } from 'pino'
import { createProducer, type Producer } from '#producer'
import type { Ledger } from '#sandbox'
import { type Randomness, createRandomness } from '../../src/apps/sandbox/randomness.ts'
import { type ManagedProcess, startProcess, startSandboxProcess } from './process.ts'
import { startRedis, type TestRedis } from './redis.ts'

const VAULT = Buffer.alloc(32, 7)
const ADOPTED_MS_MAX = 60_000
const RESTART_MS_MAX = 1_500

export const userOf = (index: number): string => `user${index}`
export const connectionOf = (userId: string): string => `broker_${userId}`
/** The key of a user's account at the sandbox. */
export const keyOf = (index: number): string => `key-${index}`

export type GroundOptions = Readonly<{
  seed: string
  /** Each with one broker account. */
  users: number
  workers: number
  /** More of the sandbox's command line. */
  sandboxArgs?: readonly string[]
  /** How its Redis is started. Default: it keeps nothing on disk. */
  redis?: Parameters<typeof startRedis>[0]
}>

/**
 * The execution side as processes: real Redis, the sandbox as a process, workers that can be
 * killed, and a producer.
 */
export class Ground implements AsyncDisposable {
  readonly redis: TestRedis
  readonly producer: Producer
  readonly users: readonly string[]
  kills = 0
  /**
   * How often a worker found a holding that no execution and no activity of the broker explains.
   */
  drifts = 0
  readonly #sandbox: ManagedProcess & { url: string }
  readonly #workers: (ManagedProcess | null)[] = []
  readonly #randomness: Randomness
  readonly #folder: string

  private constructor(
    options: GroundOptions,
    redis: TestRedis,
    sandbox: ManagedProcess & { url: string },
    producer: Producer,
    folder: string,
  ) {
    this.redis = redis
    this.#sandbox = sandbox
    this.producer = producer
    this.#folder = folder
    this.users = Array.from({ length: options.users }, (_, index) => userOf(index))
    this.#randomness = createRandomness(`${options.seed}/kills`)
  }

  static async open(options: GroundOptions): Promise<Ground> {
    const folder = mkdtempSync(join(tmpdir(), 'fillcast-ground-'))
    const accounts = join(folder, 'accounts.json')
    const keys = Array.from({ length: options.users }, (_, n) => ({
      keyId: keyOf(n),
      secret: `secret-${n}`,
      cash: '10000000',
    }))
    writeFileSync(accounts, JSON.stringify(keys))
    const redis = await startRedis(options.redis)
    const sandbox = await startSandboxProcess([
      '--port',
      '0',
      '--seed',
      options.seed,
      '--accounts',
      accounts,
      ...(options.sandboxArgs ?? []),
    ])
    const vaultKeys = [{ kid: 't', key: new Uint8Array(VAULT) }]
    const producer = await createProducer({
      redisUrl: redis.url,
      vaultKeys,
      log: pino({ level: 'silent' }),
    })
    const ground = new Ground(options, redis, sandbox, producer, folder)
    for (let index = 0; index < options.workers; index += 1)
      ground.#workers.push(await ground.#startWorker())
    for (const [n, userId] of ground.users.entries()) {
      const credentials = { keyId: keyOf(n), secretKey: `secret-${n}` }
      await producer.connections.connect({
        userId,
        connectionId: connectionOf(userId),
        env: 'sandbox',
        credentials,
      })
    }
    await ground.#adopted()
    return ground
  }

  #startWorker(): Promise<ManagedProcess> {
    return startProcess({
      entry: 'workers/main.ts',
      env: {
        REDIS_URL: this.redis.url,
        LISTEN_HOST: '127.0.0.1',
        LOG_LEVEL: 'info',
        VAULT_KEYS: `t:${VAULT.toString('base64')}`,
        WORKER_ROLES: 'orders,streams,connections',
        ALPACA_ENV: 'sandbox',
        ALPACA_SANDBOX_URL: this.#sandbox.url,
      },
      ready: /workers\.ready/,
      onLine: (line) => {
        if (line.includes('unexplained_drift')) this.drifts += 1
      },
    })
  }

  /** Every account has been read once: from then on orders are sent at once. */
  async #adopted(): Promise<void> {
    const connection = this.redis.connect()
    const deadlineMs = performance.now() + ADOPTED_MS_MAX
    for (const userId of this.users) {
      while (
        (await connection.hexists(`state:{${userId}}`, `account:${connectionOf(userId)}`)) === 0
      ) {
        if (performance.now() > deadlineMs)
          throw new Error(`the account of ${userId} was not read in time`)
        await pause(20)
      }
    }
  }

  /** Kills one worker, as a crash would, and starts another in its place a moment later. */
  async killOne(): Promise<void> {
    const index = this.#randomness.integer(0, this.#workers.length - 1)
    const worker = this.#workers[index]
    if (worker == null) return
    this.#workers[index] = null
    await worker.kill()
    this.kills += 1
    await pause(this.#randomness.integer(0, RESTART_MS_MAX))
    this.#workers[index] = await this.#startWorker()
  }

  /** Share of requests and stream events that fail by chance. */
  async setFaults(share: number): Promise<void> {
    await this.control('POST', 'faults/share', { share })
  }

  async ledger(): Promise<Ledger> {
    return (await this.control('GET', 'ledger')) as Ledger
  }

  /** An order placed in the broker's own app, past everything of ours. */
  async placeElsewhere(index: number, order: Readonly<Record<string, string>>): Promise<void> {
    const headers = {
      'content-type': 'application/json',
      'apca-api-key-id': keyOf(index),
      'apca-api-secret-key': `secret-${index}`,
    }
    const answer = await fetch(`${this.#sandbox.url}/v2/orders`, {
      method: 'POST',
      headers,
      body: JSON.stringify(order),
    })
    await answer.body?.cancel()
    if (!answer.ok) throw new Error(`the sandbox refused an order with ${answer.status}`)
  }

  /** A command to the sandbox, below `/_sandbox/`. */
  async control(method: 'GET' | 'POST' | 'DELETE', path: string, body?: object): Promise<unknown> {
    const answer = await fetch(`${this.#sandbox.url}/_sandbox/${path}`, {
      method,
      ...(body === undefined
        ? {}
        : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    })
    if (!answer.ok) throw new Error(`the sandbox answered ${path} with ${answer.status}`)
    const told = await answer.text()
    return told === '' ? null : JSON.parse(told)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.producer[Symbol.asyncDispose]()
    await Promise.allSettled(this.#workers.map(async (worker) => worker?.stop()))
    await this.#sandbox.stop()
    await this.redis.stop()
    rmSync(this.#folder, { recursive: true })
  }
}
