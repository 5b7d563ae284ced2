import { z } from 'zod'
import { type EventMeta, type EventPosition, symbolSchema } from './ids.ts'
import * as payload from './payloads.ts'

/**
 * How an event reaches a client.
 * - `logged`: committed to the user's event log together with the state that the event reports;
 *   replayed after a reconnect.
 * - `socket`: concerns one connection; never replayed.
 * - `volatile`: only the newest event matters; may be dropped.
 */
export type Delivery = 'logged' | 'socket' | 'volatile'

const event = <Schema extends z.ZodType, D extends Delivery>(schema: Schema, delivery: D) => ({
  schema,
  delivery,
})

/**
 * Every event that the server emits. A `portfolio.positionUpdated` that workers emit is logged. A
 * `portfolio.positionUpdated` with nothing but a new price is made by the relay and is volatile.
 */
export const serverEvents = {
  'connection.authorized': event(payload.connectionAuthorized, 'socket'),
  'connection.closed': event(payload.connectionClosed, 'socket'),
  'connection.error': event(payload.connectionError, 'socket'),
  'token.expiring': event(payload.tokenExpiring, 'socket'),
  'portfolio.balanceChanged': event(payload.balanceChanged, 'logged'),
  'portfolio.positionAdded': event(payload.positionAdded, 'logged'),
  'portfolio.positionUpdated': event(payload.positionUpdated, 'logged'),
  'portfolio.positionClosed': event(payload.positionClosed, 'logged'),
  'trade.submitted': event(payload.tradeSubmitted, 'logged'),
  'trade.filled': event(payload.tradeFilled, 'logged'),
  'trade.partialFill': event(payload.tradePartialFill, 'logged'),
  'trade.rejected': event(payload.tradeRejected, 'logged'),
  'trade.cancelled': event(payload.tradeCancelled, 'logged'),
  'market.quote': event(payload.marketQuote, 'volatile'),
  'state.sync': event(payload.stateSync, 'socket'),
  'error.rateLimitWarning': event(payload.rateLimitWarning, 'socket'),
  'error.brokerDisconnected': event(payload.brokerDisconnected, 'logged'),
  // Extensions of the published contract, with the same envelope.
  'broker.connected': event(payload.brokerConnected, 'logged'),
  'trade.replaced': event(payload.tradeReplaced, 'logged'),
  'trade.corrected': event(payload.tradeCorrected, 'logged'),
  'state.resync': event(payload.stateResync, 'logged'),
} as const

/** The name of a server event. */
export type ServerEventName = keyof typeof serverEvents
/** The payload of a server event after validation. */
export type ServerEventPayload<Name extends ServerEventName> = z.output<
  (typeof serverEvents)[Name]['schema']
>
type LoggedName = {
  [N in ServerEventName]: (typeof serverEvents)[N]['delivery'] extends 'logged' ? N : never
}[ServerEventName]
/** An event that is to be appended to a user's event log. */
export type LoggedEvent = {
  [N in LoggedName]: Readonly<{ event: N; payload: ServerEventPayload<N> }>
}[LoggedName]

/** The number of symbols that one connection may watch. */
export const SYMBOLS_PER_SOCKET_MAX = 100
/** The parts of a `state.sync` that a client may request. */
export const SYNC_TYPES = ['portfolio', 'positions', 'trades'] as const
/** One part of a `state.sync`. */
export type SyncType = (typeof SYNC_TYPES)[number]

const symbols = z.object({ symbols: z.array(symbolSchema).min(1).max(SYMBOLS_PER_SOCKET_MAX) })

/** Every event that a client may emit. Unknown fields are ignored. */
export const clientEvents = {
  'market.subscribe': { schema: symbols },
  'market.unsubscribe': { schema: symbols },
  /** If `syncTypes` is absent, the client is sent all parts. */
  'state.requestSync': {
    schema: z
      .object({ syncTypes: z.array(z.enum(SYNC_TYPES)).optional() })
      .nullish()
      .transform((value) => value ?? {}),
  },
} as const

/** The name of a client event. */
export type ClientEventName = keyof typeof clientEvents
/** The payload of a client event as the client writes it. */
export type ClientEventPayload<Name extends ClientEventName> = z.input<
  (typeof clientEvents)[Name]['schema']
>

/**
 * Why a symbol is not watched: `UNKNOWN_SYMBOL`, the broker's asset list does not contain it;
 * `NOT_TRADABLE`, the list marks it as not tradable.
 */
export type SymbolRefusal = Readonly<{ symbol: string; reason: 'UNKNOWN_SYMBOL' | 'NOT_TRADABLE' }>

/**
 * The optional acknowledgement of a client event.
 * - `symbols`: all symbols that the connection watches now.
 * - `subscribed`, `refused`: the symbols of this `market.subscribe` only.
 * - `error`, `message`: why the command failed.
 */
export type CommandAnswer = Readonly<
  | {
      ok: true
      symbols?: readonly string[]
      subscribed?: readonly string[]
      refused?: readonly SymbolRefusal[]
    }
  | { ok: false; error: string; message: string }
>

/**
 * The second argument of an event, for connections whose handshake names `lastEventId`: the
 * position in the event log that the connection has reached once it has handled the event. A
 * `state.resync` has no position; the `state.sync` that follows carries it. If a connection ends
 * between the two, the client is sent both again.
 */
type MetaOf<Name extends ServerEventName> = Name extends 'connection.authorized' | 'state.sync'
  ? EventPosition
  : Name extends Exclude<LoggedName, 'state.resync'>
    ? EventMeta
    : never

/** The server's events, as Socket.IO types them. */
export type ServerToClientEvents = {
  [N in ServerEventName]: (payload: ServerEventPayload<N>, meta?: MetaOf<N>) => void
}
/** The client's events, as Socket.IO types them. */
export type ClientToServerEvents = {
  [N in ClientEventName]: (
    payload: ClientEventPayload<N>,
    answer?: (answer: CommandAnswer) => void,
  ) => void
}
