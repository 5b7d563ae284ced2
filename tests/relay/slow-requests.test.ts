import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock } from '#runtime'
import { Stage } from './harness.ts'

// Connections below HTTP: the cost for a relay before any token arrives.

let stage: Stage
const sockets: Socket[] = []
beforeAll(async () => {
  stage = await Stage.open({ RELAY_CONNECTIONS_PER_ADDRESS: '3' })
})
afterAll(() => {
  for (const socket of sockets) socket.destroy()
  return stage[Symbol.asyncDispose]()
})

/** A connection that writes this, a byte a second, and the time after which the relay closes it. */
function drip(text: string): Promise<number> {
  const began = systemClock.monotonicMs()
  return new Promise((resolve) => {
    const socket = connect(stage.relay.port, '127.0.0.1')
    sockets.push(socket)
    let written = 0
    const stop = systemClock.every(1_000, () => void socket.write(text[written++] ?? ''))
    socket.on('error', () => {}).on('data', () => {})
    socket.on('close', () => {
      stop()
      resolve(systemClock.monotonicMs() - began)
    })
  })
}

test('a connection with no request or too slow headers is closed after 10 s', async () => {
  const times = await Promise.all([
    drip(''),
    drip(`GET /socket.io/ HTTP/1.1\r\nHost: ${'x'.repeat(100)}`),
  ])
  for (const ms of times) {
    expect(ms).toBeGreaterThan(9_000)
    expect(ms).toBeLessThan(20_000)
  }
}, 40_000)

test('connections of one address are bounded before any request; refusals are counted', async () => {
  const open: Socket[] = []
  let closed = 0
  for (let n = 0; n < 40; n += 1) {
    const socket = connect(stage.relay.port, '127.0.0.1')
    sockets.push(socket)
    open.push(socket)
    socket.on('error', () => {}).on('close', () => (closed += 1))
  }
  await expect.poll(() => closed).toBe(15)
  expect(await stage.rejected('tcp_full')).toBe(15)
  for (const socket of open) socket.destroy()
  await expect.poll(() => closed).toBe(40)
  await stage.authorized()
})

test('connections by which another relay hands over requests are not counted', async () => {
  const other = await stage.another({ RELAY_CONNECTIONS_PER_ADDRESS: '1000' })
  const text = await (await fetch(`${stage.relay.url}/socket.io/?EIO=4&transport=polling`)).text()
  const { sid } = JSON.parse(text.slice(1)) as { sid: string }
  const path = `/socket.io/?EIO=4&transport=polling&sid=${sid}`
  const upgrade = [
    `GET ${path.replace('polling', 'websocket')} HTTP/1.1`,
    'Host: x',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
    '',
    '',
  ].join('\r\n')
  const status = (): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect(other.port, '127.0.0.1', () => socket.write(upgrade))
      sockets.push(socket)
      socket.once('data', (data) => resolve(data.toString('latin1').slice(0, 12)))
      socket.on('error', () => {}).on('close', () => resolve('cut'))
    })
  // Each is held open, and together they are more than the address of the other relay may have.
  const answers: string[] = []
  for (let batch = 0; batch < 6; batch += 1)
    answers.push(...(await Promise.all(Array.from({ length: 8 }, () => status()))))
  expect([...new Set(answers)]).toEqual(['HTTP/1.1 101'])
})

test('sessions that were opened and never used free their places within 15 s', async () => {
  await using own = await Stage.open({ RELAY_CONNECTIONS_PER_ADDRESS: '5' })
  const open = () =>
    fetch(`${own.relay.url}/socket.io/?EIO=4&transport=polling`).then(({ status }) => status)
  expect(await Promise.all(Array.from({ length: 5 }, open))).toEqual([200, 200, 200, 200, 200])
  expect(await open()).toBe(403)
  await expect.poll(open, { timeout: 15_000, interval: 500 }).toBe(200)
})
