import { encode } from '@msgpack/msgpack'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SESSION_NOTICE } from '#contract'
import { Arena } from './arena.ts'

// The doors that are no Socket.IO events: HTTP, session ids, the hop between relays, and the
// channels of Redis.

let arena: Arena
beforeAll(async () => {
  arena = await Arena.open()
  await arena.stage.another({ RELAY_CONNECTIONS_PER_ADDRESS: '100000' })
})
afterAll(() => arena[Symbol.asyncDispose]())

const POLLING = '/socket.io/?EIO=4&transport=polling'
const nodeIds = async (): Promise<string[]> =>
  (await arena.stage.redis.connect().keys('relay:*')).map((key) => key.slice('relay:'.length))

describe('over HTTP', () => {
  const forged = [
    '__proto__',
    'constructor.x',
    '%00',
    '..%2f..%2f',
    'a'.repeat(4_000),
    '%ff%fe',
    "' OR 1=1",
  ]
  test.each(forged)('the session id %s opens nothing', async (sid) => {
    await arena.attack(async () => {
      for (const init of [{}, { method: 'POST', body: '42["state.requestSync",{}]' }]) {
        const answer = await arena.http(`${POLLING}&sid=${sid}`, init)
        expect([400, 403]).toContain(answer.status)
      }
    })
  })

  test('guessed session ids of live relays open nothing, at any relay', async () => {
    await arena.attack(async () => {
      for (const node of await nodeIds()) {
        for (const rest of ['', 'AAAAAAAAAAAAAAAAAAAA', '__proto__', '%00'])
          expect((await arena.http(`${POLLING}&sid=${node}.${rest}`)).status).toBe(400)
        const upgraded = arena.ws(`&sid=${node}.AAAAAAAAAAAAAAAAAAAA`)
        upgraded.send('2probe')
        await expect.poll(() => upgraded.isClosed()).toBe(true)
        expect(upgraded.texts).toEqual([])
      }
    })
  })

  test.each<[string, Record<string, string>]>([
    ['x-fillcast-hop', { 'x-fillcast-hop': 'guess' }],
    ['x-fillcast-hop, twice', { 'x-fillcast-hop': 'a, b' }],
    ['x-fillcast-hop, empty', { 'x-fillcast-hop': '' }],
  ])('the header %s does not open a session to another client', async (_name, headers) => {
    await arena.attack(async () => {
      const { text } = await arena.http(POLLING)
      const { sid } = JSON.parse(text.slice(1)) as { sid: string }
      const answer = await arena.http(`${POLLING}&sid=${sid}`, {
        headers,
        method: 'POST',
        body: '40{}',
      })
      expect(answer.status).toBeGreaterThanOrEqual(400)
      const upgrade = arena.ws('', headers)
      upgrade.send('40{}')
      await expect.poll(() => upgrade.isClosed()).toBe(true)
      expect(upgrade.texts).toEqual([])
    })
  })

  test.each<[string, string, RequestInit]>([
    ['an older protocol', '/socket.io/?EIO=3&transport=polling', {}],
    ['a transport of an object’s insides', '/socket.io/?EIO=4&transport=__proto__', {}],
    ['no transport', '/socket.io/?EIO=4', {}],
    ['DELETE', POLLING, { method: 'DELETE' }],
    ['PUT', POLLING, { method: 'PUT', body: 'x' }],
    ['a message before a session', POLLING, { method: 'POST', body: '40{}' }],
    ['a path outside', '/socket.io/../../etc/passwd', {}],
    ['the client library', '/socket.io/socket.io.js', {}],
    ['probes, on the port of clients', '/metrics', {}],
  ])('%s is answered with an error', async (_name, path, init) => {
    await arena.attack(async () => {
      expect((await arena.http(path, init)).status).toBeGreaterThanOrEqual(400)
    })
  })

  test('a body of 1 MB is not read', async () => {
    await arena.attack(async () => {
      const { text } = await arena.http(POLLING)
      const { sid } = JSON.parse(text.slice(1)) as { sid: string }
      const body = 'x'.repeat(1_000_000)
      const taken = await arena
        .http(`${POLLING}&sid=${sid}`, { method: 'POST', body })
        .catch(() => ({ status: 413 }))
      expect(taken.status).toBeGreaterThanOrEqual(400)
    })
  })

  const lines = (...all: string[]): string => `${all.join('\r\n')}\r\n\r\n`
  test.each([
    [
      'two lengths of one body',
      lines(
        `POST ${POLLING} HTTP/1.1`,
        'Host: x',
        'Content-Length: 4',
        'Transfer-Encoding: chunked',
      ),
    ],
    [
      'a line break in a header',
      lines(`GET ${POLLING} HTTP/1.1`, 'Host: x', 'X-Fillcast-Hop: a\nX: b'),
    ],
    ['headers of 64 kB', lines(`GET ${POLLING} HTTP/1.1`, 'Host: x', `X: ${'y'.repeat(65_536)}`)],
    ['no HTTP', 'EHLO relay\r\n\r\n'],
    [
      'an upgrade to something else',
      lines(`GET ${POLLING} HTTP/1.1`, 'Host: x', 'Connection: Upgrade', 'Upgrade: h2c'),
    ],
    ['a path that is no URL', lines('GET //[ HTTP/1.1', 'Host: x', 'Connection: close')],
    [
      'a session that is no URL',
      lines(`GET //[/?sid=a.b HTTP/1.1`, 'Host: x', 'Connection: close'),
    ],
    [
      'an upgrade on a path that is no URL',
      lines(
        'GET //[socket.io/?EIO=4&transport=websocket HTTP/1.1',
        'Host: x',
        'Connection: Upgrade',
        'Upgrade: websocket',
        'Sec-WebSocket-Version: 13',
        'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
      ),
    ],
  ])('%s harms no client', async (_name, request) => {
    await arena.attack(async () => {
      expect(await arena.bytes(request)).not.toMatch(/^0\{|"sid"/m)
    })
  })

  test('a thousand handshakes at once are bounded, and the victim still gets its events', async () => {
    await using own = await Arena.open({ RELAY_CONNECTIONS_PER_ADDRESS: '100' })
    await own.attack(async () => {
      const answers = await Promise.all(Array.from({ length: 300 }, () => own.http(POLLING)))
      const taken = answers.filter(({ status }) => status === 200)
      expect(taken.length).toBeLessThanOrEqual(100)
      expect(answers.filter(({ status }) => status === 403)).toHaveLength(300 - taken.length)
      // The victim has to come back from the same address: within the time in which the silent ones
      // are closed there is room again.
      const open = (): Promise<number> => own.http(POLLING).then(({ status }) => status)
      await expect.poll(open, { timeout: 15_000, interval: 1_000 }).toBe(200)
    })
  })
})

describe('on a channel of Redis', () => {
  const meta = { id: '1600000000000-00000', prev: '0000000000000-00000' }
  const packet = (
    data: unknown,
    opts: unknown = { rooms: ['user:VICTIM'], flags: {} },
    nsp: unknown = '/',
  ): Buffer => Buffer.from(encode(['emitter', { type: 2, data, nsp }, opts]))
  const secret = { userId: 'b70009' }
  const messages: Record<string, (victim: string) => Buffer> = {
    nothing: () => Buffer.alloc(0),
    'half a packet': () => packet(['trade.filled', secret, meta]).subarray(0, 20),
    'a list of four thousand million': () => Buffer.from('ddffffffff', 'hex'),
    'words of four thousand million letters': () => Buffer.from('dbffffffff41', 'hex'),
    'lists in lists': () => Buffer.concat([Buffer.alloc(100_000, 0x91), Buffer.from([0xc0])]),
    'a type that there is none of': () => Buffer.from('c1', 'hex'),
    'an extension': () => Buffer.from('c70a7f41414141414141414141', 'hex'),
    'a packet with a prototype': () => Buffer.from(encode(JSON.parse('{"__proto__":{"x":1}}'))),
    'an event for everybody': () =>
      packet(['trade.filled', secret, meta], { rooms: [], flags: { broadcast: true } }),
    'an event for another namespace': (victim) =>
      packet(['trade.filled', secret, meta], { rooms: [`user:${victim}`] }, '/admin'),
    'an event with another user’s room': () =>
      packet(['trade.filled', secret, meta], { rooms: ['user:somebody'] }),
    'an event that is an object’s inside': (victim) =>
      packet(['__proto__', secret, meta], { rooms: [`user:${victim}`] }),
    'a command as an event': (victim) =>
      packet(['state.requestSync', {}, meta], { rooms: [`user:${victim}`] }),
    'an event with three arguments': (victim) =>
      packet(['trade.filled', secret, meta, 1], { rooms: [`user:${victim}`] }),
    'an event id of a million years': (victim) =>
      packet(['trade.filled', secret, { id: '99999999999999999-0', prev: meta.id }], {
        rooms: [`user:${victim}`],
      }),
    'a notice with an event’s place': (victim) =>
      packet([SESSION_NOTICE, {}, meta], { rooms: [`user:${victim}`] }),
    'an event of the future': (victim) =>
      packet(['trade.filled', secret, { id: '9999999999999-99999', prev: '9999999999999-99998' }], {
        rooms: [`user:${victim}`],
      }),
  }

  test.each(Object.entries(messages))('%s is dropped', async (_name, make) => {
    await arena.attack(async (victim) => {
      const message = make(victim)
      await arena.publish(`socket.io#/#user:${victim}#`, message)
      for (const channel of [
        'socket.io#/#',
        'socket.io-request#/#',
        'socket.io-response#/#',
        'socket.io#/#user:',
      ])
        await arena.publish(channel, message)
    })
  })

  test('a forged request between relays for sockets or tokens is ignored', async () => {
    await arena.attack(async () => {
      for (const type of [0, 1, 2, 3, 4, 5, 6, 7, 8])
        await arena.publish(
          'socket.io-request#/#',
          JSON.stringify({
            type,
            uid: 'x',
            requestId: 'r',
            opts: { rooms: [], except: [] },
            rooms: ['x'],
            close: true,
          }),
        )
      expect(await arena.stage.redis.connect().call('PUBSUB', 'CHANNELS', 'socket.io-re*')).toEqual(
        [],
      )
    })
  })
})
