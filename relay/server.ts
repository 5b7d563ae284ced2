import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Namespace } from 'socket.io'
import { type DefaultEventsMap, Server } from 'socket.io'
import { type ServerEventName, type ServerEventPayload, type ServerToClientEvents, userRoom } from '#contract'
import {
  type Clock,
  connectRedis,
  isoTime,
  type Logger,
  Metrics,
  type Probes,
  type Randomness,
  redisReady,
  startProbes,
} from '#runtime'
import { createDemand, createQuotes, createReader, type Demand, type Quotes, type Reader } from '#store'
import { RoomAdapter } from './adapter.ts'
import { answerCommands, watchedSymbols } from './commands.ts'
import type { RelayConfig } from './config.ts'
import { closeConnection, type ConnectionData, refuse, type RelaySocket } from './connection.ts'
import { createVerifier, RefusedTokens, TokenError, type Verify } from './token.ts'
import { type Outlet, UserStream } from './user-stream.ts'

/** A running relay. Disposing it says good-bye to its clients and closes. */
export type Relay = AsyncDisposable & Readonly<{ port: number; url: string; probes: Probes }>
export type RelayDeps = Readonly<{ clock: Clock; random: Randomness; log: Logger }>

type RelayServer = Server<DefaultEventsMap, ServerToClientEvents, DefaultEventsMap, ConnectionData>

/** Client messages are small; a larger one closes its connection. */
const MESSAGE_BYTES_MAX = 16_384
const UNAUTHENTICATED_MS_MAX = 5_000
/** How long a refused token is turned away unread. */
const REFUSED_TOKEN_MS = 60_000
const REFUSED_TROUBLE_MS = 10_000
/** Packets that wait for a connection; a quote does not join a longer line. */
const VOLATILE_WAITING_MAX = 256
const TOKEN_WARNING_MS = 300_000
const CHECK_MS_MIN = 20_000
const CHECK_MS_SPREAD = 10_000
const SWEEP_MS = 1_000
const DEMAND_MS = 10_000

export async function startRelay(config: RelayConfig, deps: RelayDeps): Promise<Relay> {
  const { clock, log } = deps
  const redis = connectRedis(config.redisUrl, 'patient', log)
  const sub = connectRedis(config.redisUrl, 'patient', log)
  await Promise.all([redisReady(redis), redisReady(sub)])
  const relay = new RelayProcess(config, deps, {
    reader: createReader(redis),
    quotes: createQuotes(redis),
    demand: createDemand(redis, () => clock.now()),
    pub: redis,
    sub,
  })
  return relay.start()
}

type Doors = Readonly<{
  reader: Reader
  quotes: Quotes
  demand: Demand
  pub: ReturnType<typeof connectRedis>
  sub: ReturnType<typeof connectRedis>
}>

class RelayProcess {
  readonly #config: RelayConfig
  readonly #deps: RelayDeps
  readonly #doors: Doors
  readonly #verify: Verify
  readonly #refused: RefusedTokens
  readonly #metrics = new Metrics(true)
  readonly #delivered = this.#metrics.counter('fillcast_relay_deliveries_total', 'Logged events sent to connections')
  readonly #dropped = this.#metrics.counter(
    'fillcast_relay_volatile_dropped_total',
    'Quotes not sent to slow connections',
  )
  readonly #malformed = this.#metrics.counter('fillcast_relay_malformed_total', 'Messages on Redis that are no packet')
  readonly #refusals = this.#metrics.counter('fillcast_relay_refused_total', 'Connections refused, by error', ['error'])
  readonly #connections = this.#metrics.gauge('fillcast_relay_connections', 'Authenticated connections')
  readonly #http = createServer((_request, response) => void response.writeHead(404).end())
  readonly #io: RelayServer
  #adapter: RoomAdapter | null = null
  #isDraining = false

  constructor(config: RelayConfig, deps: RelayDeps, doors: Doors) {
    this.#config = config
    this.#deps = deps
    this.#doors = doors
    this.#verify = createVerifier(config, () => deps.clock.now())
    this.#refused = new RefusedTokens(() => deps.clock.now())
    const makeAdapter = (namespace: Namespace): RoomAdapter => (this.#adapter = this.#createAdapter(namespace))
    this.#io = new Server(this.#http, {
      serveClient: false,
      perMessageDeflate: false,
      maxHttpBufferSize: MESSAGE_BYTES_MAX,
      connectTimeout: UNAUTHENTICATED_MS_MAX,
      pingInterval: 25_000,
      pingTimeout: 20_000,
      cors: { origin: [...config.corsOrigins], methods: ['GET', 'POST'] },
      allowRequest: (request, decide) => decide(null, this.#mayConnect(request)),
      // Called with `new`, so it must not be an arrow function.
      adapter: function (namespace: Namespace) {
        return makeAdapter(namespace)
      } as never,
    })
  }

  async start(): Promise<Relay> {
    const { clock, log } = this.#deps
    const { sub, pub, demand } = this.#doors
    this.#io.use((socket, next) => void this.#authenticate(socket, next))
    this.#io.on('connection', (socket) => void this.#welcome(socket))
    // What was published while the link was down is in the log. The ping is answered after the rooms are subscribed again.
    sub.on(
      'ready',
      () =>
        void sub.ping().then(
          () => this.#checkAll(),
          () => {},
        ),
    )
    const announce = (): void => {
      const symbols = watchedSymbols(this.#io.of('/').adapter.rooms.keys())
      demand.announce(symbols).catch((error: unknown) => log.warn({ error }, 'demand.not_announced'))
    }
    const timers = [clock.every(SWEEP_MS, () => this.#sweep()), clock.every(DEMAND_MS, announce)]
    await new Promise<void>((resolve, reject) =>
      this.#http.once('error', reject).listen(this.#config.port, this.#config.listenHost, resolve),
    )
    const { port } = this.#http.address() as AddressInfo
    const probes = await startProbes(this.#config, this.#metrics, () =>
      this.#isDraining ? 'draining' : sub.status === 'ready' && pub.status === 'ready' ? undefined : 'Redis is away',
    )
    log.info({ port, probePort: probes.port }, 'relay.ready')
    return {
      port,
      url: `http://127.0.0.1:${port}`,
      probes,
      [Symbol.asyncDispose]: async () => {
        if (this.#isDraining) return
        for (const stop of timers) stop()
        await this.#drain()
        await probes[Symbol.asyncDispose]()
        pub.disconnect()
        sub.disconnect()
      },
    }
  }

  #createAdapter(namespace: Namespace): RoomAdapter {
    return new RoomAdapter(namespace, this.#doors.pub, this.#doors.sub, {
      onLogged: (room, event, payload, meta) => {
        for (const id of namespace.adapter.rooms.get(room) ?? []) {
          const socket = namespace.sockets.get(id) as RelaySocket | undefined
          socket?.data.stream?.receive(event, payload, meta)
        }
      },
      onVolatile: (room, event, payload) => {
        for (const id of namespace.adapter.rooms.get(room) ?? [])
          this.#sendVolatile(namespace.sockets.get(id), event, payload)
      },
      onMalformed: (room) => {
        this.#malformed.inc()
        this.#deps.log.warn({ room }, 'redis.malformed_message')
      },
    })
  }

  /** Dropped where the connection is behind already. Socket.IO's own volatile packets would lose all but the first of a turn. */
  #sendVolatile(socket: RelaySocket | undefined, event: string, payload: unknown): void {
    if (socket === undefined) return
    const { writeBuffer } = socket.conn as unknown as { writeBuffer: readonly unknown[] }
    if (writeBuffer.length < VOLATILE_WAITING_MAX) socket.emit(event as ServerEventName, payload as never)
    else this.#dropped.inc()
  }

  /** Cheap checks before anything is kept: draining, a foreign page, a token that was refused a moment ago. */
  #mayConnect(request: IncomingMessage): boolean {
    const { origin } = request.headers
    if (this.#isDraining || (origin !== undefined && !this.#config.corsOrigins.includes(origin))) return false
    const token = new URL(request.url ?? '/', 'http://relay').searchParams.get('token')
    return token === null || !this.#refused.has(token)
  }

  /** Everybody is let through to be told; only who was verified joins a room. */
  async #authenticate(socket: RelaySocket, next: (error?: Error) => void): Promise<void> {
    const { auth, query } = socket.handshake
    const token = [auth['token'] as unknown, query['token']].find(
      (given) => typeof given === 'string' && given !== '',
    ) as string | undefined
    if (token !== undefined && this.#refused.has(token)) {
      socket.conn.once('close', () => next(new Error('refused'))) // no answer before: the connect timeout closes it (D13)
      return
    }
    socket.data.wantsMeta = 'lastEventId' in auth
    socket.data.lastEventId = auth['lastEventId'] as unknown
    try {
      socket.data.claims = await this.#verify(token)
    } catch (error) {
      const refused =
        error instanceof TokenError ? error : new TokenError('INTERNAL_ERROR', 'The connection failed; try again later')
      socket.data.refused = refused
      this.#refusals.inc({ error: refused.code })
      if (token !== undefined)
        this.#refused.add(token, refused.code === 'AUTHENTICATION_FAILED' ? REFUSED_TOKEN_MS : REFUSED_TROUBLE_MS)
      this.#deps.log.info({ code: refused.code, reason: refused.message }, 'connection.refused')
    }
    forgetSecrets(socket)
    next()
  }

  async #welcome(socket: RelaySocket): Promise<void> {
    const { clock, random, log } = this.#deps
    const { refused, claims } = socket.data
    if (refused !== undefined || claims === undefined) {
      refuse(socket, refused?.code ?? 'INTERNAL_ERROR', refused?.message ?? 'The connection failed', clock.now())
      return
    }
    const userId = claims.sub
    const stream = new UserStream({ reader: this.#doors.reader, clock, log }, userId, this.#outletOf(socket))
    socket.data.stream = stream
    socket.data.checkAtMs = this.#nextCheck()
    this.#connections.inc()
    socket.on('disconnect', () => this.#connections.dec())
    answerCommands({ quotes: this.#doors.quotes, onWatched: (symbols) => this.#watch(symbols) }, socket, (error) =>
      log.warn({ error }, 'command.failed'),
    )
    const room = userRoom(userId)
    await socket.join(room)
    await this.#adapter?.subscribed(room)
    const sessionId = `ws_${random.id(12)}`
    await stream.start(socket.data.lastEventId, (lastEventId) => {
      socket.emit('connection.authorized', { userId, sessionId, lastEventId, timestamp: isoTime(clock.now()) })
    })
  }

  #outletOf(socket: RelaySocket): Outlet {
    return {
      isOpen: () => socket.connected && socket.conn.readyState === 'open',
      send: (name, payload, meta) => {
        const event = name as ServerEventName
        const told = payload as ServerEventPayload<ServerEventName> as never
        if (meta !== undefined) this.#delivered.inc()
        // Clients in some languages fail on a second argument: it goes only to those that asked for it (D5).
        if (meta !== undefined && socket.data.wantsMeta) socket.emit(event, told, meta)
        else socket.emit(event, told)
      },
    }
  }

  #watch(symbols: readonly string[]): void {
    this.#doors.demand
      .announce(symbols)
      .catch((error: unknown) => this.#deps.log.warn({ error }, 'demand.not_announced'))
  }

  /** Expiring tokens, and connections that are due for a look at the log. */
  #sweep(): void {
    const nowMs = this.#deps.clock.now()
    for (const socket of this.#sockets()) {
      const { claims, stream, checkAtMs = nowMs } = socket.data
      if (claims === undefined || stream === undefined) continue
      const leftMs = claims.exp * 1_000 - nowMs
      if (leftMs <= 0) closeConnection(socket, 'token_expired', 'JWT token expired', nowMs)
      else if (leftMs <= TOKEN_WARNING_MS && socket.data.wasWarned !== true) warnOfExpiry(socket, leftMs, nowMs)
      if (checkAtMs > nowMs) continue
      socket.data.checkAtMs = this.#nextCheck()
      void stream.check()
    }
  }

  #checkAll(): void {
    for (const socket of this.#sockets()) void socket.data.stream?.check()
  }

  #sockets(): Iterable<RelaySocket> {
    return this.#io.of('/').sockets.values() as Iterable<RelaySocket>
  }

  #nextCheck(): number {
    return this.#deps.clock.now() + CHECK_MS_MIN + this.#deps.random.fraction() * CHECK_MS_SPREAD
  }

  async #drain(): Promise<void> {
    this.#isDraining = true
    const nowMs = this.#deps.clock.now()
    for (const socket of this.#sockets()) closeConnection(socket, 'server_shutdown', 'The server is restarting', nowMs)
    await this.#io.close()
  }
}

function warnOfExpiry(socket: RelaySocket, leftMs: number, nowMs: number): void {
  socket.data.wasWarned = true
  const expiresIn = Math.max(1, Math.round(leftMs / 1_000))
  const minutes = Math.max(1, Math.round(expiresIn / 60))
  const message = `Token expires in ${minutes} minute${minutes === 1 ? '' : 's'}`
  socket.emit('token.expiring', { expiresIn, message, timestamp: isoTime(nowMs) })
}

/** Once it has served, the token is nowhere: not in the handshake, not in its URL, not in a header. */
function forgetSecrets({ handshake }: RelaySocket): void {
  delete handshake.query['token']
  handshake.auth = {}
  handshake.url = ''
  delete handshake.headers.authorization
  delete handshake.headers.cookie
}
