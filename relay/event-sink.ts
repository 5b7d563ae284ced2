import type { EventMeta, EventPosition } from '#contract'

/** The connection that a stream writes to. */
export interface EventSink {
  isOpen(): boolean
  /** So many packets wait for the connection that further events must wait in the stream. */
  isBehind(): boolean
  /** `state.resync`, always followed by `state.sync`, which carries its position in the log. */
  tell(event: 'state.resync' | 'state.sync', payload: object, at?: EventPosition): void
  /** An event of the log. `isPlace`: a client that handled this event may resume behind it. */
  deliver(logged: Logged, isPlace: boolean): void
}

/** An event of a user's log; the same object for all of the user's connections. */
export type Logged = Readonly<{ event: string; payload: unknown; meta: EventMeta }>
