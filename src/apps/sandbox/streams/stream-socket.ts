import type { IncomingMessage } from 'node:http'
import type { RawData, WebSocket } from 'ws'
import type { CancelTimer, Clock } from '#runtime'
import { wireClockOf } from '../time.ts'

/**
 * One client socket of any stream: bounded in what it may send and in what waits to be sent,
 * pinged, and closed when it does not authenticate in time.
 */
export interface StreamSocket {
  readonly request: IncomingMessage
  /** The key it authenticated with; empty before. */
  keyId: string
  send(frame: string | Uint8Array, binary: boolean): void
  close(code: number, reason: string): void
  /** Cuts the connection without a word. */
  cut(): void
  /** Stops the authentication deadline. */
  authenticated(keyId: string): void
  /** The authentication deadline starts again: the client may try once more. */
  mayRetry(): void
}

/** What a stream does with its sockets. */
type StreamHandlers = Readonly<{
  onMessage(data: Buffer, binary: boolean): void
  onAuthenticationTimeout(): void
  onClose(): void
  /** The last frame for a reader that is dropped for being slow. Default: none. */
  farewellToSlowReader?(): string | Uint8Array
}>

/** Authentication must come within this time. */
const AUTHENTICATION_MS_MAX = 10_000
/**
 * A reader that leaves this much unread is dropped: slow readers are its problem, not everybody's.
 */
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
    // What is queued goes out as far as it is read; the WebSocket library ends the wait for the
    // closing handshake by itself.
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
  // Protocol errors (bad frames, too large) close the socket by themselves; without a listener they
  // would end the process.
  socket.on('error', () => undefined)
  socket.on('close', () => {
    cancelDeadline()
    cancelPings()
    handlers.onClose()
  })
  return stream
}
