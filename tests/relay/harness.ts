import { SignJWT, type JWTPayload } from 'jose'
import { pino } from 'pino'
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client'
import { expect } from 'vitest'
import type { LoggedEvent } from '#contract'
import { systemClock, systemRandomness } from '#runtime'
import { createStore, type Store } from '#store'
import { readRelayConfig } from '../../relay/config.ts'
import { type Relay, startRelay } from '../../relay/server.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'

export const SECRET = 'a secret of at least thirty-two bytes'
export const signed = (claims: JWTPayload = {}, secret = SECRET): Promise<string> =>
  new SignJWT({ aud: 'fillcast', ...claims })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(claims.sub ?? 'alice')
    .setExpirationTime(claims.exp ?? '1h')
    .sign(new TextEncoder().encode(secret))

/** One received event: its name and all of its arguments. */
export type Heard = readonly [event: string, ...args: unknown[]]
export type Client = { socket: Socket; heard: Heard[]; names(): string[]; closed: string[] }

/** A relay on a Redis of its own, and plain clients of it. */
export class Stage implements AsyncDisposable {
  readonly redis: TestRedis
  readonly relay: Relay
  readonly store: Store
  readonly #clients: Socket[] = []
  readonly #versions = new Map<string, string>()

  private constructor(redis: TestRedis, relay: Relay) {
    this.redis = redis
    this.relay = relay
    this.store = createStore(redis.connect())
  }

  static async open(env: Record<string, string> = {}): Promise<Stage> {
    const redis = await startRedis()
    const config = readRelayConfig({
      REDIS_URL: redis.url,
      LISTEN_HOST: '127.0.0.1',
      RELAY_PORT: '0',
      JWT_HS256_SECRET: SECRET,
      JWT_AUDIENCE: 'fillcast',
      ...env,
    })
    const deps = { clock: systemClock, random: systemRandomness, log: pino({ level: 'silent' }) }
    return new Stage(redis, await startRelay(config, deps))
  }

  connect(options: Partial<ManagerOptions & SocketOptions>): Client {
    const socket = io(this.relay.url, { forceNew: true, reconnection: false, transports: ['websocket'], ...options })
    const client: Client = { socket, heard: [], closed: [], names: () => client.heard.map(([event]) => event) }
    socket.onAny((event: string, ...args: unknown[]) => client.heard.push([event, ...args]))
    socket.on('disconnect', (reason) => client.closed.push(reason))
    socket.on('connect_error', (error) => client.closed.push(error.message))
    this.#clients.push(socket)
    return client
  }

  /** Connects and waits until the relay has authorised it. */
  async authorized(options: Partial<ManagerOptions & SocketOptions> = {}, sub = 'alice'): Promise<Client> {
    const client = this.connect({ query: { token: await signed({ sub }) }, ...options })
    await expect.poll(() => client.names(), { timeout: 10_000 }).toContain('connection.authorized')
    return client
  }

  /** Commits events to a user's log. */
  async tell(userId: string, ...events: LoggedEvent[]): Promise<string> {
    const expectVersion = this.#versions.get(userId) ?? '0'
    const done = await this.store.commit(userId, { expectVersion, fence: { kind: 'version' }, writes: [], events })
    if (done.kind !== 'committed') throw new Error(done.kind)
    this.#versions.set(userId, done.version)
    return done.lastEventId
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#clients) socket.disconnect()
    await this.relay[Symbol.asyncDispose]()
    await this.redis.stop()
  }
}

export const notice = (n: number): LoggedEvent => ({
  event: 'broker.connected',
  payload: { brokerType: 'alpaca', brokerConnectionId: `b${n}`, timestamp: '2024-03-15T14:00:00.000Z' },
})

export const numbers = (client: Client): number[] =>
  client.heard.flatMap(([event, payload]) =>
    event === 'broker.connected'
      ? [Number((payload as { brokerConnectionId: string }).brokerConnectionId.slice(1))]
      : [],
  )
