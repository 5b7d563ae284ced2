import { type AddressInfo, connect, createServer } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Relay } from '../../relay/server.ts'
import { Stage } from './harness.ts'

// A request for a session of another relay, byte for byte: the headers that any client may write,
// and the answer of the owner.

let stage: Stage
let owner: Relay
let other: Relay
beforeAll(async () => {
  stage = await Stage.open({ RELAY_CONNECTIONS_PER_ADDRESS: '100000' })
  owner = stage.relay
  other = await stage.another({ RELAY_CONNECTIONS_PER_ADDRESS: '100000' })
})
afterAll(() => stage[Symbol.asyncDispose]())

const PATH = '/socket.io/?EIO=4&transport=polling'

/** Sends a request unchanged; returns the first line of the answer, empty without an answer. */
function statusOf(at: Relay, text: string, waitMs = 15_000): Promise<string> {
  return new Promise((resolve) => {
    let answer = ''
    const socket = connect(at.port, '127.0.0.1', () => socket.write(text))
    socket.setTimeout(waitMs, () => socket.destroy())
    socket.on('error', () => {})
    socket.on('data', (data) => {
      answer += data.toString('latin1')
      if (answer.includes('\r\n')) socket.destroy()
    })
    socket.on('close', () => resolve(answer.split('\r\n')[0] ?? ''))
  })
}

/** Opens a session at the owner, without a pending request. */
async function openSession(): Promise<string> {
  const text = await (await fetch(`${owner.url}${PATH}`)).text()
  return (JSON.parse(text.slice(1)) as { sid: string }).sid
}

const write = (first: string, headers: readonly string[], body = ''): string =>
  `${[first, 'Host: relay', ...headers].join('\r\n')}\r\n\r\n${body}`

const UPGRADE = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
]

/**
 * The kinds of request that a session gets. A body of its own length, so that other headers of it
 * do not end it early.
 */
const kinds: Record<string, (sid: string, headers: readonly string[]) => string> = {
  poll: (sid, headers) => write(`GET ${PATH}&sid=${sid} HTTP/1.1`, headers),
  message: (sid, headers) =>
    write(`POST ${PATH}&sid=${sid} HTTP/1.1`, ['Content-Length: 3', ...headers], '40x'),
  preflight: (sid, headers) => write(`OPTIONS ${PATH}&sid=${sid} HTTP/1.1`, headers),
  removal: (sid, headers) => write(`DELETE ${PATH}&sid=${sid} HTTP/1.1`, headers),
  upgrade: (sid, headers) =>
    write(`GET /socket.io/?EIO=4&transport=websocket&sid=${sid} HTTP/1.1`, [
      ...UPGRADE,
      ...headers,
    ]),
}

/** Headers that Node, or HTTP itself, does something about. */
const special: Record<string, readonly string[]> = {
  Trailer: ['x', 'X-Fillcast-Hop', ''],
  'Transfer-Encoding': ['chunked', 'identity', 'gzip, chunked', 'x'],
  'Content-Length': ['0', '3', '-1', '99999999999999999999', '3, 3', 'x'],
  Connection: ['close', 'keep-alive', 'upgrade', 'Trailer, TE', 'x-fillcast-hop'],
  'Keep-Alive': ['timeout=0', 'timeout=99999999999'],
  'Proxy-Connection': ['close', 'upgrade'],
  Upgrade: ['websocket', 'h2c', 'TLS/1.0', ''],
  'HTTP2-Settings': ['AAMAAABkAARAAAAAAAIAAAAA'],
  Expect: ['100-continue', 'x', ''],
  TE: ['trailers', 'chunked'],
  Host: ['other', '', 'a b'],
  Date: ['x', ''],
  Cookie: ['io=x', '__proto__=x'],
  'Set-Cookie': ['io=x'],
  Origin: ['https://app.example', 'null', '\xff'],
  'Content-Type': ['application/octet-stream', 'x'],
  'Content-Encoding': ['gzip', 'x'],
  'Accept-Encoding': ['gzip', 'x', 'br;q=0'],
  'X-Forwarded-For': ['127.0.0.1', 'x, y'],
  'Sec-WebSocket-Key': ['x', ''],
  'Sec-WebSocket-Version': ['13', '0'],
  'Sec-WebSocket-Extensions': ['permessage-deflate', 'x;y=z'],
  'Sec-WebSocket-Protocol': ['a', 'a, b, a'],
  __proto__: ['x'],
}
const headerLines = Object.entries(special).flatMap(([name, values]) =>
  values.map((value) => `${name}: ${value}`),
)

const AT_ONCE = 15

describe('a request for a session is answered, and ends no other session,', () => {
  const everywhere = Object.keys(kinds).flatMap((kind) => [
    ['another', kind] as const,
    ['its owner', kind] as const,
  ])
  test.each(everywhere)(
    'with each header that Node treats specially: at %s, %s',
    async (where, kind) => {
      const at = where === 'another' ? other : owner
      // A poll of a session without events is held open: the test only needs its acceptance.
      const waitMs = kind === 'poll' ? 1_000 : undefined
      const silent: string[] = []
      for (let from = 0; from < headerLines.length; from += AT_ONCE)
        await Promise.all(
          headerLines.slice(from, from + AT_ONCE).map(async (line) => {
            const status = await statusOf(at, kinds[kind]!(await openSession(), [line]), waitMs)
            if (!/^HTTP\/1\.1 [1-5]\d\d /.test(status) && !(kind === 'poll' && status === ''))
              silent.push(line)
          }),
        )
      expect(silent).toEqual([])
    },
  )

  test('with any of them together', async () => {
    const lines = fc.uniqueArray(fc.constantFrom(...headerLines), { minLength: 2, maxLength: 6 })
    const draw = fc.record({
      kind: fc.constantFrom(...Object.keys(kinds).filter((kind) => kind !== 'poll')),
      lines,
    })
    await fc.assert(
      fc.asyncProperty(draw, async ({ kind, lines }) => {
        expect(await statusOf(other, kinds[kind]!(await openSession(), lines))).toMatch(
          /^HTTP\/1\.1 [1-5]\d\d /,
        )
      }),
      { numRuns: 150, seed: 21 },
    )
  })
})

/** An owner that is no relay: it records its requests and sends the answer of the test. */
async function standIn(
  answer: string,
): Promise<AsyncDisposable & { sid: string; heard: string[] }> {
  const heard: string[] = []
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (data) => {
      heard.push(data.toString('latin1'))
      socket.end(answer)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const node = `standin${port}`
  const record = { host: '127.0.0.1', port, hopKey: 'key' }
  await stage.redis.connect().set(`relay:${node}`, JSON.stringify(record), 'PX', 60_000)
  return {
    sid: `${node}.x`,
    heard,
    async [Symbol.asyncDispose]() {
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

describe('an owner is sent', () => {
  const given = [
    'Origin: https://app.example',
    'Accept-Encoding: gzip',
    'Content-Type: text/plain;charset=UTF-8',
    'Cookie: session=secret',
    'Authorization: Bearer secret',
    'X-Forwarded-For: 203.0.113.9',
    'TE: trailers',
    'Connection: x-fillcast-hop',
    'X-Anything: at all',
  ]

  test.each(['message', 'upgrade'])('only the headers that a session needs: %s', async (kind) => {
    await using there = await standIn(OK)
    await statusOf(other, kinds[kind]!(there.sid, given))
    await expect.poll(() => there.heard.join('')).toMatch(/x-fillcast-hop: key/i)
    const names = [...there.heard.join('').matchAll(/^([A-Za-z0-9-]+): /gm)].map(([, name = '']) =>
      name.toLowerCase(),
    )
    const known =
      kind === 'upgrade'
        ? ['connection', 'upgrade', 'sec-websocket-version', 'sec-websocket-key']
        : ['accept-encoding', 'content-type', 'content-length', 'connection']
    expect(names.toSorted()).toEqual([...known, 'host', 'origin', 'x-fillcast-hop'].toSorted())
  })

  test('the body of a message, and no body with a request that has none', async () => {
    await using there = await standIn(OK)
    const smuggled = write('GET /socket.io/?smuggled HTTP/1.1', [])
    const chunked = `${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`
    const first = `GET ${PATH}&sid=${there.sid} HTTP/1.1`
    expect(await statusOf(other, write(first, ['Transfer-Encoding: chunked'], chunked))).toMatch(
      / 200 /,
    )
    expect(there.heard.join('')).not.toContain('smuggled')
    expect(await statusOf(other, kinds['message']!(there.sid, []))).toMatch(/ 200 /)
    expect(there.heard.join('')).toMatch(/\r\n\r\n40x$/)
  })
})

describe('an owner’s answer', () => {
  test.each([
    ['that promises trailers', 'HTTP/1.1 200 OK\r\nTrailer: x\r\nContent-Length: 2\r\n\r\nok', 200],
    [
      'that switches protocols unasked',
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n',
      502,
    ],
    ['that is no HTTP', 'EHLO\r\n', 502],
    ['that breaks off', 'HTTP/1.1 200 OK\r\nContent-', 502],
    ['with a status that there is none of', 'HTTP/1.1 099 What\r\nContent-Length: 0\r\n\r\n', 502],
  ])('%s ends no session', async (_name, answer, status) => {
    await using there = await standIn(answer)
    expect(await statusOf(other, kinds['message']!(there.sid, []))).toMatch(
      new RegExp(`^HTTP/1.1 ${status} `),
    )
  })
})

test.each([
  ['is no JSON', 'x'],
  ['is a number', '1'],
  ['has no port', '{"host":"127.0.0.1","hopKey":"k"}'],
  ['has a port beyond all ports', '{"host":"127.0.0.1","port":70000,"hopKey":"k"}'],
  [
    'has a key that would be another header',
    '{"host":"127.0.0.1","port":1,"hopKey":"k\\r\\nX: y"}',
  ],
])('a relay whose record %s counts as absent: its sessions are unknown', async (what, record) => {
  const node = `bad${what.length}`
  await stage.redis.connect().set(`relay:${node}`, record, 'PX', 60_000)
  for (const kind of ['message', 'upgrade'])
    expect(await statusOf(other, kinds[kind]!(`${node}.x`, []))).toMatch(/^HTTP\/1.1 400 /)
})
