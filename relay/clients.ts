import { type RefusedTokens, tokenEndMs } from '#auth'
import { type ConnectionErrorCode, type EventMeta, type EventPosition, userRoom } from '#contract'
import { isoTime } from '#runtime'
import { type Frame, frameOf, FrameWriter, packetsWaiting } from '#transport'
import type { RoomAdapter } from './adapter.ts'
import { commandListener, follow, judgeSymbols } from './commands.ts'
import {
  closeConnection,
  emitAt,
  refuse,
  type RelayNamespace,
  type RelaySocket,
} from './connection.ts'
import type { RelayContext } from './context.ts'
import type { EventSink, Logged } from './event-sink.ts'
import { readGreeting, warningOf } from './greeting.ts'
import { REFUSED_TOKEN_MS, REFUSED_TROUBLE_MS, sessionOf } from './handshake.ts'
import { CHECK_MS_MIN, CHECK_MS_SPREAD, UserStream } from './user-stream.ts'

/** Connections of one user on one relay; a newer connection evicts the oldest one. */
const CONNECTIONS_PER_USER_MAX = 20
/**
 * Messages of one connection that may wait to be counted; more waiting messages are over any limit.
 */
const MESSAGES_WAITING_MAX = 10
/** How long a connection with more waiting messages is rejected. */
const FLOOD_MS = 60_000
/** Share of a limit from which on a client is warned. */
const WARNING_SHARE = 0.8
/** Packets that may wait for a connection before a quote to it is dropped. */
const VOLATILE_WAITING_MAX = 256
/** Packets that wait for a connection before its stream stops reading the log. */
const BEHIND_PACKETS = 64
const TOKEN_WARNING_MS = 300_000
/**
 * The most time from the token to `connection.authorized`; Redis may never answer a request when a
 * link breaks.
 */
const ENTERING_MS_MAX = 5_000
/** A full relay closes all of its connections within five seconds. */
const DRAIN_SLICES = 50
const DRAIN_SLICE_MIN = 20
const DRAIN_SLICE_MS = 100

/**
 * The connections of this relay.
 *
 *   refused: error sent, closed                                   (never in a room)
 *   entering: in its user's room, gated -> welcome: authorized, its stream runs
 *   -> closed: in no room, reason sent, closed
 *
 * Invariants:
 * - A connection that is barred or superseded when it enters is never welcome.
 * - A connection that is barred or superseded later is closed: by the notice on its user's channel,
 *   to which it subscribes before the relay checks the bar, or by the next check, if Redis drops
 *   the notice.
 */
export class Clients {
  readonly #context: RelayContext
  readonly #namespace: RelayNamespace
  readonly #adapter: RoomAdapter
  readonly #refusedTokens: RefusedTokens
  readonly #writer: FrameWriter
  /**
   * One listener for all connections: a function for each connection would stay in memory with it.
   */
  readonly #onCommand: (this: RelaySocket, event: string, ...args: unknown[]) => void
  readonly #onLeave = (): void => this.#context.metrics.connections.dec()
  /** The frames of the event that is being sent. */
  #frames: { of?: Logged; plain?: Frame; withMeta?: Frame } = {}

  constructor(
    context: RelayContext,
    namespace: RelayNamespace,
    adapter: RoomAdapter,
    refusedTokens: RefusedTokens,
  ) {
    this.#context = context
    this.#namespace = namespace
    this.#adapter = adapter
    this.#refusedTokens = refusedTokens
    this.#writer = new FrameWriter(() => context.metrics.rejected.inc({ reason: 'slow' }))
    this.#onCommand = commandListener(context, (socket) => this.#admitMessage(socket))
  }

  /** Admits a connection, or sends the reason why not. */
  async enter(socket: RelaySocket): Promise<void> {
    try {
      await this.#admit(socket)
    } catch (error) {
      this.#context.outage.failed('connection.not_admitted', error)
      this.#refuse(
        socket,
        'INTERNAL_ERROR',
        'The connection failed; try again later',
        REFUSED_TROUBLE_MS,
      )
    }
  }

  async #admit(socket: RelaySocket): Promise<void> {
    const { clock, random, metrics } = this.#context
    const { refused, claims, greeting = readGreeting({}) } = socket.data
    if (refused !== undefined || claims === undefined) {
      const {
        code = 'INTERNAL_ERROR',
        message = 'The connection failed',
        forMs = REFUSED_TROUBLE_MS,
      } = refused ?? {}
      this.#refuse(socket, code, message, forMs)
      return
    }
    const userId = claims.sub
    const { deviceId, symbols, wantsMeta, lastEventId } = greeting
    delete socket.data.greeting
    Object.assign(socket.data, { wantsMeta, ...(deviceId === undefined ? {} : { deviceId }) })
    this.#writer.attach(socket.conn)
    const stream = new UserStream(this.#context, userId, new SocketSink(socket, this.#deliver))
    socket.data.stream = stream
    socket.data.checkAtMs = clock.now() + ENTERING_MS_MAX
    metrics.connections.inc()
    socket.on('disconnect', this.#onLeave)
    socket.onAny(this.#onCommand)
    const room = userRoom(userId)
    await socket.join(room)
    this.#evictOldest(room)
    await this.#adapter.subscribed(room)
    if (deviceId !== undefined)
      socket.data.generation = await this.#context.sessions.enter(userId, deviceId)
    await this.#judge(socket, true)
    if (socket.data.stream === undefined) return
    const { accepted, refused: unknown } = await judgeSymbols(this.#context, symbols)
    const warnings = [...greeting.warnings, ...unknown.map(warningOf)]
    const sessionId = `ws_${random.id(12)}`
    await stream.start(lastEventId, (position) => {
      Object.assign(socket.data, { isAdmitted: true, checkAtMs: this.#nextCheck() })
      const at = position === null ? undefined : { id: position }
      const said = {
        ...(at && { lastEventId: at.id }),
        ...(warnings.length === 0 ? {} : { warnings }),
      }
      emitAt(
        socket,
        'connection.authorized',
        { userId, sessionId, ...said, timestamp: isoTime(clock.now()) },
        at,
      )
    })
    if (accepted.length > 0) await follow(this.#context, socket, accepted)
  }

  /** An event of a user's log. */
  receive(room: string, event: string, payload: unknown, meta: EventMeta): void {
    const { clock, metrics } = this.#context
    metrics.lag.observe(Math.max(0, clock.now() - Number(meta.id.slice(0, 13))) / 1_000)
    const logged = { event, payload, meta }
    for (const socket of this.#in(room)) socket.data.stream?.receive(logged)
  }

  /**
   * Sends an event of a room where only the newest event matters. If too many packets wait for a
   * connection, the event is dropped for it.
   */
  sendVolatile(room: string, event: string, payload: unknown): void {
    const frame = frameOf(event, payload)
    for (const { conn } of this.#in(room))
      if (packetsWaiting(conn) >= VOLATILE_WAITING_MAX) this.#context.metrics.dropped.inc()
      else this.#writer.send(conn, frame)
  }

  /** Number of connections that wait for the figures of an account that was not read yet. */
  get awaitingFigures(): number {
    let count = 0
    for (const { data } of this.#namespace.sockets.values())
      if (data.stream?.awaitsFigures === true) count += 1
    return count
  }

  /** Checks the connections of a room again, because the sessions of the room's user changed. */
  recheck(room: string): void {
    for (const socket of this.#in(room)) this.#look(socket)
  }

  /**
   * Once a second: closes connections whose token ended, and checks the log and the session of the
   * connections that are due.
   */
  sweep(): void {
    const nowMs = this.#context.clock.now()
    const { rooms, sids } = this.#namespace.adapter
    this.#context.metrics.rooms.set(rooms.size - sids.size)
    this.#context.metrics.awaitingFigures.set(this.awaitingFigures)
    for (const socket of this.#namespace.sockets.values()) {
      const { claims, stream, checkAtMs = Infinity, isAdmitted } = socket.data
      if (claims === undefined || stream === undefined) continue
      const leftMs = claims.exp * 1_000 - nowMs
      if (nowMs >= tokenEndMs(claims))
        closeConnection(socket, 'token_expired', 'JWT token expired', nowMs)
      else if (leftMs <= TOKEN_WARNING_MS && socket.data.wasWarned !== true)
        warnOfExpiry(socket, leftMs, nowMs)
      this.#writer.inspect(socket.conn)
      if (checkAtMs > nowMs) continue
      if (isAdmitted !== true)
        this.#refuse(socket, 'INTERNAL_ERROR', 'The connection failed; try again', 0)
      socket.data.checkAtMs = this.#nextCheck()
      void stream.check()
      this.#look(socket)
    }
  }

  /**
   * Checks every stream after the link to Redis was down: events that were published meanwhile are
   * in the log.
   */
  checkAll(): void {
    for (const socket of this.#namespace.sockets.values()) void socket.data.stream?.check()
  }

  /** The relay stops. Its clients are closed in slices, so that the other relays can admit them. */
  async drain(): Promise<void> {
    const { clock } = this.#context
    const slice = Math.max(DRAIN_SLICE_MIN, Math.ceil(this.#namespace.sockets.size / DRAIN_SLICES))
    for (;;) {
      const next = [...this.#namespace.sockets.values()]
        .filter(({ data }) => data.stream !== undefined)
        .slice(0, slice)
      if (next.length === 0) return
      for (const socket of next)
        closeConnection(socket, 'server_shutdown', 'The server is restarting', clock.now())
      await clock.sleep(DRAIN_SLICE_MS)
    }
  }

  #look(socket: RelaySocket): void {
    this.#judge(socket, false).catch((error: unknown) =>
      this.#context.outage.failed('connection.not_checked', error),
    )
  }

  /** Closes a connection whose session ended or whose device connected again. */
  async #judge(socket: RelaySocket, isEntering: boolean): Promise<void> {
    const { claims, deviceId, generation } = socket.data
    if (claims === undefined) return
    const { isBarred, newestGeneration } = await this.#context.sessions.validity(claims, deviceId)
    if (socket.data.stream === undefined) return
    const nowMs = this.#context.clock.now()
    if (isBarred && isEntering)
      this.#refuse(
        socket,
        'AUTHENTICATION_FAILED',
        'The session was logged out; log in again',
        REFUSED_TOKEN_MS,
      )
    else if (isBarred) closeConnection(socket, 'logout', 'User initiated logout', nowMs)
    else if (generation !== undefined && Number(newestGeneration) > Number(generation))
      closeConnection(socket, 'duplicate_connection', 'This device connected again', nowMs)
  }

  /** If a user has too many connections, the oldest are closed. */
  #evictOldest(room: string): void {
    const sockets = this.#in(room)
    for (const socket of sockets.slice(0, Math.max(0, sockets.length - CONNECTIONS_PER_USER_MAX))) {
      this.#context.metrics.rejected.inc({ reason: 'user_full' })
      const message = `More than ${CONNECTIONS_PER_USER_MAX} connections: the oldest was closed`
      closeConnection(socket, 'duplicate_connection', message, this.#context.clock.now())
    }
  }

  /**
   * Counts a message (D14). `false`: the message is over the limit, or its connection is closed.
   */
  async #admitMessage(socket: RelaySocket): Promise<boolean> {
    const { clock, metrics, rates } = this.#context
    const { data } = socket
    if (data.claims === undefined || data.stream === undefined) return false
    const { messagesWaiting = 0 } = data
    if (messagesWaiting >= MESSAGES_WAITING_MAX)
      return this.#refuseFlood(socket, MESSAGES_WAITING_MAX, FLOOD_MS)
    data.messagesWaiting = messagesWaiting + 1
    const count = await rates.count(sessionOf(data.claims))
    data.messagesWaiting -= 1
    if ((data.stream as UserStream | undefined) === undefined) return false
    const { limit, current, resetInMs, isFallback } = count
    if (isFallback) metrics.fallbacks.inc()
    if (count.isOver) return this.#refuseFlood(socket, limit, resetInMs)
    if (current >= limit * WARNING_SHARE) {
      const message = `Approaching rate limit: ${current}/${limit} messages per minute`
      const resetAt = isoTime(clock.now() + resetInMs)
      socket.emit('error.rateLimitWarning', {
        limit,
        current,
        resetAt,
        message,
        timestamp: isoTime(clock.now()),
      })
    }
    return true
  }

  #refuseFlood(socket: RelaySocket, limit: number, forMs: number): false {
    const message = `More than ${limit} messages a minute: closed for ${Math.ceil(forMs / 1_000)} seconds`
    this.#refuse(socket, 'RATE_LIMIT_EXCEEDED', message, forMs)
    return false
  }

  /** @param forMs how long the token is refused from now on without being verified */
  #refuse(socket: RelaySocket, code: ConnectionErrorCode, message: string, forMs: number): void {
    this.#context.metrics.rejected.inc({ reason: code })
    const { tokenName } = socket.data
    if (tokenName !== undefined) this.#refusedTokens.add(tokenName, forMs)
    refuse(socket, code, message, this.#context.clock.now())
  }

  readonly #deliver = ({ conn, data }: RelaySocket, logged: Logged, isPlace: boolean): void => {
    this.#context.metrics.deliveries.inc()
    this.#writer.send(conn, this.#frameOf(logged, isPlace && data.wantsMeta === true))
  }

  /**
   * Clients in some languages fail on a second argument: only clients that asked for event ids get
   * it (D5). The frame of each kind is built once.
   */
  #frameOf(logged: Logged, withMeta: boolean): Frame {
    if (this.#frames.of !== logged) this.#frames = { of: logged }
    const { event, payload, meta } = logged
    return withMeta
      ? (this.#frames.withMeta ??= frameOf(event, payload, meta))
      : (this.#frames.plain ??= frameOf(event, payload))
  }

  #in(room: string): readonly RelaySocket[] {
    const sockets: RelaySocket[] = []
    for (const id of this.#namespace.adapter.rooms.get(room) ?? []) {
      const socket = this.#namespace.sockets.get(id)
      if (socket !== undefined) sockets.push(socket)
    }
    return sockets
  }

  #nextCheck(): number {
    return (
      this.#context.clock.now() + CHECK_MS_MIN + this.#context.random.fraction() * CHECK_MS_SPREAD
    )
  }
}

type Deliver = (socket: RelaySocket, logged: Logged, isPlace: boolean) => void

/** One connection, as the sink of a user's stream. */
class SocketSink implements EventSink {
  readonly #socket: RelaySocket
  readonly #deliver: Deliver

  constructor(socket: RelaySocket, deliver: Deliver) {
    this.#socket = socket
    this.#deliver = deliver
  }

  isOpen(): boolean {
    const { connected, conn, data } = this.#socket
    return connected && conn.readyState === 'open' && data.stream !== undefined
  }

  isBehind(): boolean {
    return packetsWaiting(this.#socket.conn) >= BEHIND_PACKETS
  }

  tell(event: 'state.resync' | 'state.sync', payload: object, at?: EventPosition): void {
    emitAt(this.#socket, event, payload as never, at)
  }

  deliver(logged: Logged, isPlace: boolean): void {
    this.#deliver(this.#socket, logged, isPlace)
  }
}

function warnOfExpiry(socket: RelaySocket, leftMs: number, nowMs: number): void {
  socket.data.wasWarned = true
  const expiresIn = Math.max(1, Math.round(leftMs / 1_000))
  const [count, unit] =
    expiresIn < 60 ? [expiresIn, 'second'] : [Math.round(expiresIn / 60), 'minute']
  const message = `Token expires in ${count} ${unit}${count === 1 ? '' : 's'}`
  socket.emit('token.expiring', { expiresIn, message, timestamp: isoTime(nowMs) })
}
