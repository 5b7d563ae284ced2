import { SignJWT, type JWTPayload } from 'jose'
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client'
import { expect } from 'vitest'
import {
  type LoggedEvent,
  type ServerEventName,
  type ServerEventPayload,
  serverEvents,
} from '#contract'
import { type Clock, createLogger, type Logger, systemClock, systemRandomness } from '#runtime'
import { createStoreEpoch, createStore, type Store } from '#store'
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

/** The options of a client; `at`: the URL of another relay, or of a balancer in front. */
type Options = Partial<ManagerOptions & SocketOptions> & { at?: string }

/** The machine's clock, whose wall time a test may move on. */
const movedClock = (): Clock & { aheadMs: number } => {
  const clock = { ...systemClock, aheadMs: 0, now: () => systemClock.now() + clock.aheadMs }
  return clock
}
type MovedClock = ReturnType<typeof movedClock>

function relayOn(
  redis: TestRedis,
  env: Record<string, string>,
  clock: Clock,
  log: Logger,
): Promise<Relay> {
  const config = readRelayConfig({
    REDIS_URL: redis.url,
    LISTEN_HOST: '127.0.0.1',
    RELAY_PORT: '0',
    JWT_HS256_SECRET: SECRET,
    JWT_AUDIENCE: 'fillcast',
    ...env,
  })
  return startRelay(config, { clock, random: systemRandomness, log })
}

const logInto = (lines: string[]): Logger =>
  createLogger('relay', 'trace', { write: (line) => void lines.push(line) })

/** The samples of this metric of a relay, with their labels. */
export async function counted(relay: Relay, name: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${relay.probes.port}/metrics`)).text()
  const line = text.split('\n').find((each) => each.startsWith(`${name} `))
  return Number(line?.split(' ').at(-1) ?? 0)
}

/** A relay on a Redis of its own, and plain clients of it. */
export class Stage implements AsyncDisposable {
  readonly redis: TestRedis
  readonly relay: Relay
  readonly store: Store
  readonly #clients: Socket[] = []
  readonly #others: Relay[] = []
  readonly #versions = new Map<string, string>()

  readonly clock: MovedClock
  /** Everything that its relays have logged. */
  readonly logged: string[]

  private constructor(redis: TestRedis, relay: Relay, clock: MovedClock, logged: string[]) {
    this.redis = redis
    this.relay = relay
    this.clock = clock
    this.logged = logged
    this.store = createStore(redis.connect())
  }

  static async open(env: Record<string, string> = {}): Promise<Stage> {
    const redis = await startRedis()
    await createStoreEpoch(redis.connect(), () => 'the-store').mint()
    const clock = movedClock()
    const logged: string[] = []
    return new Stage(redis, await relayOn(redis, env, clock, logInto(logged)), clock, logged)
  }

  /** One more relay on the same Redis. */
  async another(env: Record<string, string> = {}): Promise<Relay> {
    const relay = await relayOn(this.redis, env, this.clock, logInto(this.logged))
    this.#others.push(relay)
    return relay
  }

  /** Connections that its first relay turned away or cut for one reason. */
  rejected(reason: string): Promise<number> {
    return counted(this.relay, `fillcast_relay_turned_away_total{reason="${reason}"}`)
  }

  connect(options: Options): Client {
    const { at = this.relay.url, ...given } = options
    const socket = io(at, {
      forceNew: true,
      reconnection: false,
      transports: ['websocket'],
      ...given,
    })
    const client: Client = {
      socket,
      heard: [],
      closed: [],
      names: () => client.heard.map(([event]) => event),
    }
    socket.onAny((event: string, ...args: unknown[]) => client.heard.push([event, ...args]))
    socket.on('disconnect', (reason) => client.closed.push(reason))
    socket.on('connect_error', (error) => client.closed.push(error.message))
    this.#clients.push(socket)
    return client
  }

  /** Connects and waits until the relay has authorised it. */
  async authorized(options: Options = {}, sub = 'alice'): Promise<Client> {
    const client = this.connect({ query: { token: await signed({ sub }) }, ...options })
    await expect.poll(() => client.names(), { timeout: 10_000 }).toContain('connection.authorized')
    return client
  }

  /** Commits events to a user's log. */
  async tell(userId: string, ...events: LoggedEvent[]): Promise<string> {
    const expectVersion = this.#versions.get(userId) ?? '0'
    const done = await this.store.commit(userId, {
      expectVersion,
      fence: { kind: 'version' },
      writes: [],
      events,
    })
    if (done.kind !== 'committed') throw new Error(done.kind)
    this.#versions.set(userId, done.version)
    return done.lastEventId
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#clients) socket.disconnect()
    for (const relay of [this.relay, ...this.#others]) await relay[Symbol.asyncDispose]()
    await this.redis.stop()
  }
}

/** The payloads of one event, as its published schema reads them. */
export const payloadsOf = <Name extends ServerEventName>(
  client: Client,
  name: Name,
): ServerEventPayload<Name>[] =>
  client.heard.flatMap(([event, payload]) =>
    event === name ? [serverEvents[name].schema.parse(payload) as ServerEventPayload<Name>] : [],
  )

export const notice = (n: number): LoggedEvent => ({
  event: 'broker.connected',
  payload: {
    brokerType: 'alpaca',
    brokerConnectionId: `b${n}`,
    timestamp: '2024-03-15T14:00:00.000Z',
  },
})

export const numbers = (client: Client): number[] =>
  client.heard.flatMap(([event, payload]) =>
    event === 'broker.connected'
      ? [Number((payload as { brokerConnectionId: string }).brokerConnectionId.slice(1))]
      : [],
  )
