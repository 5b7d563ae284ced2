// The least that a push server can be: bare WebSockets, rooms of Redis, one frame for everybody who
// gets an event. No protocol, no token, nothing kept. A floor to measure from, not an example.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { Redis } from 'ioredis'
import { WebSocketServer } from 'ws'

const sub = new Redis(process.env['REDIS_URL'] ?? '')
const rooms = new Map<string, Set<Duplex>>()
const LENGTH_7_BITS = 126

/** A whole text message from a server, shorter than 64 KiB (RFC 6455, 5.2). */
function frameOf(payload: Buffer): Buffer {
  const header = Buffer.from([0x81, payload.length])
  if (payload.length < LENGTH_7_BITS) return Buffer.concat([header, payload])
  const long = Buffer.from([0x81, LENGTH_7_BITS, 0, 0])
  long.writeUInt16BE(payload.length, 2)
  return Buffer.concat([long, payload])
}

async function join(room: string, socket: Duplex): Promise<void> {
  const members = rooms.get(room)
  if (members === undefined) rooms.set(room, new Set([socket]))
  else members.add(socket)
  if (members === undefined) await sub.subscribe(room)
}

sub.on('messageBuffer', (channel: Buffer, message: Buffer) => {
  const frame = frameOf(message)
  for (const socket of rooms.get(channel.toString()) ?? []) socket.write(frame)
})

const http = createServer()
const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false })
http.on('upgrade', (request, socket, head) =>
  sockets.handleUpgrade(request, socket, head, (client) => {
    const asked = new URL(request.url ?? '/', 'http://bare').searchParams.getAll('room')
    client.on('close', () => asked.forEach((room) => rooms.get(room)?.delete(socket)))
    void Promise.all(asked.map((room) => join(room, socket))).then(() => client.send('40'))
  }),
)
sub.once('ready', () =>
  http.listen(0, '127.0.0.1', () =>
    process.stdout.write(
      `bare relay on http://127.0.0.1:${(http.address() as AddressInfo).port}\n`,
    ),
  ),
)
process.on('SIGTERM', () => process.exit(0))
