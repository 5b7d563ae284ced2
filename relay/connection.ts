import type { DefaultEventsMap, Namespace, Server, Socket } from 'socket.io'
import type {
  CloseReason,
  ConnectionErrorCode,
  EventPosition,
  ServerEventPayload,
  ServerToClientEvents,
  TokenClaims,
} from '#contract'
import { isoTime } from '#runtime'
import type { Greeting } from './greeting.ts'
import type { UserStream } from './user-stream.ts'

/** What the relay knows of one connection. */
export type ConnectionData = {
  /** Told why and closed; in no room. */
  refused?: Readonly<{ code: ConnectionErrorCode; message: string; forMs: number }>
  /** The name under which a refusal of its token is remembered. */
  tokenName?: string
  claims?: TokenClaims
  deviceId?: string
  /** Which of the device's connections this is; see `Sessions`. */
  generation?: string
  /** Asked for event ids. */
  wantsMeta?: boolean
  /** What else it said in its handshake; gone once it is welcome. */
  greeting?: Greeting
  /** Absent before it is welcome, and from the moment on in which it is closed. */
  stream?: UserStream
  /** It was told `connection.authorized`. */
  isAdmitted?: boolean
  /** Our wall time of the next look for missed events; before it is welcome, of giving up on it. */
  checkAtMs?: number
  wasWarned?: boolean
  /** Messages whose count Redis has not answered yet. */
  messagesWaiting?: number
}

export type RelayServer = Server<
  DefaultEventsMap,
  ServerToClientEvents,
  DefaultEventsMap,
  ConnectionData
>
export type RelayNamespace = Namespace<
  DefaultEventsMap,
  ServerToClientEvents,
  DefaultEventsMap,
  ConnectionData
>
export type RelaySocket = Socket<
  DefaultEventsMap,
  ServerToClientEvents,
  DefaultEventsMap,
  ConnectionData
>

/**
 * Emits an event; its place in the log goes to those that asked for ids: clients in some languages
 * fail on a second argument (D5).
 */
export function emitAt<Name extends 'connection.authorized' | 'state.resync' | 'state.sync'>(
  socket: RelaySocket,
  event: Name,
  payload: ServerEventPayload<Name>,
  at: EventPosition | undefined,
): void {
  const args = at !== undefined && socket.data.wantsMeta === true ? [payload, at] : [payload]
  socket.emit(event, ...(args as Parameters<ServerToClientEvents[Name]>))
}

/**
 * After these a plain client must stay away, which it does after a Socket.IO disconnect; a closed
 * transport brings it back (D13).
 */
const STAY_AWAY: ReadonlySet<CloseReason> = new Set(['logout', 'duplicate_connection'])

/** From here on the connection hears nothing of its user, whatever is on its way. */
function silence(socket: RelaySocket): void {
  delete socket.data.stream
  for (const room of socket.rooms) if (room !== socket.id) void socket.leave(room)
}

/** Tells why the connection failed, then closes it; the client comes back with back-off. */
export function refuse(
  socket: RelaySocket,
  error: ConnectionErrorCode,
  message: string,
  nowMs: number,
): void {
  silence(socket)
  socket.emit('connection.error', { error, message, timestamp: isoTime(nowMs) })
  socket.conn.close()
}

/** Says good-bye, then closes. */
export function closeConnection(
  socket: RelaySocket,
  reason: CloseReason,
  message: string,
  nowMs: number,
): void {
  silence(socket)
  socket.emit('connection.closed', { reason, message, timestamp: isoTime(nowMs) })
  if (STAY_AWAY.has(reason)) socket.disconnect(true)
  else socket.conn.close()
}
