import type { Socket as RawSocket } from 'node:net'
import type { Socket } from 'socket.io'

/**
 * Private parts of engine.io 6.6 and ws 8 (both pinned; tests/relay/frames.test.ts checks them). If
 * one of these parts is missing, the vendor's path serves.
 */
type Inside = Readonly<{
  id: string
  readyState: string
  upgrading: boolean
  writeBuffer: readonly Readonly<{ data?: string }>[]
  transport: Readonly<{
    name: string
    writable: boolean
    closeTimeout?: number
    socket?: Readonly<{ readyState: number; _socket?: RawSocket | null; terminate(): void }>
  }>
  write(data: string, options: Readonly<{ wsPreEncodedFrame: readonly Buffer[] }>): void
}>
type Connection = Socket['conn']
const insideOf = (conn: Connection): Inside => conn as unknown as Inside

const WS_OPEN = 1
/**
 * Bytes that may wait in the operating system's socket. Beyond this the vendor's path takes over,
 * which waits until they are sent.
 */
const DIRECT_BYTES_MAX = 65_536
/** Packets that may wait for a connection. */
const WAITING_PACKETS_MAX = 1_000
/**
 * Bytes that may wait for a connection: more than the largest `state.sync`, so that a request for a
 * `state.sync` never cuts its client.
 */
const WAITING_BYTES_MAX = 4_194_304

/** A packet as the vendor's path takes it, and as the frame that a WebSocket carries. */
export type Frame = Readonly<{ text: string; bytes: Buffer }>

/** A Socket.IO event of the main namespace, without acknowledgement or binary parts. */
export function frameOf(...event: readonly [name: string, ...args: unknown[]]): Frame {
  const text = `2${JSON.stringify(event)}`
  const length = Buffer.byteLength(text) + 1
  // RFC 6455, 5.2: final fragment, text, not masked; the length in 7 bits, or in 16 or 64 after it.
  const start = length < 126 ? 2 : length < 65_536 ? 4 : 10
  const bytes = Buffer.allocUnsafe(start + length)
  bytes[0] = 0x81
  bytes[1] = length < 126 ? length : length < 65_536 ? 126 : 127
  if (start === 4) bytes.writeUInt16BE(length, 2)
  if (start === 10) bytes.writeBigUInt64BE(BigInt(length), 2)
  bytes.write(`4${text}`, start)
  return { text, bytes }
}

/** The id of the Engine.IO session. The id is a capability, so it goes nowhere else. */
export const sessionIdOf = (conn: Connection): string => insideOf(conn).id

/**
 * A polling client fetches the last packet with its next request, which follows its previous one at
 * once.
 */
const POLLING_CLOSE_MS = 5_000

/**
 * Ends a polling connection that its client has left soon after the close. The vendor waits half a
 * minute for one more request of the client; clients that open sessions and then send no request
 * would hold the place of other clients for that time.
 */
export function closeSoon(conn: Connection): void {
  const { transport } = insideOf(conn)
  if (transport.closeTimeout !== undefined)
    Object.assign(transport, { closeTimeout: POLLING_CLOSE_MS })
}

export const packetsWaiting = (conn: Connection): number => insideOf(conn).writeBuffer.length

/**
 * Writes events to clients at low cost. An event is encoded and framed once for all of its
 * receivers. The frames of one turn of the event loop are joined into one write per client. The
 * write goes straight to a WebSocket that is idle; every other connection (polling, upgrading,
 * busy) takes the vendor's own path.
 *
 * Invariants:
 * - Packets arrive in the order in which they were sent, on either path: before the vendor's path
 *   writes a packet, the frames that wait here are released.
 * - The packets and bytes that wait for a connection are bounded. Beyond the bound the connection
 *   is cut, and its client resumes from its last event id.
 */
export class FrameWriter {
  readonly #waiting = new Map<Connection, Frame[]>()
  /** Connections that were cut, and may not be closed yet. */
  readonly #cuts = new WeakSet<Connection>()
  readonly #onCut: () => void
  readonly #onPacket: (this: Connection) => void
  #joined: Readonly<{ frames: readonly Frame[]; bytes: Buffer }> = {
    frames: [],
    bytes: Buffer.alloc(0),
  }

  /** @param onCut called with each connection that was cut because too much waited for it */
  constructor(onCut: () => void) {
    this.#onCut = onCut
    const release = (conn: Connection): void => this.#release(conn)
    this.#onPacket = function () {
      release(this)
    }
  }

  /** To be called once for each connection, before any packet is sent to it. */
  attach(conn: Connection): void {
    conn.on('packetCreate', this.#onPacket)
  }

  /** Sends at the end of this turn, after the packets that were sent before. */
  send(conn: Connection, frame: Frame): void {
    if (this.#waiting.size === 0) queueMicrotask(this.#releaseAll)
    const frames = this.#waiting.get(conn)
    if (frames === undefined) this.#waiting.set(conn, [frame])
    else frames.push(frame)
  }

  /** Cuts a connection for which too many bytes wait; to be called from time to time. */
  inspect(conn: Connection): void {
    const { writeBuffer, transport } = insideOf(conn)
    let bytes = transport.socket?._socket?.writableLength ?? 0
    for (const { data } of writeBuffer) bytes += data?.length ?? 0
    if (bytes > WAITING_BYTES_MAX) this.#cut(conn)
  }

  readonly #releaseAll = (): void => {
    for (const conn of this.#waiting.keys()) this.#release(conn)
  }

  #release(conn: Connection): void {
    const frames = this.#waiting.get(conn)
    if (frames === undefined) return
    this.#waiting.delete(conn)
    const raw = idleSocketOf(insideOf(conn))
    if (raw !== null) raw.write(this.#join(frames))
    else
      for (const { text, bytes } of frames)
        insideOf(conn).write(text, { wsPreEncodedFrame: [bytes] })
    if (packetsWaiting(conn) > WAITING_PACKETS_MAX) this.#cut(conn)
  }

  /**
   * The connections of one room get the same frames in one turn, one after another, so the frames
   * are joined once for all of them.
   */
  #join(frames: readonly Frame[]): Buffer {
    const [first] = frames
    if (first !== undefined && frames.length === 1) return first.bytes
    const { frames: last } = this.#joined
    if (frames.length !== last.length || frames.some((frame, i) => frame !== last[i]))
      this.#joined = { frames, bytes: Buffer.concat(frames.map(({ bytes }) => bytes)) }
    return this.#joined.bytes
  }

  #cut(conn: Connection): void {
    if (this.#cuts.has(conn)) return
    this.#cuts.add(conn)
    this.#onCut()
    const { transport } = insideOf(conn)
    if (transport.socket === undefined) conn.close(true)
    else transport.socket.terminate()
  }
}

/** The socket below a WebSocket that is idle, or `null`. */
function idleSocketOf({ readyState, upgrading, writeBuffer, transport }: Inside): RawSocket | null {
  if (readyState !== 'open' || upgrading || writeBuffer.length > 0) return null
  if (
    transport.name !== 'websocket' ||
    !transport.writable ||
    transport.socket?.readyState !== WS_OPEN
  )
    return null
  const raw = transport.socket._socket
  return raw?.writable === true && raw.writableLength <= DIRECT_BYTES_MAX ? raw : null
}
