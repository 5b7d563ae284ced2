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

/** The data that the relay keeps of one connection. */
export type ConnectionData = {
  /** The reason why the connection was refused and closed; it is in no room. */
  refused?: Readonly<{ code: ConnectionErrorCode; message: string; forMs: number }>
  /** The name under which a refusal of the connection's token is remembered. */
  tokenName?: string
  claims?: TokenClaims
  deviceId?: string
  /** The number of this connection among those of its device; see `Sessions`. */
  generation?: string
  /** The client asked for event ids. */
  wantsMeta?: boolean
  /** The further fields of the handshake; deleted once the connection is welcome. */
  greeting?: Greeting
  /** Absent before the connection is welcome, and from the moment in which it is closed. */
  stream?: UserStream
  /** The connection was sent `connection.authorized`. */
  isAdmitted?: boolean
  /**
   * Our wall time of the next check for missed events; before the connection is welcome: the time
   * at which the relay gives it up.
   */
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
 * Emits an event. Its place in the log goes only to clients that asked for ids: clients in some
 * languages fail on a second argument (D5).
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
 * After these reasons a plain client must stay away. It does so after a Socket.IO disconnect; a
 * closed transport would bring it back (D13).
 */
const STAY_AWAY: ReadonlySet<CloseReason> = new Set(['logout', 'duplicate_connection'])

/**
 * From here on the connection gets no more events of its user, even if some are already on their
 * way.
 */
function silence(socket: RelaySocket): void {
  delete socket.data.stream
  for (const room of socket.rooms) if (room !== socket.id) void socket.leave(room)
}

/**
 * Sends the reason why the connection failed, then closes it; the client comes back with back-off.
 */
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

/** Sends the reason of the close, then closes the connection. */
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
