import { Emitter } from '@socket.io/redis-emitter'
import { SignJWT } from 'jose'
import { marketRoom, userRoom } from '#contract'
import { createStore } from '#store'
import { type ManagedProcess, startProcess } from '../support/process.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import type { Visitor } from './crowd.ts'

/**
 * One of the relays that are measured beside each other: some processes of it, on a Redis of their
 * own.
 */
export type RelaySide = AsyncDisposable &
  Readonly<{
    processes: readonly ManagedProcess[]
    /** The n-th user, whose process is the n-th too, round and round. */
    visitor(n: number, symbols: readonly string[]): Promise<Visitor>
    /** Sends `count` events to the watchers of the symbol, in one write to Redis. */
    broadcast(symbol: string, count: number): Promise<void>
    /**
     * Sends one event to one user. On every side it goes into the user's log first, as a worker's
     * does, so that all are sent at one pace.
     */
    tell(userId: string): Promise<void>
    /** Sends `count` events to users who are not here. */
    tellElsewhere(count: number): Promise<void>
  }>

export const RELAY_SIDES = ['bare', 'stock', 'fillcast'] as const
export type RelaySideName = (typeof RELAY_SIDES)[number]
export const userIdOf = (n: number): string => `user-${n}`

const SECRET = 'the secret of the relay benchmark, 32 or more'
/** An event of 300 bytes of JSON on every side. */
const TIMESTAMP = '2024-03-15T14:00:00.000Z'
const EVENT = 'broker.connected'
const PAYLOAD = { brokerType: 'alpaca', brokerConnectionId: 'b'.repeat(180), timestamp: TIMESTAMP }
const QUOTE = { symbol: 'AAPL', note: 'q'.repeat(200), timestamp: TIMESTAMP }
const ELSEWHERE = userRoom('user-elsewhere')

type Publication = readonly [channel: string, message: Buffer]

/** The packet that the emitter publishes for one event of one room. */
function packetOf(room: string, event: string, payload: unknown): Publication {
  let packet: Publication | undefined
  const emitter = new Emitter({
    publish: (channel: string, message: Buffer) => void (packet = [channel, message]),
  })
  emitter.to(room).emit(event, payload)
  if (packet === undefined) throw new TypeError('the emitter did not publish')
  return packet
}

/** The same event as a bare WebSocket client gets it. */
const textOf = (room: string, event: string, payload: unknown): Publication => [
  room,
  Buffer.from(`42${JSON.stringify([event, payload])}`),
]

const tokenOf = (userId: string): Promise<string> =>
  new SignJWT()
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(userId)
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(SECRET))

const ENTRIES = {
  bare: 'tests/bench/naive/bare.ts',
  stock: 'tests/bench/naive/relay.ts',
  fillcast: 'relay/main.ts',
}
const ENV = {
  LISTEN_HOST: '127.0.0.1',
  RELAY_PORT: '0',
  JWT_HS256_SECRET: SECRET,
  LOG_LEVEL: 'info',
  RELAY_CONNECTIONS_PER_ADDRESS: '100000', // all of the clients are here
}

/** @throws {Error} something did not start */
export async function startRelaySide(
  name: RelaySideName,
  processCount: number,
): Promise<RelaySide> {
  const redis = await startRedis()
  const processes: ManagedProcess[] = []
  const stop = async (): Promise<void> => {
    await Promise.all(processes.map((each) => each.kill()))
    await redis.stop()
  }
  try {
    const ready = name === 'fillcast' ? /"relay\.ready"/ : / on http/
    const env = { ...ENV, REDIS_URL: redis.url }
    while (processes.length < processCount)
      processes.push(await startProcess({ entry: ENTRIES[name], env, ready }))
  } catch (error) {
    await stop()
    throw error
  }
  const sending = name === 'bare' ? textOf : packetOf
  const link = redis.connect()
  const commit = commitsOn(redis)
  const publish = async (count: number, [channel, message]: Publication): Promise<void> => {
    const pipeline = link.pipeline()
    for (let n = 0; n < count; n += 1) pipeline.publish(channel, message)
    await pipeline.exec()
  }
  return {
    processes,
    visitor: (n, symbols) => visitorOf(name, processes, n, symbols),
    broadcast: (symbol, count) =>
      publish(count, sending(marketRoom(symbol), 'market.quote', QUOTE)),
    async tell(userId) {
      await commit(userId)
      if (name === 'bare') await publish(1, textOf(userRoom(userId), EVENT, PAYLOAD))
    },
    tellElsewhere: (count) => publish(count, sending(ELSEWHERE, EVENT, PAYLOAD)),
    [Symbol.asyncDispose]: stop,
  }
}

const portOf = (readyLine: string): string =>
  /(?:"port":|127\.0\.0\.1:)(\d+)/.exec(readyLine)?.[1] ?? ''

async function visitorOf(
  name: RelaySideName,
  processes: readonly ManagedProcess[],
  n: number,
  symbols: readonly string[],
): Promise<Visitor> {
  const userId = userIdOf(n)
  const host = `ws://127.0.0.1:${portOf(processes[n % processes.length]?.readyLine ?? '')}`
  if (name === 'bare') {
    const rooms = [userRoom(userId), ...symbols.map(marketRoom)].map(
      (room) => `room=${encodeURIComponent(room)}`,
    )
    return { url: `${host}/?${rooms.join('&')}`, greeting: undefined, welcome: '40' }
  }
  const auth = { token: await tokenOf(userId), ...(symbols.length > 0 && { symbols }) }
  return {
    url: `${host}/socket.io/?EIO=4&transport=websocket`,
    greeting: `40${JSON.stringify(auth)}`,
    welcome: name === 'fillcast' ? '42["connection.authorized"' : '40',
  }
}

/** Commits events to their user's log, which publishes them in the emitter's format. */
function commitsOn(redis: TestRedis): RelaySide['tell'] {
  const store = createStore(redis.connect())
  const versions = new Map<string, string>()
  return async (userId) => {
    const done = await store.commit(userId, {
      expectVersion: versions.get(userId) ?? '0',
      fence: { kind: 'version' },
      writes: [],
      events: [{ event: EVENT, payload: { ...PAYLOAD, brokerType: 'alpaca' } }],
    })
    if (done.kind !== 'committed')
      throw new Error(`an event of ${userId} was not committed: ${done.kind}`)
    versions.set(userId, done.version)
  }
}
