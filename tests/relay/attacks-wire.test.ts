import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SESSION_NOTICE } from '#contract'
import { Arena, DEVICE, type RawSocket } from './arena.ts'
import { notice } from './harness.ts'

let arena: Arena
beforeAll(async () => {
  arena = await Arena.open({ RELAY_CORS_ORIGINS: 'https://app.example' })
})
afterAll(() => arena[Symbol.asyncDispose]())

let insiders = 0
/**
 * Every attacker is a user of its own, so that the limits of one attack do not refuse the next one.
 */
const insider = (auth?: Record<string, unknown>): Promise<RawSocket> =>
  arena.insider(`mallory-${(insiders += 1)}`, auth)
const eventsIn = (socket: RawSocket): string[] =>
  socket.texts.flatMap((text) => /^42\["([^"]+)"/.exec(text)?.[1] ?? [])
/** Events that a connection may get about itself. */
const OWN =
  /^(connection\.|error\.rateLimitWarning$|state\.sync$|state\.resync$|market\.quote$|token\.expiring$)/

const event = (...parts: unknown[]): string => `42${JSON.stringify(parts)}`
const deep = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)

/** Packets of a client with a valid token, about another user. */
const packets: Record<string, (victim: string) => (string | Buffer)[]> = {
  'a command for another user’s room': (victim) => [
    event('state.requestSync', { room: `user:${victim}`, userId: victim }),
  ],
  'rooms as symbols': (victim) => [
    event('market.subscribe', { symbols: [`user:${victim}`, `../user:${victim}`] }),
  ],
  'rooms as symbols, one level deeper': (victim) => [
    event('market.subscribe', { symbols: [[`user:${victim}`]] }),
  ],
  'a symbol that ends its channel': () => [
    event('market.subscribe', { symbols: ['AAPL#', 'A}', '*', ''] }),
  ],
  'names that would join': (victim) =>
    ['join', 'subscribe', 'room', 'leave'].map((name) => event(name, `user:${victim}`)),
  'an object’s insides as events': () =>
    ['__proto__', 'constructor', 'toString', 'hasOwnProperty'].map((n) => event(n, {})),
  'a prototype as a payload': () => [
    `42["market.subscribe",{"__proto__":{"symbols":["AAPL"]},"constructor":{}}]`,
  ],
  'reserved events': () =>
    ['connect', 'connect_error', 'newListener', 'removeListener'].map((n) => event(n, {})),
  'the reserved event that ends a connection': () => [
    event('disconnect', 'x'),
    event('disconnecting'),
  ],
  'events that only we send': (victim) => [
    event('trade.filled', { userId: victim }),
    event('connection.closed', { reason: 'logout' }),
  ],
  'the notice that relays heed': () => [event(SESSION_NOTICE, {})],
  'numbers and nothing as names': () => [
    '42[0,{}]',
    '42[1e309]',
    '42[null]',
    '42[]',
    '42[[]]',
    '42{}',
  ],
  'packets that are no JSON': () => ['42["a"', '42', '4', '42[\u0000]'],
  'lists in lists': () => [`42["market.subscribe",${deep(5_000)}]`],
  'half of a character': () => [`42["market.subscribe",{"symbols":["\\ud800","\\u0000"]}]`],
  'types that there are none of': () => ['47["a"]', '49', '4x', '9', 'x'],
  'answers to questions nobody asked': () => ['430[{}]', '4399999999999999[1]', '43-1[]', '43[]'],
  'an acknowledgement id without end': () => [`42${'9'.repeat(400)}["state.requestSync",{}]`],
  'attachments that never come': () => ['4599-["a",{"_placeholder":true,"num":98}]'],
  'an attachment at a place that is none': () => [
    `451-["market.subscribe",{"symbols":{"_placeholder":true,"num":"__proto__"}}]`,
    Buffer.from([1, 2, 3]),
  ],
  'more attachments than memory': () => ['459999999999-["a",{"_placeholder":true,"num":0}]'],
  'bytes without a packet': () => [Buffer.alloc(100, 0xff), Buffer.alloc(0)],
  'another namespace': () => [
    '40/admin,{}',
    '40/__proto__,',
    '42/admin,["state.requestSync",{}]',
    '41/admin,',
  ],
  'a second greeting, for somebody else': (victim) => [
    `40{"token":"x","lastEventId":"","userId":"${victim}"}`,
    '40',
  ],
  'an error of its own': () => ['44{"message":"x"}', '44/,"y"'],
  'heartbeats that nobody asked for': () => ['3', '3', '2', '2probe', '5'],
  'a farewell, and then more': () => ['41', event('state.requestSync', {})],
  '20 kB in one packet': () => [event('market.subscribe', { symbols: ['A'.repeat(20_000)] })],
  '1 MB in one packet': () => [event('x', 'A'.repeat(1_000_000))],
}

describe('a client with a valid token sends', () => {
  test.each(Object.entries(packets))('%s', async (_name, make) => {
    await arena.attack(async (victim) => {
      const socket = await insider()
      for (const packet of make(victim)) socket.send(packet)
      // Either the connection is still served, or it was cut for its packets: either result shows
      // that the attack has been read.
      socket.send('42777["market.unsubscribe",{"symbols":["ZZZ"]}]')
      await expect
        .poll(() => socket.isClosed() || /^43777/m.test(socket.texts.join('\n')))
        .toBe(true)
      expect(eventsIn(socket).filter((name) => !OWN.test(name))).toEqual([])
    })
  })

  test.each<[string, unknown]>([
    ['an id of another user’s log', '1600000000000-00000'],
    ['an id of 10 kB', '1'.repeat(10_000)],
    ['an id that is a pattern', '*'],
    ['an id that is an object', { id: '0', prev: '__proto__' }],
  ])('%s as lastEventId, and gets its own state only', async (_name, lastEventId) => {
    await arena.attack(async () => {
      await arena.stage.tell(`mallory-${insiders + 1}`, notice(1)) // an attacker that the store knows
      const socket = await insider({ lastEventId })
      await expect
        .poll(() => eventsIn(socket))
        .toEqual(['connection.authorized', 'state.resync', 'state.sync'])
    })
  })

  test('the device id of the victim, and evicts no connection', async () => {
    await arena.attack(async () => {
      const socket = await insider({ deviceId: DEVICE })
      socket.send('421["state.requestSync",{}]')
      await expect.poll(() => eventsIn(socket)).toContain('state.sync')
    })
  })

  test.each(['a}b', 'a#b', 'a{victim}', '*', 'x'.repeat(200), '__proto__\n'])(
    'the device id %j, which is dropped and stored nowhere',
    async (deviceId) => {
      await arena.attack(async () => {
        const sub = `m-${(insiders += 1)}`
        const socket = await arena.insider(sub, { deviceId })
        expect(socket.texts.join()).toContain('"field":"deviceId"')
        expect(await arena.stage.redis.connect().exists(`devices:{${sub}}`)).toBe(0)
      })
    },
  )

  test('as user ids the names of object members, and gets no other user’s events', async () => {
    await arena.attack(async () => {
      for (const sub of ['__proto__', 'constructor', 'user:victim-1', 'toString']) {
        const socket = await arena.insider(sub)
        socket.send('421["state.requestSync",{}]')
        await expect.poll(() => eventsIn(socket)).toEqual(['connection.authorized', 'state.sync'])
      }
    })
  })
})

describe('a client without a token', () => {
  test(
    'gets no event, joins no room, and is closed within seconds',
    { timeout: 20_000 },
    async () => {
      await arena.attack(async (victim) => {
        const socket = arena.ws()
        socket.send(event('state.requestSync', {}))
        const silent = arena.ws()
        await expect.poll(() => [socket.isClosed(), silent.isClosed()]).toEqual([true, true])
        expect([...eventsIn(socket), ...eventsIn(silent)]).toEqual([])
        expect(await arena.stage.redis.connect().call('PUBSUB', 'CHANNELS', '*user:*')).toEqual([
          `socket.io#/#user:${victim}#`,
        ])
      })
    },
  )

  test('sends a flood of packets, and is cut', async () => {
    await arena.attack(async () => {
      const before = await arena.stage.rejected('packet_flood')
      const socket = arena.ws()
      for (let n = 0; n < 500; n += 1) socket.send('3')
      await expect.poll(() => socket.isClosed()).toBe(true)
      expect(await arena.stage.rejected('packet_flood')).toBe(before + 1)
    })
  })

  test.each(['ping', 'pong'] as const)(
    'sends a flood of control frames (%s), and is cut',
    async (frame) => {
      await arena.attack(async () => {
        const before = await arena.stage.rejected('packet_flood')
        const socket = arena.ws()
        await expect.poll(() => socket.texts.length).toBe(1)
        for (let n = 0; n < 500; n += 1) socket.control(frame)
        await expect.poll(() => socket.isClosed()).toBe(true)
        expect(await arena.stage.rejected('packet_flood')).toBe(before + 1)
      })
    },
  )

  test('sends a flood of control frames before its WebSocket is connected, and is cut', async () => {
    await arena.attack(async () => {
      const before = await arena.stage.rejected('packet_flood')
      const { text } = await arena.http('/socket.io/?EIO=4&transport=polling')
      const { sid } = JSON.parse(text.slice(1)) as { sid: string }
      const socket = arena.ws(`&sid=${sid}`)
      for (let n = 0; n < 500; n += 1) socket.control('ping')
      await expect.poll(() => socket.isClosed()).toBe(true)
      expect(await arena.stage.rejected('packet_flood')).toBe(before + 1)
    })
  })

  test.each(['https://evil.example', 'null', 'https://app.example.evil', 'http://app.example'])(
    'comes from a page of %s, and is refused on every transport',
    async (origin) => {
      await arena.attack(async () => {
        const socket = arena.ws('', { origin })
        await expect.poll(() => socket.isClosed()).toBe(true)
        expect(socket.texts).toEqual([])
        const polled = await arena.http('/socket.io/?EIO=4&transport=polling', {
          headers: { origin },
        })
        expect(polled.status).toBe(403)
      })
    },
  )
})
