import { SignJWT } from 'jose'
import type { Redis } from 'ioredis'
import type { LoggedEvent } from '#contract'
import { createStore, type Store } from '#store'
import { type ManagedProcess, startProcess } from '../support/process.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'

const SECRET = 'a secret of at least thirty-two bytes'

/** A relay in a process of its own. */
export type RelayProcess = ManagedProcess & Readonly<{ port: number }>

export const tokenOf = (userId: string): Promise<string> =>
  new SignJWT()
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(userId)
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(SECRET))

/** The n-th event of a user; the payload contains the user and the number. */
const eventOf = (userId: string, n: number): LoggedEvent => ({
  event: 'broker.connected',
  payload: {
    brokerType: 'alpaca',
    brokerConnectionId: `${userId}/${n}`,
    timestamp: '2024-03-15T14:00:00.000Z',
  },
})

/** Redis, relays as processes, and a writer that commits events as a worker does. */
export class Ground implements AsyncDisposable {
  readonly redis: TestRedis
  /** The relays that are up. */
  readonly relays: RelayProcess[] = []
  readonly #store: Store
  readonly #connection: Redis
  readonly #told = new Map<string, Readonly<{ version: string; count: number }>>()

  readonly #env: Readonly<Record<string, string>>

  private constructor(redis: TestRedis, env: Readonly<Record<string, string>>) {
    this.redis = redis
    this.#env = env
    this.#connection = redis.connect()
    this.#store = createStore(this.#connection)
  }

  /** @param env more settings for the processes of the relays */
  static async open(
    relayCount: number,
    env: Readonly<Record<string, string>> = {},
  ): Promise<Ground> {
    const ground = new Ground(await startRedis(), env)
    try {
      for (let n = 0; n < relayCount; n += 1) ground.relays.push(await ground.startRelay())
    } catch (error) {
      await ground[Symbol.asyncDispose]()
      throw error
    }
    return ground
  }

  async startRelay(port = 0): Promise<RelayProcess> {
    const env = {
      REDIS_URL: this.redis.url,
      LISTEN_HOST: '127.0.0.1',
      RELAY_PORT: String(port),
      JWT_HS256_SECRET: SECRET,
      RELAY_CONNECTIONS_PER_ADDRESS: '100000', // all of the clients are here
      LOG_LEVEL: 'info',
      ...this.#env,
    }
    const relay = await startProcess({ entry: 'relay/main.ts', env, ready: /"relay\.ready"/ })
    return { ...relay, port: (JSON.parse(relay.readyLine) as { port: number }).port }
  }

  /** Commits the user's next event. */
  async tell(userId: string): Promise<void> {
    const { version, count } = this.#told.get(userId) ?? { version: '0', count: 0 }
    const events = [eventOf(userId, count + 1)]
    const fence = { kind: 'version' } as const
    const done = await this.#store.commit(userId, {
      expectVersion: version,
      fence,
      writes: [],
      events,
    })
    if (done.kind !== 'committed')
      throw new Error(`an event of ${userId} was not committed: ${done.kind}`)
    this.#told.set(userId, { version: done.version, count: count + 1 })
  }

  countOf(userId: string): number {
    return this.#told.get(userId)?.count ?? 0
  }

  /** The user's log in Redis. */
  async logOf(userId: string): Promise<string[]> {
    const rows = await this.#connection.xrange(`log:{${userId}}`, '-', '+')
    return rows.map(([, fields]) => {
      const payload = JSON.parse(fields[fields.indexOf('d') + 1] ?? '') as {
        brokerConnectionId: string
      }
      return payload.brokerConnectionId
    })
  }

  /** Closes the subscriptions of the relays, as a failing network would. */
  async cutSubscriptions(): Promise<void> {
    await this.#connection.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.relays.map((relay) => relay.kill()))
    await this.redis.stop()
  }
}
