import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Sandbox, startSandbox } from '#sandbox'
import { FakeClock } from '../support/fake-clock.ts'
import { call, demoKeys, Wire } from './wire.ts'

/**
 * Clients that misbehave: each gets a clear answer or is dropped, memory stays bounded, and other
 * clients are served.
 */

const MIB = 1024 * 1024
const IDLE_SOCKETS = 5_000
const IDLE_BATCH = 100
/** Open files that the test itself needs beside its sockets. */
const FILES_RESERVED = 500

/**
 * Sockets of each of two kinds. Both ends live in this process, so each takes two of the files it
 * may open.
 */
function idlePairs(): number {
  const filesMax = Number(execFileSync('sh', ['-c', 'ulimit -n']).toString()) || Infinity
  const sockets = Math.min(IDLE_SOCKETS, (filesMax - FILES_RESERVED) / 2)
  return Math.floor(sockets / 2 / IDLE_BATCH) * IDLE_BATCH
}

let sandbox: Sandbox
let clock: FakeClock
const wires: Wire[] = []
const sockets: Socket[] = []

beforeEach(async () => {
  clock = new FakeClock()
  sandbox = await startSandbox({ seed: 'robust', tickMs: 0, clock })
})
afterEach(async () => {
  wires.splice(0).forEach(({ socket }) => socket.terminate())
  sockets.splice(0).forEach((socket) => socket.destroy())
  await sandbox.close()
})

async function open(path: string, headers: Record<string, string> = {}): Promise<Wire> {
  const wire = new Wire(sandbox.wsUrl + path, headers)
  wires.push(wire)
  return wire.opened()
}

async function dial(): Promise<Socket> {
  const socket = connect(sandbox.port, '127.0.0.1')
  socket.on('error', () => undefined)
  sockets.push(socket)
  await once(socket, 'connect')
  return socket
}

const heard = (wire: Wire, count: number): Promise<void> =>
  expect.poll(() => wire.frames.length).toBe(count)
const head = (method: string, path: string, more: string): string =>
  `${method} ${path} HTTP/1.1\r\nhost: sandbox\r\napca-api-key-id: demo-key\r\napca-api-secret-key: demo-secret\r\n${more}\r\n`
const serves = async (): Promise<void> =>
  expect((await call(sandbox, 'GET', '/v2/account')).status).toBe(200)

/** Everything a raw socket hears until it is closed, by an error too. */
function answerOf(socket: Socket): Promise<string> {
  let text = ''
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
  return new Promise((resolve) => socket.once('close', () => resolve(text)))
}

describe('bodies', () => {
  test.each([
    ['half an object', '{"symbol":', 400],
    ['no JSON', 'symbol=AAPL', 400],
    ['a list', '[]', 422],
    ['a number', '7', 422],
    ['null', 'null', 422],
    ['nested a thousand times', '['.repeat(1_000) + ']'.repeat(1_000), 422],
    ['bytes that are no text', '{"symbol":"\u0000\ufffd"}', 400],
  ])('%s as an order is refused with a code', async (_name, body, status) => {
    const answer = await call(sandbox, 'POST', '/v2/orders', body)
    expect(answer).toMatchObject({
      status,
      body: { code: expect.any(Number) as unknown, message: expect.any(String) as unknown },
    })
    await serves()
  })

  test('ten megabytes are refused before they are read, with or without a length', async () => {
    const announced = await dial()
    const told = answerOf(announced)
    announced.write(head('POST', '/v2/orders', `content-length: ${10 * MIB}\r\n`))
    expect(await told).toMatch(/^HTTP\/1\.1 413 .*"code":41310000/s)
    const chunk = Buffer.concat([
      Buffer.from('10000\r\n'),
      Buffer.alloc(65_536, 120),
      Buffer.from('\r\n'),
    ])
    const chunked = await dial()
    const answered = answerOf(chunked)
    chunked.write(head('POST', '/v2/orders', 'transfer-encoding: chunked\r\n'))
    chunked.write(Buffer.concat([chunk, chunk]))
    // A client that has sent more than was read may find the connection reset before it has read
    // the reason.
    expect(await answered).toMatch(/^$|^HTTP\/1\.1 413 .*"code":41310000/s)
    const before = process.memoryUsage().rss
    const stubborn = await dial()
    const ended = answerOf(stubborn)
    stubborn.write(head('POST', '/v2/orders', 'transfer-encoding: chunked\r\n'))
    for (let part = 0; part < 160; part += 1) stubborn.write(chunk)
    await ended
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * MIB)
    await serves()
  })

  test('requests that are no HTTP are answered 400 and closed', async () => {
    const socket = await dial()
    const answered = answerOf(socket)
    socket.write('HELLO\r\n\r\n')
    expect(await answered).toMatch(/^HTTP\/1\.1 400 /)
    const headers = await dial()
    const tooLong = answerOf(headers)
    headers.write(head('GET', '/v2/account', `x-long: ${'x'.repeat(40_000)}\r\n`))
    expect(await tooLong).toMatch(/^HTTP\/1\.1 4\d\d /)
    await serves()
  })
})

describe('slow clients', () => {
  test('a body that never ends delays no other request', async () => {
    const slow = await Promise.all(Array.from({ length: 50 }, () => dial()))
    for (const socket of slow)
      socket.write(head('POST', '/v2/orders', 'content-length: 100\r\n') + '{"sy')
    await serves()
    const gone = Promise.all(slow.map((socket) => once(socket, 'close')))
    slow.forEach((socket) => socket.destroy())
    await gone
    await serves()
  })

  test('a market data socket that does not read gets 407 after its queue, and is closed', async () => {
    const slow = await open('/v2/iex', demoKeys)
    const prompt = await open('/v2/iex', demoKeys)
    for (const wire of [slow, prompt]) {
      wire.send({ action: 'subscribe', quotes: ['*'], trades: ['*'] })
      await heard(wire, 3)
    }
    const tcp = Reflect.get(slow.socket, '_socket') as Socket
    tcp.pause()
    for (let round = 0; round < 130; round += 1) {
      prompt.frames.length = 0
      for (let price = 1; price <= 500; price += 1)
        sandbox.control.setPrice('AAPL', { last: String(price) })
      // The prompt reader reads before it is given more.
      await expect.poll(() => prompt.frames.length, { interval: 1 }).toBe(500)
    }
    const closed = slow.closed()
    tcp.resume()
    await closed
    expect(slow.heard.at(-1)).toEqual([{ T: 'error', code: 407, msg: 'slow client' }])
    expect(slow.frames.length).toBeLessThan(130 * 500)
    await expect.poll(() => sandbox.control.streams().data).toBe(1)
  })
})

describe('frames', () => {
  test('malformed frames on both streams are answered, and the socket stays open', async () => {
    const trade = await open('/stream')
    const data = await open('/v2/iex')
    const nonsense = ['{', '"text"', '7', 'null', '[]', '{}', '{"action":7}', '\u0000']
    for (const wire of [trade, data]) nonsense.forEach((frame) => wire.send(frame))
    await heard(trade, nonsense.length)
    await heard(data, 1 + nonsense.length)
    expect(trade.heard.at(-1)).toEqual({
      action: 'error',
      data: { error_message: 'invalid syntax' },
    })
    expect(data.heard.at(-1)).toEqual([{ T: 'error', code: 400, msg: 'invalid syntax' }])
    const keys = { action: 'auth', key: 'demo-key', secret: 'demo-secret' }
    trade.send(keys)
    data.send(keys)
    await heard(trade, nonsense.length + 1)
    await heard(data, nonsense.length + 2)
    expect(data.heard.at(-1)).toEqual([{ T: 'success', msg: 'authenticated' }])
  })

  test('a frame that breaks the protocol or is too large ends its own socket only', async () => {
    const broken = await open('/stream')
    const large = await open('/v2/iex')
    const fine = await open('/v2/iex', demoKeys)
    // An unmasked frame with a reserved bit: no client may send it.
    ;(Reflect.get(broken.socket, '_socket') as Socket).write(Buffer.from([0xf1, 0x01, 0x61]))
    large.send('x'.repeat(10 * MIB))
    await Promise.all([broken.closed(), large.closed()])
    fine.send({ action: 'subscribe' })
    await heard(fine, 3)
    await serves()
  })

  test('a trade stream without a message is closed after ten seconds', async () => {
    const silent = await open('/stream')
    const busy = await open('/stream')
    busy.send({ action: 'auth', key: 'demo-key', secret: 'demo-secret' })
    await heard(busy, 1)
    await clock.advance(10_000)
    await silent.closed()
    expect(sandbox.control.streams().trade).toBe(1)
  })

  test('thousands of idle sockets, HTTP and WebSocket, cost little and delay no request', async () => {
    const before = process.memoryUsage().rss
    const each = idlePairs()
    for (let opened = 0; opened < each; opened += IDLE_BATCH) {
      await Promise.all(Array.from({ length: IDLE_BATCH }, () => dial()))
      await Promise.all(Array.from({ length: IDLE_BATCH }, () => open('/v2/iex', demoKeys)))
    }
    expect(sandbox.control.streams().data).toBe(each)
    await serves()
    expect(process.memoryUsage().rss - before).toBeLessThan(500 * MIB)
    wires.forEach(({ socket }) => socket.terminate())
    sockets.forEach((socket) => socket.destroy())
    await expect.poll(() => sandbox.control.streams().data, { timeout: 10_000 }).toBe(0)
    await serves()
  })

  test('an upgrade to an unknown path is refused and leaves nothing open', async () => {
    const headers = {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'x',
    }
    const refused = request({ port: sandbox.port, path: '/stream', headers })
    refused.end()
    const [response] = (await once(refused, 'response')) as [{ statusCode: number; resume(): void }]
    response.resume()
    expect(response.statusCode).toBe(400)
    expect(sandbox.control.streams()).toEqual({ trade: 0, data: 0 })
  })
})
