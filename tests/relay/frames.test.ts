import { createServer, type Server as HttpServer } from 'node:http'
import type { AddressInfo, Socket as RawSocket } from 'node:net'
import { Server, type Socket } from 'socket.io'
import { io, type Socket as Client } from 'socket.io-client'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { type Frame, frameOf, FrameWriter } from '#transport'

// The writer uses private parts of pinned vendor versions: these tests show that those parts work
// as it expects, and that each fallback works.

let http: HttpServer
let server: Server
let writer: FrameWriter
let cuts: number
const clients: Client[] = []

beforeEach(async () => {
  http = createServer()
  server = new Server(http, { perMessageDeflate: false })
  cuts = 0
  writer = new FrameWriter(() => (cuts += 1))
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
})
afterEach(async () => {
  for (const client of clients.splice(0)) client.disconnect()
  await server.close()
})

const url = (): string => `http://127.0.0.1:${(http.address() as AddressInfo).port}`

/** A connected client, the server's side of it, and the events that it received. */
async function open(
  transports: string[],
): Promise<{ client: Client; socket: Socket; heard: unknown[] }> {
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve))
  const client = io(url(), { transports, forceNew: true, reconnection: false })
  clients.push(client)
  const heard: unknown[] = []
  client.onAny((...event: unknown[]) => heard.push(event))
  const socket = await accepted
  await new Promise<void>((resolve) =>
    client.connected ? resolve() : client.once('connect', resolve),
  )
  writer.attach(socket.conn)
  return { client, socket, heard }
}

const rawOf = (socket: Socket): RawSocket =>
  (socket.conn as unknown as { transport: { socket: { _socket: RawSocket } } }).transport.socket
    ._socket

/** Counts writes to the socket below, and packets that took the vendor's path. */
function watched(socket: Socket): { writes: number; flushes: number } {
  const seen = { writes: 0, flushes: 0 }
  const raw = rawOf(socket)
  const write = raw.write.bind(raw) as (...args: unknown[]) => boolean
  raw.write = (...args: unknown[]) => {
    seen.writes += 1
    return write(...args)
  }
  socket.conn.on('flush', () => (seen.flushes += 1))
  return seen
}

const numbered = (from: number, to: number): unknown[] =>
  Array.from({ length: to - from + 1 }, (_, i) => ['n', from + i])

describe('frameOf', () => {
  test.each([0, 100, 124, 125, 126, 127, 65_500, 65_534, 65_535, 65_536, 70_000])(
    'frames %d bytes of text as a client reads them',
    async (length) => {
      const { socket, heard } = await open(['websocket'])
      const text = 'é'.repeat(length / 2)
      writer.send(socket.conn, frameOf('text', text))
      await expect.poll(() => heard).toEqual([['text', text]])
    },
  )

  test('encodes every JSON value as Socket.IO does', async () => {
    const { socket, heard } = await open(['websocket'])
    const payload = { a: [1, null, 'x"\u2028'], at: new Date(0), gone: undefined, b: Number.NaN }
    writer.send(socket.conn, frameOf('e', payload, { id: 'i' }))
    socket.emit('e', payload, { id: 'i' })
    await expect.poll(() => heard).toHaveLength(2)
    expect(heard[0]).toEqual(heard[1])
  })
})

describe('an idle WebSocket', () => {
  test('gets the frames of one turn in one direct write', async () => {
    const { socket, heard } = await open(['websocket'])
    const seen = watched(socket)
    for (let n = 1; n <= 8; n += 1) writer.send(socket.conn, frameOf('n', n))
    await expect.poll(() => heard).toEqual(numbered(1, 8))
    expect(seen).toEqual({ writes: 1, flushes: 0 })
  })

  test('shares the joined frames with the other clients of its room', async () => {
    const all = [await open(['websocket']), await open(['websocket']), await open(['websocket'])]
    const written: unknown[] = []
    for (const { socket } of all) {
      const raw = rawOf(socket)
      const write = raw.write.bind(raw) as (...args: unknown[]) => boolean
      raw.write = (...args: unknown[]) => {
        written.push(args[0])
        return write(...args)
      }
    }
    const frames: Frame[] = [frameOf('n', 1), frameOf('n', 2)]
    for (const frame of frames) for (const { socket } of all) writer.send(socket.conn, frame)
    await expect.poll(() => all.map(({ heard }) => heard)).toEqual(all.map(() => numbered(1, 2)))
    expect(new Set(written).size).toBe(1)
    // Another mix in the next turn is joined anew.
    writer.send(all[0]!.socket.conn, frames[1]!)
    writer.send(all[0]!.socket.conn, frames[0]!)
    await expect.poll(() => all[0]!.heard).toEqual([...numbered(1, 2), ['n', 2], ['n', 1]])
  })
})

describe('order is kept', () => {
  test.each<[string, string[]]>([
    ['a WebSocket', ['websocket']],
    ['polling', ['polling']],
    ['a connection that upgrades meanwhile', ['polling', 'websocket']],
  ])('over %s, for any mix of direct and queued packets', async (_name, transports) => {
    const { socket, heard, client } = await open(transports)
    let n = 0
    for (let turn = 0; turn < 60; turn += 1) {
      for (let i = 0; i < 5; i += 1) writer.send(socket.conn, frameOf('n', (n += 1)))
      socket.emit('n', (n += 1))
      writer.send(socket.conn, frameOf('n', (n += 1)))
      // An acknowledgement takes the vendor's path, and needs the client's answer: the turns
      // interleave with the client's reads.
      if (turn % 10 === 0)
        await new Promise<void>(
          (resolve) =>
            client.emit('x', resolve) && socket.once('x', (answer: () => void) => answer()),
        )
      else await Promise.resolve()
    }
    await expect.poll(() => heard).toEqual(numbered(1, n))
    const ends = transports.at(-1)
    await expect.poll(() => client.io.engine.transport.name).toBe(ends)
    writer.send(socket.conn, frameOf('n', n + 1))
    await expect.poll(() => heard.at(-1)).toEqual(['n', n + 1])
  })

  test('with large packets that keep the socket busy', async () => {
    const { socket, heard } = await open(['websocket'])
    const filler = 'x'.repeat(300_000)
    for (let n = 0; n < 20; n += 2) {
      socket.emit('n', n, filler)
      writer.send(socket.conn, frameOf('n', n + 1))
    }
    await expect
      .poll(() => heard.map((event) => (event as [string, number])[1]))
      .toEqual(Array.from({ length: 20 }, (_, n) => n))
  })
})

describe('a client that does not read', () => {
  /** A WebSocket that stops reading once it is connected. */
  async function stalled(): Promise<Socket> {
    const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve))
    const ws = new WebSocket(`${url().replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`)
    ws.once('message', () => ws.send('40'))
    const socket = await accepted
    ws.pause()
    writer.attach(socket.conn)
    return socket
  }

  test('is cut when too many packets wait', async () => {
    const socket = await stalled()
    const closed = new Promise<string>((resolve) => socket.once('disconnect', resolve))
    const frame = frameOf('n', 'x'.repeat(1_000))
    let turns = 0
    while (cuts === 0 && turns < 50_000) {
      writer.send(socket.conn, frame)
      turns += 1
      await Promise.resolve()
    }
    expect(cuts).toBe(1)
    await closed
  })

  test('is cut when too many bytes wait, and not before', async () => {
    const socket = await stalled()
    const filler = 'x'.repeat(1_000_000)
    for (let n = 0; n < 3; n += 1) socket.emit('n', filler)
    writer.inspect(socket.conn)
    expect(cuts).toBe(0)
    for (let n = 0; n < 10; n += 1) socket.emit('n', filler)
    writer.inspect(socket.conn)
    expect(cuts).toBe(1)
  })

  test('is counted once, though packets and inspections follow before it is gone', async () => {
    const socket = await stalled()
    for (let n = 0; n < 10; n += 1) socket.emit('n', 'x'.repeat(1_000_000))
    for (let n = 0; n < 3; n += 1) {
      writer.inspect(socket.conn)
      for (let m = 0; m < 1_200; m += 1) writer.send(socket.conn, frameOf('n', m))
      await Promise.resolve()
    }
    expect(cuts).toBe(1)
  })

  test('is cut over polling as well', async () => {
    const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve))
    const base = `${url()}/socket.io/?EIO=4&transport=polling`
    const { sid } = JSON.parse((await (await fetch(base)).text()).slice(1)) as { sid: string }
    await fetch(`${base}&sid=${sid}`, { method: 'POST', body: '40' })
    const socket = await accepted
    writer.attach(socket.conn)
    const closed = new Promise<string>((resolve) => socket.once('disconnect', resolve))
    for (let n = 0; n <= 1_000; n += 1) writer.send(socket.conn, frameOf('n', n))
    await closed
    expect(cuts).toBe(1)
  })
})
