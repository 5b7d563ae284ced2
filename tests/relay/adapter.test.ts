import { encode } from '@msgpack/msgpack'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { notice, numbers, Stage } from './harness.ts'

// The adapter uses private parts of a pinned vendor version: these tests show that those parts work
// as it expects.

let stage: Stage
beforeAll(async () => {
  stage = await Stage.open()
})
afterAll(() => stage[Symbol.asyncDispose]())

const meta = { id: '1600000000000-00000', prev: '0000000000000-00000' }
const packet = (rooms: unknown, ...data: unknown[]): unknown => [
  'emitter',
  { type: 2, data, nsp: '/' },
  { rooms, flags: {} },
]
const quote = { symbol: 'AAPL' }

describe('any packet on a channel', () => {
  test.each<[string, unknown]>([
    ['a number', 5],
    ['nothing', null],
    ['an empty packet', ['emitter', {}, {}]],
    ['a wrong type', ['emitter', { type: 3, data: [], nsp: '/' }, { rooms: ['user:alice'] }]],
    [
      'exceptions that are no list',
      [
        'emitter',
        { type: 2, data: ['trade.filled', {}, meta], nsp: '/' },
        { rooms: ['user:alice'], except: 5 },
      ],
    ],
    ['a reserved event', packet(['user:alice'], 'disconnect', {}, meta)],
    ['an event of no contract', packet(['user:alice'], 'constructor', {}, meta)],
    ['an event without its id', packet(['user:alice'], 'trade.filled', {})],
    ['an id that is none', packet(['user:alice'], 'trade.filled', {}, { id: 'x', prev: 'y' })],
    ['another user’s room', packet(['user:bob'], 'trade.filled', {}, meta)],
    ['a second room', packet(['user:alice', 'user:bob'], 'trade.filled', {}, meta)],
    ['no room', packet([], 'trade.filled', {}, meta)],
  ])('%s is dropped, and harms no client', async (_name, content) => {
    const [alice, bob] = await Promise.all([stage.authorized(), stage.authorized({}, 'bob')])
    const redis = stage.redis.connect()
    await redis.publish('socket.io#/#user:alice#', Buffer.from(encode(content)))
    await redis.publish('socket.io#/#', Buffer.from(encode(content)))
    await redis.publish('socket.io-request#/#', Buffer.from(encode(content)))
    await stage.tell('alice', notice(1))
    await stage.tell('bob', notice(2))
    await expect.poll(() => [numbers(alice), numbers(bob)]).toEqual([[1], [2]])
    expect(
      [...alice.names(), ...bob.names()].filter((event) => event.startsWith('trade.')),
    ).toEqual([])
  })

  test('a quote reaches watchers of its symbol; its channel can carry no user event', async () => {
    const client = await stage.authorized()
    await client.socket.emitWithAck('market.subscribe', { symbols: ['AAPL'] })
    const redis = stage.redis.connect()
    await redis.publish(
      'socket.io#/#market:AAPL#',
      Buffer.from(encode(packet(['user:alice'], 'market.quote', quote))),
    )
    await redis.publish(
      'socket.io#/#market:AAPL#',
      Buffer.from(encode(packet(['market:AAPL'], 'market.quote', quote))),
    )
    await expect
      .poll(() => client.heard.filter(([event]) => event === 'market.quote'))
      .toEqual([['market.quote', quote]])
  })

  test('quotes of many symbols in one turn all arrive', async () => {
    const symbols = Array.from({ length: 50 }, (_, i) => `S${i}`)
    const client = await stage.authorized()
    await client.socket.emitWithAck('market.subscribe', { symbols })
    const redis = stage.redis.connect()
    const publish = (symbol: string) =>
      redis.publish(
        `socket.io#/#market:${symbol}#`,
        Buffer.from(encode(packet([`market:${symbol}`], 'market.quote', { symbol }))),
      )
    await Promise.all(symbols.map(publish))
    const quoted = () =>
      client.heard.flatMap(([event, payload]) =>
        event === 'market.quote' ? [(payload as typeof quote).symbol] : [],
      )
    await expect.poll(() => quoted().sort()).toEqual(symbols.toSorted())
  })

  test('only rooms with a member are subscribed', async () => {
    const client = await stage.authorized({}, 'carol')
    const redis = stage.redis.connect()
    const channels = (): Promise<unknown> => redis.call('PUBSUB', 'CHANNELS', '*carol*')
    expect(await channels()).toEqual(['socket.io#/#user:carol#'])
    expect(await redis.call('PUBSUB', 'NUMPAT')).toBe(0)
    client.socket.disconnect()
    await expect.poll(channels).toEqual([])
  })
})

describe('a resync in the log', () => {
  test('is followed by the whole state, live and on resume', async () => {
    const live = await stage.authorized({}, 'dave')
    const resync = {
      event: 'state.resync',
      payload: { reason: 'rebuilt', timestamp: '2024-03-15T14:00:00.000Z' },
    } as const
    await stage.tell('dave', notice(1), resync, notice(2))
    await expect.poll(() => live.names()).toContain('state.sync')
    expect(live.names().slice(1, 4)).toEqual(['broker.connected', 'state.resync', 'state.sync'])
    await stage.tell('dave', notice(3))
    await expect.poll(() => numbers(live).at(-1)).toBe(3)
    expect(numbers(live)).not.toContain(2) // it is in the state
  })
})
