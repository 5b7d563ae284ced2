import { EventEmitter } from 'node:events'
import type { Socket } from 'socket.io'
import { expect, test } from 'vitest'
import { PacketLimit } from '#transport'
import { FakeClock } from '../support/fake-clock.ts'

/** A connection as the vendor has it, as far as the limit looks at it. */
function connection(): EventEmitter & { isCut: boolean } {
  const conn = Object.assign(new EventEmitter(), {
    isCut: false,
    transport: {},
    close: () => void (conn.isCut = true),
  })
  return conn
}
const limit = (clock: FakeClock) => new PacketLimit(clock, () => {})
const watched = (packets: PacketLimit) => {
  const conn = connection()
  packets.watch(conn as unknown as Socket['conn'])
  return conn
}

test('a pong that answers our ping does not count, an unasked pong does', () => {
  const packets = limit(new FakeClock())
  const asked = watched(packets)
  const unasked = watched(packets)
  for (let n = 0; n < 200; n += 1) {
    asked.emit('packetCreate', { type: 'ping' })
    asked.emit('packet', { type: 'pong' })
    unasked.emit('packet', { type: 'pong' })
  }
  expect([asked.isCut, unasked.isCut]).toEqual([false, true])
})

test('packets and control frames of a connection share a count, also after an upgrade', () => {
  const packets = limit(new FakeClock())
  const webSocket = Object.assign(new EventEmitter(), { terminate: () => void (isEnded = true) })
  const server = {
    handleUpgrade: (_r: unknown, _s: unknown, _h: unknown, done: (one: typeof webSocket) => void) =>
      done(webSocket),
  }
  let isEnded = false
  packets.watchSockets(server)
  server.handleUpgrade(null, null, null, () => {})
  const conn = watched(packets)
  conn.emit('upgrade', { socket: webSocket })
  for (let n = 0; n < 60; n += 1) {
    conn.emit('packet', { type: 'message' })
    webSocket.emit('ping')
  }
  expect([conn.isCut, isEnded]).toEqual([false, false])
  webSocket.emit('ping')
  expect(isEnded).toBe(true)
  conn.emit('packet', { type: 'message' })
  expect(conn.isCut).toBe(true)
})

test('a new minute starts at zero', async () => {
  const clock = new FakeClock()
  const conn = watched(limit(clock))
  for (let n = 0; n < 120; n += 1) conn.emit('packet', { type: 'message' })
  await clock.advance(60_000)
  for (let n = 0; n < 120; n += 1) conn.emit('packet', { type: 'message' })
  expect(conn.isCut).toBe(false)
})
