import type { DefaultEventsMap, Socket } from 'socket.io'
import { type CloseReason, type ConnectionErrorCode, type ServerToClientEvents, type TokenClaims } from '#contract'
import { isoTime } from '#runtime'
import type { TokenError } from './token.ts'
import type { UserStream } from './user-stream.ts'

/** What the relay knows of one connection. `refused` set: it is told why and closed, and is in no room. */
export type ConnectionData = {
  refused?: TokenError
  claims?: TokenClaims
  stream?: UserStream
  /** Asked for event ids: the handshake's `auth` has the key `lastEventId`. */
  wantsMeta?: boolean
  lastEventId?: unknown
  /** Our wall time of the next look for missed events. */
  checkAtMs?: number
  wasWarned?: boolean
}

export type RelaySocket = Socket<DefaultEventsMap, ServerToClientEvents, DefaultEventsMap, ConnectionData>

// A socket is closed by its transport, not by a Socket.IO disconnect: a plain client then comes back by itself, with back-off (D13).

/** Tells why the connection failed, then closes it. Nothing else is sent. */
export function refuse(socket: RelaySocket, error: ConnectionErrorCode, message: string, nowMs: number): void {
  socket.emit('connection.error', { error, message, timestamp: isoTime(nowMs) })
  socket.conn.close()
}

/** Says good-bye; the client comes back, with a fresh token or to another relay. It hears nothing after this. */
export function closeConnection(socket: RelaySocket, reason: CloseReason, message: string, nowMs: number): void {
  delete socket.data.stream
  for (const room of socket.rooms) if (room !== socket.id) void socket.leave(room)
  socket.emit('connection.closed', { reason, message, timestamp: isoTime(nowMs) })
  socket.conn.close()
}
