// The relay that everybody writes first: stock Socket.IO, the stock Redis adapter, a room a user
// and a symbol. A baseline, not an example.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAdapter } from '@socket.io/redis-adapter'
import { Redis } from 'ioredis'
import { jwtVerify } from 'jose'
import { Server } from 'socket.io'

const pub = new Redis(process.env['REDIS_URL'] ?? '')
const http = createServer()
const io = new Server(http, { serveClient: false, adapter: createAdapter(pub, pub.duplicate()) })
// It checks the token of every connection as ours does: beside a relay that does not know who its
// clients are, ours would be charged for a job that the other leaves undone.
const secret = new TextEncoder().encode(process.env['JWT_HS256_SECRET'])
io.use((socket, next) => {
  const { token } = socket.handshake.auth as { token: string }
  jwtVerify(token, secret, { algorithms: ['HS256'] }).then(({ payload }) => {
    Object.assign(socket.data, { userId: payload.sub })
    next()
  }, next)
})
io.on('connection', (socket) => {
  const { symbols = [] } = socket.handshake.auth as { symbols?: readonly string[] }
  const { userId } = socket.data as { userId: string }
  void socket.join([`user:${userId}`, ...symbols.map((symbol) => `market:${symbol}`)])
})
http.listen(0, '127.0.0.1', () =>
  process.stdout.write(`naive relay on http://127.0.0.1:${(http.address() as AddressInfo).port}\n`),
)
process.on('SIGTERM', () => process.exit(0))
