import type { IncomingMessage } from 'node:http'
import type { RawData, WebSocket } from 'ws'
import type { CancelTimer, Clock } from '#runtime'
import { wireClockOf } from '../time.ts'

/**
 * One client socket of any stream. The size of its messages and of its unsent data is bounded; it
 * is pinged, and closed if it does not authenticate in time.
 */
export interface StreamSocket {
  readonly request: IncomingMessage
  /** The key of the authentication; empty before it. */
  keyId: string
  send(frame: string | Uint8Array, binary: boolean): void
  close(code: number, reason: string): void
  /** Cuts the connection without a closing handshake. */
  cut(): void
  /** Stops the authentication deadline. */
  authenticated(keyId: string): void
  /** Restarts the authentication deadline, for another attempt. */
  mayRetry(): void
}

/** The stream's handlers for one socket. */
type StreamHandlers = Readonly<{
  onMessage(data: Buffer, binary: boolean): void
  onAuthenticationTimeout(): void
  onClose(): void
  /** The last frame for a reader that is dropped for being slow. Default: none. */
  farewellToSlowReader?(): string | Uint8Array
}>

/** Deadline of the authentication. */
const AUTHENTICATION_MS_MAX = 10_000
/** A reader with more unsent data is dropped, so slow readers do not affect other readers. */
const BUFFERED_BYTES_MAX = 4 * 1024 * 1024
const PING_INTERVAL_MS = 20_000

const toBuffer = (data: RawData): Buffer =>
  Buffer.isBuffer(data) ? data : Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data)

/** @param makeHandlers called once, at once; it may already send */
export function openStreamSocket(
  socket: WebSocket,
  request: IncomingMessage,
  clock: Clock,
  makeHandlers: (stream: StreamSocket) => StreamHandlers,
): StreamSocket {
  let alive = true
  const stream: StreamSocket = {
    request,
    keyId: '',
    send(frame, binary) {
      if (socket.readyState !== socket.OPEN) return
      if (socket.bufferedAmount > BUFFERED_BYTES_MAX) dropSlowReader()
      else socket.send(frame, { binary })
    },
    close: (code, reason) => socket.close(code, reason),
    cut: () => socket.terminate(),
    authenticated(keyId) {
      stream.keyId = keyId
      cancelDeadline()
    },
    mayRetry() {
      cancelDeadline()
      cancelDeadline = startDeadline()
    },
  }
  const startDeadline = (): CancelTimer =>
    wireClockOf(clock).after(AUTHENTICATION_MS_MAX, () => handlers.onAuthenticationTimeout())
  let cancelDeadline = startDeadline()
  const dropSlowReader = (): void => {
    const farewell = handlers.farewellToSlowReader?.()
    if (farewell === undefined) return socket.terminate()
    // The queued data is sent as far as the client reads it; the WebSocket library itself limits
    // the wait for the closing handshake.
    socket.send(farewell)
    socket.close(1008, 'slow client')
  }
  const cancelPings = wireClockOf(clock).every(PING_INTERVAL_MS, () => {
    if (!alive) socket.terminate()
    else if (socket.readyState === socket.OPEN) socket.ping()
    alive = false
  })
  const handlers = makeHandlers(stream)
  socket.on('pong', () => (alive = true))
  socket.on('message', (data, binary) => {
    alive = true
    handlers.onMessage(toBuffer(data), binary)
  })
  // The socket closes itself after a protocol error (bad frame, too large). Without a listener the
  // error would end the process.
  socket.on('error', () => undefined)
  socket.on('close', () => {
    cancelDeadline()
    cancelPings()
    handlers.onClose()
  })
  return stream
}
