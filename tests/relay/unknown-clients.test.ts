import { io as latest } from 'socket.io-client'
import { io as published } from 'socket.io-client-4.7.5'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { serverEvents } from '#contract'
import type { Relay } from '../../relay/server.ts'
import { startBalancer } from './balancer.ts'
import { notice, signed, Stage } from './harness.ts'

// Third-party clients, used as their documentation and the event specification describe, and in no
// other way. Each of their requests reaches any of two relays.

let stage: Stage
let relays: Relay[]
let balancer: Awaited<ReturnType<typeof startBalancer>>
beforeAll(async () => {
  stage = await Stage.open()
  relays = [stage.relay, await stage.another()]
  balancer = await startBalancer(relays)
})
afterAll(async () => {
  await balancer[Symbol.asyncDispose]()
  await stage[Symbol.asyncDispose]()
})

type Socket = ReturnType<typeof latest>
type Options = NonNullable<Parameters<typeof latest>[1]>
const sockets: Socket[] = []
afterEach(() => sockets.splice(0).forEach((socket) => socket.disconnect()))

const versions: readonly [string, typeof latest][] = [
  ['4.7.5', published as unknown as typeof latest],
  ['4.8.4', latest],
]
const transports: readonly [string, string[]][] = [
  ['websocket only', ['websocket']],
  ['polling only', ['polling']],
  ['upgrading', ['polling', 'websocket']],
  ['as the specification has it', ['websocket', 'polling']],
]
const all = versions.flatMap(([version, io]) =>
  transports.map(([name, used]) => [version, name, io, used] as const),
)

let users = 0
const newUser = (): string => `unknown-${(users += 1)}`

function connect(
  io: typeof latest,
  options: Options,
  url = balancer.url,
): { socket: Socket; heard: unknown[][] } {
  const socket = io(url, { forceNew: true, ...options })
  sockets.push(socket)
  const heard: unknown[][] = []
  for (const event of Object.keys(serverEvents))
    socket.on(event, (...args: unknown[]) => heard.push([event, ...args]))
  return { socket, heard }
}

const names = (heard: unknown[][]): unknown[] => heard.map(([event]) => event)
const told = (heard: unknown[][]): unknown[] =>
  heard.flatMap(([event, payload]) =>
    event === 'broker.connected'
      ? [(payload as { brokerConnectionId: string }).brokerConnectionId]
      : [],
  )
const payloadOf = (heard: unknown[][], event: string): unknown =>
  heard.find(([name]) => name === event)?.[1]
const isOpen = (heard: unknown[][], times = 1) =>
  expect
    .poll(() => names(heard).filter((name) => name === 'connection.authorized'))
    .toHaveLength(times)

describe.each(all)('socket.io-client %s, %s', (_version, _name, io, used) => {
  test('gets events with one argument each, and answers to its commands as events', async () => {
    const user = newUser()
    const { socket, heard } = connect(io, {
      query: { token: await signed({ sub: user }) },
      transports: used,
    })
    await isOpen(heard)
    for (const n of [1, 2, 3]) await stage.tell(user, notice(n))
    await expect.poll(() => told(heard)).toEqual(['b1', 'b2', 'b3'])
    socket.emit('state.requestSync', { syncTypes: ['portfolio', 'positions', 'trades'] })
    await expect.poll(() => names(heard)).toContain('state.sync')
    serverEvents['state.sync'].schema.parse(payloadOf(heard, 'state.sync'))
    expect(heard.filter((event) => event.length !== 2)).toEqual([]) // languages with fixed parameters fail on a second one
  })

  test('without ids - reconnects by itself, requests the state, and continues from there', async () => {
    const user = newUser()
    const query = { token: await signed({ sub: user }) }
    const { socket, heard } = connect(io, {
      query,
      transports: used,
      reconnectionDelay: 50,
      reconnectionDelayMax: 100,
    })
    socket.io.on('reconnect', () => socket.emit('state.requestSync', {}))
    await isOpen(heard)
    await stage.tell(user, notice(1))
    await expect.poll(() => told(heard)).toEqual(['b1'])
    socket.io.engine.close()
    const lastEventId = await stage.tell(user, notice(2))
    await isOpen(heard, 2)
    await expect.poll(() => payloadOf(heard, 'state.sync')).toMatchObject({ lastEventId })
    await stage.tell(user, notice(3))
    await expect.poll(() => told(heard).at(-1)).toBe('b3')
    const afterSync = heard.slice(names(heard).indexOf('state.sync') + 1)
    expect(told(afterSync)).toEqual(['b3'])
  })

  test('with auth.lastEventId - gets every later event once, at any relay and transport', async () => {
    const user = newUser()
    const token = await signed({ sub: user })
    const auth = { token, lastEventId: '' }
    const first = connect(io, { auth, transports: used }, relays[0]?.url)
    await isOpen(first.heard)
    for (const n of [1, 2]) await stage.tell(user, notice(n))
    await expect.poll(() => told(first.heard)).toEqual(['b1', 'b2'])
    first.socket.disconnect()
    for (const n of [3, 4]) await stage.tell(user, notice(n))
    const { id } = first.heard.at(-1)?.[2] as { id: string }
    const other = used[0] === 'polling' ? 'websocket' : 'polling'
    const second = connect(
      io,
      { auth: { token, lastEventId: id }, transports: [other] },
      relays[1]?.url,
    )
    await isOpen(second.heard)
    await stage.tell(user, notice(5))
    await expect.poll(() => told(second.heard)).toEqual(['b3', 'b4', 'b5'])
    expect(names(second.heard)).not.toContain('state.resync')
  })
})

test('a checked handler with one parameter is never called with two', async () => {
  const user = newUser()
  const socket = latest(balancer.url, {
    forceNew: true,
    query: { token: await signed({ sub: user }) },
  })
  sockets.push(socket)
  const seen: unknown[] = []
  const wrong: number[] = []
  for (const event of Object.keys(serverEvents)) {
    socket.on(event, function handler(payload: unknown) {
      if (arguments.length !== handler.length) wrong.push(arguments.length)
      seen.push(payload)
    })
  }
  await expect.poll(() => seen.length).toBe(1)
  for (const n of [1, 2, 3]) await stage.tell(user, notice(n))
  await expect.poll(() => seen.length).toBe(4)
  expect(wrong).toEqual([])
})
