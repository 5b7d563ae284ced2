import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Clock } from '#runtime'
import type { Account } from '../broker/account.ts'
import type { Broker } from '../broker/broker.ts'
import type { Order } from '../broker/order.ts'
import type { StreamFaults } from '../faults/stream-faults.ts'
import type { DataErrorCode } from './data-protocol.ts'
import type { DataPlan } from './data-stream.ts'
import { startMarketFeeds } from './market-feeds.ts'
import type { MarketMessage } from './market-message.ts'
import { TradeStream } from './trade-stream.ts'
import type { TradeEvent } from './trade-update.ts'

/** The kinds of streams. */
export type StreamKind = 'trade' | 'data'

/** All streams of the server. */
export interface Streams {
  /** Cuts sockets without a closing handshake; returns how many. */
  cut(kind?: StreamKind, keyId?: string): number
  count(kind: StreamKind): number
  /** Sends an event of an order on the trade stream, though the order has not changed. */
  tellTradeEvent(account: Account, order: Order, event: TradeEvent): void
  /** Sends an error to market data sockets; returns how many. */
  tellDataError(code: DataErrorCode, keyId?: string): number
  /**
   * Sends market data subscribers a message without a cause in the market; returns how many
   * sockets.
   * @throws {RangeError}
   */
  tellMarket(message: MarketMessage): number
  close(): void
}

/** The common part of all streams. */
type Accepting = Readonly<{
  accept(socket: WebSocket, request: IncomingMessage): void
  cut(keyId?: string): number
  size: number
}>

/** With this many open sockets an upgrade is refused with 503. */
const STREAMS_MAX = 10_000
/** A larger message from a client closes its socket. */
const MESSAGE_BYTES_MAX = 64 * 1024

/** Attaches `/stream` and the market data feeds to a server. */
export function attachStreams(
  server: Server,
  broker: Broker,
  clock: Clock,
  faults: StreamFaults,
  plan: DataPlan = {},
): Streams {
  const trade = new TradeStream(broker, clock, faults)
  const feeds = startMarketFeeds(broker, clock, faults, plan)
  const data = [...feeds.byPath.values()]
  const byPath = new Map<string, Accepting>([['/stream', trade], ...feeds.byPath])
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: MESSAGE_BYTES_MAX,
    perMessageDeflate: false,
  })
  const of = (kind: StreamKind): readonly Accepting[] => (kind === 'trade' ? [trade] : data)
  server.on('upgrade', (request: IncomingMessage, connection: Duplex, head: Buffer) => {
    connection.on('error', () => connection.destroy())
    const path = (request.url ?? '/').split('?', 1)[0]?.replace(/\/+$/, '') ?? ''
    const feed = byPath.get(path)
    const refusal =
      feed === undefined
        ? '404 Not Found'
        : sockets.clients.size >= STREAMS_MAX
          ? '503 Service Unavailable'
          : undefined
    if (feed !== undefined && faults.refusesUpgrade(feed === trade ? 'trade' : 'data')) {
      connection.end(
        'HTTP/1.1 429 Too Many Requests\r\nconnection: close\r\ncontent-length: 0\r\n\r\n',
      )
      return
    }
    if (feed === undefined || refusal !== undefined) {
      connection.end(
        `HTTP/1.1 ${refusal ?? '404 Not Found'}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`,
      )
      return
    }
    sockets.handleUpgrade(request, connection, head, (socket) => feed.accept(socket, request))
  })
  const cut = (chosen: readonly Accepting[], keyId?: string): number =>
    chosen.reduce((total, stream) => total + stream.cut(keyId), 0)
  // Revoking a key cuts its open streams.
  broker.onRevoked((keyId) => cut([trade, ...data], keyId))
  return {
    count: (kind) => of(kind).reduce((total, { size }) => total + size, 0),
    cut: (kind, keyId) => cut(kind === undefined ? [trade, ...data] : of(kind), keyId),
    tellTradeEvent: (account, order, event) => trade.tell(account, order, event),
    tellDataError: (code, keyId) =>
      data.reduce((total, stream) => total + stream.tellError(code, keyId), 0),
    tellMarket: (message) => feeds.tell(message),
    close() {
      feeds.stop()
      for (const socket of sockets.clients) socket.terminate()
      sockets.close()
    },
  }
}
