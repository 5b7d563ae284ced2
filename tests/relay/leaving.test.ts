import { connect } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Relay } from '../../relay/server.ts'
import { systemClock } from '#runtime'
import { startBalancer } from './balancer.ts'
import { type Client, notice, numbers, payloadsOf, signed, Stage } from './harness.ts'

// Sessions and the relays that they do not belong to, while those stop, and while the register of
// relays is lost.

let stage: Stage
beforeEach(async () => {
  stage = await Stage.open()
})
afterEach(() => stage[Symbol.asyncDispose]())

const POLLING = '/socket.io/?EIO=4&transport=polling'
async function openSession(relay: Relay): Promise<string> {
  const text = await (await fetch(`${relay.url}${POLLING}`)).text()
  return (JSON.parse(text.slice(1)) as { sid: string }).sid
}
const send = (at: Relay, sid: string): Promise<number> =>
  fetch(`${at.url}${POLLING}&sid=${sid}`, { method: 'POST', body: '42["x"]' }).then(
    ({ status }) => status,
  )

/** Requests a WebSocket of a session; returns the first line of the answer. */
function upgrade(at: Relay, sid: string): Promise<string> {
  const lines = [
    `GET /socket.io/?EIO=4&transport=websocket&sid=${sid} HTTP/1.1`,
    'Host: x',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
    '',
    '',
  ]
  return new Promise((resolve) => {
    const socket = connect(at.port, '127.0.0.1', () => socket.write(lines.join('\r\n')))
    socket.once('data', (data) => {
      resolve(data.toString('latin1').split('\r\n')[0] ?? '')
      socket.destroy()
    })
    socket.once('close', () => resolve('closed'))
    socket.on('error', () => {})
  })
}

test('a draining relay refuses WebSockets of other relays’ sessions, but not polling', async () => {
  const leaving = await stage.another()
  const sid = await openSession(stage.relay)
  expect(await upgrade(leaving, sid)).toBe('HTTP/1.1 101 Switching Protocols')
  const other = await openSession(stage.relay)
  await openSession(leaving) // no request polls it, so that the relay waits for it before it stops
  const stopped = leaving[Symbol.asyncDispose]()
  expect(await upgrade(leaving, other)).toBe('HTTP/1.1 503 Service Unavailable')
  expect(await send(leaving, other)).toBe(200)
  await stopped
})

test('a WebSocket through a draining relay is closed, and its client loses nothing', async () => {
  const leaving = await stage.another()
  const relays = [stage.relay]
  await using balancer = await startBalancer(relays)
  const auth = { token: await signed({ sub: 'tunnelled' }), lastEventId: '' }
  const back = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 100 }
  const transports = ['polling', 'websocket']
  const client: Client = stage.connect({
    at: balancer.url,
    transports,
    auth,
    ...back,
    autoConnect: false,
    upgrade: true,
  })
  // The session is the first relay's; its WebSocket goes through the other one.
  client.socket.io.once('open', () => relays.splice(0, 1, leaving))
  client.socket.on(
    'broker.connected',
    (_payload, meta: { id: string }) => (auth.lastEventId = meta.id),
  )
  client.socket.connect()
  await expect.poll(() => client.names(), { timeout: 10_000 }).toContain('connection.authorized')
  await expect.poll(() => client.socket.io.engine.transport.name).toBe('websocket')
  await stage.tell('tunnelled', notice(1))
  await expect.poll(() => numbers(client)).toEqual([1])
  relays.splice(0, 1, stage.relay)
  const stopped = leaving[Symbol.asyncDispose]()
  await stage.tell('tunnelled', notice(2))
  await stopped
  await stage.tell('tunnelled', notice(3))
  await expect.poll(() => numbers(client), { timeout: 10_000 }).toEqual([1, 2, 3])
  expect(payloadsOf(client, 'connection.closed').map(({ reason }) => reason)).toEqual([
    'server_shutdown',
  ])
})

test('the good-bye of another relay is accepted with this relay’s key only', async () => {
  const client = await stage.authorized()
  const sid = client.socket.io.engine.id
  for (const headers of [{}, { 'x-fillcast-hop': 'guess' }])
    expect(
      (await fetch(`${stage.relay.url}/good-bye`, { method: 'POST', body: sid, headers })).status,
    ).toBe(404)
  expect(client.names()).toEqual(['connection.authorized'])
})

/** Relays that register themselves once, and then only for a reason. */
async function withoutHeartbeat(): Promise<Relay> {
  Object.assign(stage.clock, { every: () => () => {} })
  const relay = await stage.another()
  Object.assign(stage.clock, { every: systemClock.every.bind(systemClock) })
  return relay
}

test('a session of a known relay is served while the register of relays is lost', async () => {
  const owner = await withoutHeartbeat()
  const sid = await openSession(owner)
  expect(await send(stage.relay, sid)).toBe(200)
  const redis = stage.redis.connect()
  for (const key of await redis.keys('relay:*')) await redis.del(key)
  const untilMs = systemClock.monotonicMs() + 3_000
  while (systemClock.monotonicMs() < untilMs) {
    // A new session each time: one that says nothing of who it is does not live long.
    expect(await send(stage.relay, await openSession(owner))).toBe(200)
    await systemClock.sleep(100)
  }
})

test('a relay that is gone is not asked again once its record is gone', async () => {
  const redis = stage.redis.connect()
  await redis.set('relay:gone', JSON.stringify({ host: '127.0.0.1', port: 1, hopKey: 'k' }))
  expect(await send(stage.relay, 'gone.x')).toBe(400)
  await redis.set(
    'relay:gone',
    JSON.stringify({ host: '127.0.0.1', port: stage.relay.port, hopKey: 'other' }),
  )
  expect(await send(stage.relay, 'gone.x')).toBe(404) // it was looked up again
})

test('made-up session ids evict no known relay', async () => {
  const owner = await withoutHeartbeat()
  const sid = await openSession(owner)
  expect(await send(stage.relay, sid)).toBe(200)
  for (const start of [0, 100, 200, 300])
    await Promise.all(
      Array.from({ length: 100 }, (_, i) => send(stage.relay, `made-up-${start + i}.x`)),
    )
  const redis = stage.redis.connect()
  for (const key of await redis.keys('relay:*')) await redis.del(key)
  expect(await send(stage.relay, await openSession(owner))).toBe(200)
})

test('a relay registers itself again as soon as its link to Redis is back', async () => {
  await withoutHeartbeat()
  const redis = stage.redis.connect()
  const keys = await redis.keys('relay:*')
  for (const key of keys) await redis.del(key)
  await redis.client('KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  await expect
    .poll(async () => (await redis.keys('relay:*')).toSorted(), { timeout: 2_500 })
    .toEqual(keys.toSorted())
})
