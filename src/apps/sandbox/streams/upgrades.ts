import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Clock } from '#runtime'
import type { Broker } from '../broker/broker.ts'
import { createDataStream } from './data-stream.ts'
import { TradeStream } from './trade-stream.ts'

/** Which of the streams. */
export type StreamKind = 'trade' | 'data'

/** All streams of the server. */
export interface Streams {
  /** Cuts sockets without a word; answers how many. */
  cut(kind?: StreamKind, keyId?: string): number
  count(kind: StreamKind): number
  close(): void
}

/** More open sockets than this and upgrades are refused with 503. */
const STREAMS_MAX = 10_000
/** Larger messages from clients close their socket. */
const MESSAGE_BYTES_MAX = 64 * 1024

/** Attaches `/stream` and the market data feeds to a server. */
export function attachStreams(server: Server, broker: Broker, clock: Clock): Streams {
  const trade = new TradeStream(broker, clock)
  const stocks = createDataStream(broker, clock, 'us_equity')
  const crypto = createDataStream(broker, clock, 'crypto')
  const feeds = new Map<string, { accept(socket: WebSocket, request: IncomingMessage): void }>([
    ['/stream', trade],
    ['/v2/iex', stocks],
    ['/v1beta3/crypto/us', crypto],
  ])
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MESSAGE_BYTES_MAX, perMessageDeflate: false })
  const count = (kind: StreamKind): number => (kind === 'trade' ? trade.size : stocks.size + crypto.size)
  server.on('upgrade', (request: IncomingMessage, connection: Duplex, head: Buffer) => {
    connection.on('error', () => connection.destroy())
    const path = (request.url ?? '/').split('?', 1)[0]?.replace(/\/+$/, '') ?? ''
    const feed = feeds.get(path)
    const refusal =
      feed === undefined ? '404 Not Found' : sockets.clients.size >= STREAMS_MAX ? '503 Service Unavailable' : undefined
    if (feed === undefined || refusal !== undefined) {
      connection.end(`HTTP/1.1 ${refusal ?? '404 Not Found'}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
      return
    }
    sockets.handleUpgrade(request, connection, head, (socket) => feed.accept(socket, request))
  })
  // A revoked key takes its open streams down with it.
  broker.onRevoked((keyId) => [trade, stocks, crypto].forEach((stream) => stream.cut(keyId)))
  return {
    count,
    cut(kind, keyId) {
      const chosen = kind === undefined ? [trade, stocks, crypto] : kind === 'trade' ? [trade] : [stocks, crypto]
      return chosen.reduce((total, stream) => total + stream.cut(keyId), 0)
    },
    close() {
      for (const socket of sockets.clients) socket.terminate()
      sockets.close()
    },
  }
}
