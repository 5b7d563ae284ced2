import { z } from 'zod'
import { type EventMeta, type EventPosition, symbolSchema } from './ids.ts'
import * as payload from './payloads.ts'

/**
 * How an event reaches a client.
 * - `logged`: committed to the user's event log with the state it tells of; replayed after a
 *   reconnect.
 * - `socket`: about one connection; never replayed.
 * - `volatile`: only the newest matters; may be dropped.
 */
export type Delivery = 'logged' | 'socket' | 'volatile'

const event = <Schema extends z.ZodType, D extends Delivery>(schema: Schema, delivery: D) => ({
  schema,
  delivery,
})

/**
 * Every event that the server emits. `portfolio.positionUpdated` is logged; price-only ones are
 * made at the relay, volatile.
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

export type ServerEventName = keyof typeof serverEvents
export type ServerEventPayload<Name extends ServerEventName> = z.output<
  (typeof serverEvents)[Name]['schema']
>
type LoggedName = {
  [N in ServerEventName]: (typeof serverEvents)[N]['delivery'] extends 'logged' ? N : never
}[ServerEventName]
/** An event on its way into a user's log. */
export type LoggedEvent = {
  [N in LoggedName]: Readonly<{ event: N; payload: ServerEventPayload<N> }>
}[LoggedName]

/** Symbols that one connection may watch. */
export const SYMBOLS_PER_SOCKET_MAX = 100
export const SYNC_TYPES = ['portfolio', 'positions', 'trades'] as const
export type SyncType = (typeof SYNC_TYPES)[number]

const symbols = z.object({ symbols: z.array(symbolSchema).min(1).max(SYMBOLS_PER_SOCKET_MAX) })

/** Every event that a client may emit. Unknown fields are ignored. */
export const clientEvents = {
  'market.subscribe': { schema: symbols },
  'market.unsubscribe': { schema: symbols },
  /** `syncTypes` absent: all. */
  'state.requestSync': {
    schema: z
      .object({ syncTypes: z.array(z.enum(SYNC_TYPES)).optional() })
      .nullish()
      .transform((value) => value ?? {}),
  },
} as const

export type ClientEventName = keyof typeof clientEvents
export type ClientEventPayload<Name extends ClientEventName> = z.input<
  (typeof clientEvents)[Name]['schema']
>

/**
 * Why a symbol is not watched: the broker's list does not have it, or says that it is not traded.
 */
export type SymbolRefusal = Readonly<{ symbol: string; reason: 'UNKNOWN_SYMBOL' | 'NOT_TRADABLE' }>

/**
 * The optional acknowledgement of a client event. `symbols`: all that the connection watches now;
 * `subscribed` and `refused`: those of this `market.subscribe`.
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
 * What an event carries as its second argument, to connections whose handshake names `lastEventId`:
 * the place in the log at which the connection is once it has handled the event. A resync carries
 * none: the `state.sync` that follows it does, so that a client that is cut between the two gets
 * both again.
 */
type MetaOf<Name extends ServerEventName> = Name extends 'connection.authorized' | 'state.sync'
  ? EventPosition
  : Name extends Exclude<LoggedName, 'state.resync'>
    ? EventMeta
    : never

/** Typed event maps for Socket.IO. */
export type ServerToClientEvents = {
  [N in ServerEventName]: (payload: ServerEventPayload<N>, meta?: MetaOf<N>) => void
}
export type ClientToServerEvents = {
  [N in ClientEventName]: (
    payload: ClientEventPayload<N>,
    answer?: (answer: CommandAnswer) => void,
  ) => void
}
