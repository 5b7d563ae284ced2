import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Redis } from 'ioredis'
import { Server, type Socket } from 'socket.io'
import {
  type Clock,
  connectRedis,
  linkTrouble,
  type Logger,
  Metrics,
  type Probes,
  type Randomness,
  redisReady,
  startProbes,
} from '#runtime'
import {
  boundedReader,
  createAssetReader,
  createDemand,
  createEpochReader,
  createMessageRates,
  createQuotes,
  createReader,
  createRelays,
  createSessions,
} from '#store'
import { Addresses, closeSoon, Outage, OwnerRouting, PacketLimit, sessionIdOf } from '#transport'
import { ignore, RoomAdapter } from './adapter.ts'
import { Clients } from './clients.ts'
import { announce, watchedSymbols } from './commands.ts'
import type { RelayConfig } from './config.ts'
import { closeConnection, type RelayNamespace, type RelayServer } from './connection.ts'
import { createRelayMetrics, type RelayContext } from './context.ts'
import { Handshake } from './handshake.ts'

/** A running relay. Disposing it closes its clients with a reason, then the relay itself. */
export type Relay = AsyncDisposable & Readonly<{ port: number; url: string; probes: Probes }>
export type RelayDeps = Readonly<{ clock: Clock; random: Randomness; log: Logger }>

/** Client messages are small; a larger message closes its connection. */
const MESSAGE_BYTES_MAX = 16_384
const UNAUTHENTICATED_MS_MAX = 5_000
const HTTP_TIMES = {
  /**
   * Longer than balancers keep idle connections, so that they never use one that is being closed.
   */
  keepAliveTimeout: 75_000,
  /** From a connection's first moment to the end of a request's headers. */
  headersTimeout: 10_000,
  /** To the end of a request's body: clients send a few kilobytes. */
  requestTimeout: 30_000,
  /** How often Node looks for connections that took longer. */
  connectionsCheckingInterval: 1_000,
}
/** Event logs and states that are read at once, however many clients come back together. */
const READS_MAX = 50
const SWEEP_MS = 1_000
const DEMAND_MS = 10_000
/** How long a stopping relay waits for its clients to receive their last events. */
const LAST_WORDS_MS_MAX = 3_000
const LAST_WORDS_LOOK_MS = 20

/**
 * Connections to Redis: commands on `redis` and `sub` wait for Redis to come back, commands on
 * `prompt` fail at once while Redis is away.
 */
type Links = Readonly<{ redis: Redis; prompt: Redis; sub: Redis }>

export async function startRelay(config: RelayConfig, deps: RelayDeps): Promise<Relay> {
  const { clock, log } = deps
  const links: Links = {
    redis: connectRedis(config.redisUrl, 'patient', log),
    prompt: connectRedis(config.redisUrl, 'prompt', log),
    sub: connectRedis(config.redisUrl, 'subscriber', log),
  }
  await Promise.all(Object.values(links).map((link) => redisReady(link)))
  const metrics = new Metrics(true)
  const context: RelayContext = {
    ...deps,
    metrics: createRelayMetrics(metrics),
    reader: boundedReader(createReader(links.redis), READS_MAX),
    quotes: createQuotes(links.redis),
    assets: createAssetReader(links.prompt),
    demand: createDemand(links.redis, () => clock.now()),
    sessions: createSessions(links.prompt),
    rates: createMessageRates(links.prompt),
    relays: createRelays(links.prompt),
    outage: new Outage(clock, log),
  }
  const relay = new RelayProcess(config, context, links)
  const port = await relay.listen()
  const probes = await startProbes(
    config,
    metrics,
    () => relay.notReady(),
    () => relay.remarks(),
  )
  log.info({ port, probePort: probes.port }, 'relay.ready')
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    probes,
    async [Symbol.asyncDispose]() {
      if (relay.isDraining) return
      await relay.drain()
      await probes[Symbol.asyncDispose]()
      for (const link of Object.values(links)) link.disconnect()
    },
  }
}

class RelayProcess {
  readonly #config: RelayConfig
  readonly #context: RelayContext
  readonly #links: Links
  readonly #http = createServer(HTTP_TIMES, (_request, response) => {
    response.writeHead(404).end()
  })
  readonly #io: RelayServer
  readonly #addresses: Addresses
  readonly #packets: PacketLimit
  readonly #clients: Clients
  readonly #owner: OwnerRouting
  #timers: readonly (() => void)[] = []
  isDraining = false

  constructor(config: RelayConfig, context: RelayContext, links: Links) {
    this.#config = config
    this.#context = context
    this.#links = links
    this.#addresses = new Addresses(config, context.clock)
    const handshake = new Handshake(config, context, this.#addresses)
    const makeAdapter = (namespace: RelayNamespace): RoomAdapter => this.#createAdapter(namespace)
    this.#io = new Server(this.#http, {
      serveClient: false,
      perMessageDeflate: false,
      maxHttpBufferSize: MESSAGE_BYTES_MAX,
      connectTimeout: UNAUTHENTICATED_MS_MAX,
      pingInterval: 25_000,
      pingTimeout: 10_000,
      cors: { origin: [...config.corsOrigins], methods: ['GET', 'POST'] },
      allowRequest: (request, decide) => {
        const objection = handshake.objection(request, this.isDraining)
        decide(objection, objection === null)
      },
      // Called with `new`, so it must not be an arrow function.
      adapter: function (namespace: RelayNamespace) {
        return makeAdapter(namespace)
      } as never,
    })
    const namespace = this.#io.of('/')
    this.#clients = new Clients(
      context,
      namespace,
      namespace.adapter as RoomAdapter,
      handshake.refused,
    )
    this.#packets = new PacketLimit(context.clock, () =>
      context.metrics.rejected.inc({ reason: 'packet_flood' }),
    )
    // Every connection, authenticated or not, is counted by address, and cut when it sends more
    // than any client needs to.
    this.#io.engine.on('connection', (conn: Socket['conn']) => {
      conn.on('close', this.#addresses.hold(conn.request))
      this.#packets.watch(conn)
      closeSoon(conn)
    })
    // Counts TCP connections before any byte is read: a slow request, or one that never comes, is
    // no handshake.
    this.#http.on('connection', (socket) => {
      if (this.#addresses.admitTcp(socket)) return
      context.metrics.rejected.inc({ reason: 'tcp_full' })
      socket.destroy()
    })
    this.#owner = new OwnerRouting({
      ...context,
      onHop: (result) => context.metrics.hops.inc({ result }),
      onColleague: (socket) => this.#addresses.excuseTcp(socket),
      onLeaving: (sessionIds) => this.#drain(sessionIds),
    })
    this.#io.engine.generateId = this.#owner.newSessionId
    this.#owner.attach(this.#http)
    this.#io.use((socket, next) => void handshake.authenticate(socket, next))
    this.#io.on('connection', (socket) => void this.#clients.enter(socket))
  }

  async listen(): Promise<number> {
    const { clock } = this.#context
    const { sub } = this.#links
    this.#links.prompt.on('ready', () => this.#owner.announceAgain())
    // Events that were published while the link was down are in the log. The ping is answered after
    // the rooms are subscribed again.
    sub.on('ready', () => void sub.ping().then(() => this.#clients.checkAll(), ignore))
    await new Promise<void>((resolve, reject) =>
      this.#http.once('error', reject).listen(this.#config.port, this.#config.listenHost, resolve),
    )
    const { port } = this.#http.address() as AddressInfo
    // The vendor makes its WebSocket server anew when the HTTP server begins to listen.
    this.#packets.watchSockets(
      (this.#io.engine as unknown as { ws: Parameters<PacketLimit['watchSockets']>[0] }).ws,
    )
    const stopAnnouncing = await this.#owner.announce(this.#config, port)
    this.#timers = [
      stopAnnouncing,
      clock.every(SWEEP_MS, () => this.#clients.sweep()),
      clock.every(SWEEP_MS, () => this.#addresses.tick()),
      clock.every(SWEEP_MS, () => this.#context.outage.tick()),
      clock.every(DEMAND_MS, () =>
        announce(this.#context, watchedSymbols(this.#io.of('/').adapter.rooms.keys())),
      ),
    ]
    return port
  }

  notReady(): string | undefined {
    if (this.isDraining) return 'draining'
    return linkTrouble(...Object.values(this.#links))
  }

  /**
   * The reasons why clients get no figures now. They do not make the relay unready, because a
   * balancer would then take every relay away: events go on.
   */
  async remarks(): Promise<string[]> {
    const { awaitingFigures } = this.#clients
    const isLost = (await createEpochReader(this.#links.prompt).read()) === null
    return [
      ...(isLost
        ? ['store_lost: no worker has marked the store yet; clients get no state.sync until then']
        : []),
      ...(awaitingFigures > 0
        ? [`account_unread: ${awaitingFigures} connections wait for an account to be read`]
        : []),
    ]
  }

  async drain(): Promise<void> {
    this.isDraining = true
    const { clock } = this.#context
    await Promise.all([this.#clients.drain(), this.#owner.leave()])
    const untilMs = clock.monotonicMs() + LAST_WORDS_MS_MAX
    while (this.#io.engine.clientsCount + this.#owner.tunnels > 0 && clock.monotonicMs() < untilMs)
      await clock.sleep(LAST_WORDS_LOOK_MS)
    for (const stop of this.#timers) stop()
    await this.#owner.retire()
    await this.#close()
  }

  /**
   * Closes the server. Node closes idle connections once, when the closing begins. A kept
   * connection whose last answer comes after that would keep the server open for as long as it may
   * idle.
   */
  async #close(): Promise<void> {
    const { clock } = this.#context
    const untilMs = clock.monotonicMs() + LAST_WORDS_MS_MAX
    const stop = clock.every(LAST_WORDS_LOOK_MS, () => {
      if (clock.monotonicMs() < untilMs) this.#http.closeIdleConnections()
      else this.#http.closeAllConnections()
    })
    await this.#io.close()
    stop()
  }

  /**
   * Closes the connections of these sessions, because their WebSockets lead through a relay that
   * stops. Their clients come back through another relay.
   */
  #drain(sessionIds: ReadonlySet<string>): void {
    const nowMs = this.#context.clock.now()
    for (const socket of this.#io.of('/').sockets.values())
      if (sessionIds.has(sessionIdOf(socket.conn)))
        closeConnection(socket, 'server_shutdown', 'The server is restarting', nowMs)
  }

  #createAdapter(namespace: RelayNamespace): RoomAdapter {
    const { log, metrics } = this.#context
    return new RoomAdapter(namespace, this.#links.redis, this.#links.sub, {
      onLogged: (room, event, payload, meta) => this.#clients.receive(room, event, payload, meta),
      onVolatile: (room, event, payload) => this.#clients.sendVolatile(room, event, payload),
      onNotice: (room) => this.#clients.recheck(room),
      onMalformed: (room) => {
        metrics.malformed.inc()
        log.warn({ room }, 'redis.malformed_message')
      },
    })
  }
}
