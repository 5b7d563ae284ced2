import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { io as currentIo, type Socket } from 'socket.io-client'
import { io as olderIo } from 'socket.io-client-4.7.5'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import { systemClock } from '#runtime'
import { forwardRequest } from '#transport'
import { notice, numbers, signed, Stage } from './harness.ts'
import type { Client, Heard } from './harness.ts'

// The vendor's client stops polling once the answer to its probe is there, and does not begin again
// when the WebSocket then breaks: it receives no event, and detects the break only when no
// heartbeat came for a whole interval and its timeout. These tests show the hang, and that the fix
// of the README ends it.

let stage: Stage
beforeAll(async () => {
  stage = await Stage.open({ RELAY_TRUSTED_PROXIES: '1' })
})
afterAll(() => stage[Symbol.asyncDispose]())

type Way = AsyncDisposable & Readonly<{ url: string; isAsked(): boolean; breakUpgrade(): void }>

/**
 * A way to the relay on which the first WebSocket that probes is answered when the test says so,
 * and then breaks; others are refused.
 */
async function startBreaking(): Promise<Way> {
  let polls = 0
  let probing: WebSocket | null = null
  const sockets = new WebSocketServer({ noServer: true })
  const server = createServer((request, response) => {
    const to = {
      host: '127.0.0.1',
      port: stage.relay.port,
      header: ['x-forwarded-for', '192.0.2.1'] as const,
    }
    const isPoll = request.method === 'GET'
    polls += isPoll ? 1 : 0
    response.on('close', () => (polls -= isPoll ? 1 : 0))
    void forwardRequest(request, response, to, systemClock)
  })
  server.on('upgrade', (request, socket, head) => {
    if (probing !== null) return void socket.destroy()
    sockets.handleUpgrade(request, socket, head, (ws) => ws.once('message', () => (probing = ws)))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** The client has probed, and waits for the relay's answer to a poll. */
    isAsked: () => probing !== null && polls === 1,
    breakUpgrade: () => probing?.send('3probe', () => probing?.close()),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** The README's cure for clients that begin with polling. */
function reconnectAfterBrokenUpgrade(socket: Socket): void {
  socket.io.on('open', () => {
    const { engine } = socket.io
    engine.on('upgradeError', () => {
      if (engine['upgrading']) socket.disconnect().connect()
    })
  })
}

/**
 * Breaks the client's upgrade midway. @returns how many it has seen break while it was upgrading
 */
async function breakUpgrade(way: Way, client: Client, pending: number): Promise<number> {
  const { socket } = client
  await expect
    .poll(() => client.names().includes('connection.authorized') && way.isAsked(), {
      timeout: 10_000,
    })
    .toBe(true)
  let broken = 0
  const { engine } = socket.io
  engine.on('upgrading', () => {
    for (let n = 0; n < pending; n += 1) socket.emit('market.unsubscribe', { symbols: ['AAPL'] })
  })
  engine.on('upgradeError', () => (broken += 1))
  way.breakUpgrade()
  await expect.poll(() => broken).toBe(1)
  return broken
}

let users = 0
async function connect(io: typeof currentIo, url: string, isCured: boolean) {
  const sub = `upgrading-${(users += 1)}`
  const auth = { token: await signed({ sub }), lastEventId: '' }
  const socket = io(url, {
    auth,
    transports: ['polling', 'websocket'],
    forceNew: true,
    reconnectionDelay: 50,
  })
  const heard: Heard[] = []
  const client: Client = { socket, heard, closed: [], names: () => heard.map(([event]) => event) }
  socket.onAny((event: string, ...args: unknown[]) => {
    heard.push([event, ...args])
    const id = (args[1] as { id?: string } | undefined)?.id
    if (id !== undefined) auth.lastEventId = id
  })
  if (isCured) reconnectAfterBrokenUpgrade(socket)
  return { client, sub }
}

describe.each([
  ['the current client', currentIo],
  ['the oldest client that is served', olderIo as unknown as typeof currentIo],
])('when a WebSocket breaks between the answer to its probe and the upgrade, %s', (_name, io) => {
  test('receives no further event without the fix', async () => {
    await using way = await startBreaking()
    const { client, sub } = await connect(io, way.url, false)
    const broke = await breakUpgrade(way, client, 0)
    await stage.tell(sub, notice(1)) // ends the poll that is still held: the client does not poll again
    await stage.tell(sub, notice(2))
    await systemClock.sleep(3_000) // no event arrives: that is the fault
    expect([broke, numbers(client).includes(2), client.socket.connected]).toEqual([1, false, true])
    client.socket.disconnect()
  })

  test.each([
    ['quiet', 0],
    ['about to send', 3],
  ])('reconnects at once with the fix, and misses nothing: %s', async (_what, pending) => {
    await using way = await startBreaking()
    const { client, sub } = await connect(io, way.url, true)
    expect(await breakUpgrade(way, client, pending)).toBe(1)
    await stage.tell(sub, notice(1))
    await stage.tell(sub, notice(2))
    await expect.poll(() => numbers(client), { timeout: 10_000 }).toEqual([1, 2])
    client.socket.disconnect()
  })
})
