// The relay that everybody writes first: stock Socket.IO, the stock Redis adapter, a room a user and a symbol. A baseline, not an example.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAdapter } from '@socket.io/redis-adapter'
import { Redis } from 'ioredis'
import { Server } from 'socket.io'

const pub = new Redis(process.env['REDIS_URL'] ?? '')
const http = createServer()
const io = new Server(http, { serveClient: false, adapter: createAdapter(pub, pub.duplicate()) })
io.on('connection', (socket) => {
  const { symbols = [] } = socket.handshake.auth as { symbols?: readonly string[] }
  void socket.join([`user:${String(socket.handshake.query['user'])}`, ...symbols.map((symbol) => `market:${symbol}`)])
})
http.listen(0, '127.0.0.1', () =>
  process.stdout.write(`naive relay on http://127.0.0.1:${(http.address() as AddressInfo).port}\n`),
)
process.on('SIGTERM', () => process.exit(0))
