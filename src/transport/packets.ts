import type { EventEmitter } from 'node:events'
import type { Socket } from 'socket.io'
import type { Clock } from '#runtime'

/**
 * Packets and control frames of one connection in a minute; a client that keeps to its 10 messages
 * a minute needs a fraction of them.
 */
const PACKETS_PER_MINUTE_MAX = 120
const MINUTE_MS = 60_000

type Connection = Socket['conn']
/** The parts of `ws`'s own class that are used here; private to the vendor, as in frames.ts. */
type WebSocket = EventEmitter & { terminate(): void }
type WebSockets = {
  handleUpgrade(
    request: unknown,
    socket: unknown,
    head: unknown,
    done: (socket: WebSocket) => void,
  ): void
}

/**
 * Cuts connections that send more packets than any client needs to. Packets of every kind count,
 * because most of them reach no handler of ours. Control frames of a WebSocket count too, although
 * no packet comes of them; a pong that answers our ping does not count. All connections share the
 * same minutes. Kept are the open connections that sent a packet in this minute, and those that owe
 * a pong.
 */
export class PacketLimit {
  readonly #clock: Clock
  readonly #onFlood: () => void
  readonly #sent = new Map<Connection | WebSocket, number>()
  readonly #pinged = new Set<Connection>()
  readonly #owners = new WeakMap<WebSocket, Connection>()
  #untilMs = 0
  // One listener for all connections, which gets its connection as `this`: a function for each
  // connection would stay in memory with it.
  readonly #onPacket: (this: Connection, packet: Readonly<{ type: string }>) => void
  readonly #onPacketCreate: (this: Connection, packet: Readonly<{ type: string }>) => void
  readonly #onUpgrade: (this: Connection, transport: Readonly<{ socket?: WebSocket }>) => void
  readonly #onClose: (this: Connection) => void
  readonly #onControlFrame: (this: WebSocket) => void

  constructor(clock: Clock, onFlood: () => void) {
    this.#clock = clock
    this.#onFlood = onFlood
    const limit = {
      count: this.#count,
      pinged: this.#pinged,
      sent: this.#sent,
      owners: this.#owners,
    }
    this.#onPacket = function ({ type }) {
      if ((type !== 'pong' || !limit.pinged.delete(this)) && limit.count(this)) this.close(true)
    }
    this.#onPacketCreate = function ({ type }) {
      if (type === 'ping') limit.pinged.add(this)
    }
    this.#onUpgrade = function ({ socket }) {
      if (socket !== undefined) limit.owners.set(socket, this)
    }
    this.#onClose = function () {
      limit.sent.delete(this)
      limit.pinged.delete(this)
    }
    this.#onControlFrame = function () {
      if (limit.count(limit.owners.get(this) ?? this)) this.terminate() // its connection ends too
    }
  }

  /** Watches a connection from its beginning. */
  watch(conn: Connection): void {
    const { transport } = conn as unknown as { transport: Readonly<{ socket?: WebSocket }> }
    this.#onUpgrade.call(conn, transport)
    conn.on('packet', this.#onPacket).on('packetCreate', this.#onPacketCreate)
    conn.on('upgrade', this.#onUpgrade).on('close', this.#onClose)
  }

  /**
   * Watches every WebSocket of the server from its first frame on. That may be long before the
   * WebSocket belongs to a connection.
   */
  watchSockets(sockets: WebSockets): void {
    const handleUpgrade = sockets.handleUpgrade.bind(sockets)
    sockets.handleUpgrade = (request, socket, head, done) =>
      handleUpgrade(request, socket, head, (webSocket) => {
        webSocket.on('ping', this.#onControlFrame).on('pong', this.#onControlFrame)
        done(webSocket)
      })
  }

  /** @returns `true` if the packet is over the limit */
  readonly #count = (sender: Connection | WebSocket): boolean => {
    if (this.#clock.monotonicMs() >= this.#untilMs) {
      this.#sent.clear()
      this.#untilMs = this.#clock.monotonicMs() + MINUTE_MS
    }
    const sent = (this.#sent.get(sender) ?? 0) + 1
    this.#sent.set(sender, sent)
    if (sent === PACKETS_PER_MINUTE_MAX + 1) this.#onFlood()
    return sent > PACKETS_PER_MINUTE_MAX
  }
}
