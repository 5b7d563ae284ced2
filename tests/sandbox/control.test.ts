import { execFile } from 'node:child_process'
import { request } from 'node:http'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Ledger, type Sandbox, startSandbox } from '#sandbox'
import { type Answer, call } from './wire.ts'

/** The control calls over HTTP, and the command line. */

let sandbox: Sandbox

beforeEach(async () => {
  sandbox = await startSandbox({ seed: 'control', fillDelayMs: 0, tickMs: 0, partialFills: false })
})

afterEach(() => sandbox.close())

const buy = { symbol: 'AAPL', qty: '4', side: 'buy', type: 'market', time_in_force: 'day' }
const control = (path: string, body: unknown = {}): Promise<Answer> =>
  call(sandbox, 'POST', `/_sandbox/${path}`, body, {})

test('a key is revoked and restored', async () => {
  expect((await control('keys/revoke', { keyId: 'demo-key' })).body).toEqual({ ok: true })
  expect((await call(sandbox, 'GET', '/v2/account')).status).toBe(401)
  await control('keys/restore', { keyId: 'demo-key' })
  expect((await call(sandbox, 'GET', '/v2/account')).status).toBe(200)
})

test('an order is held, filled in part by command, and shown in the ledger', async () => {
  await control('matching/hold', { symbol: 'AAPL' })
  const { id } = (await call(sandbox, 'POST', '/v2/orders', buy)).body as { id: string }
  const filled = await control(`orders/${id}/fill`, { qty: '3', price: '100.01' })
  expect(filled.body).toMatchObject({
    status: 'partially_filled',
    filled_qty: '3',
    filled_avg_price: '100.01',
  })
  const { body } = await call(sandbox, 'GET', '/_sandbox/ledger?keyId=demo-key', undefined, {})
  expect(body).toMatchObject({
    accounts: {
      'demo-key': { cash: '99699.97', positions: [{ symbol: 'AAPL', qty: '3', cost: '300.03' }] },
    },
    requests: [{ method: 'POST', path: '/v2/orders', keyId: 'demo-key', status: 200, body: buy }],
  })
  expect(Object.keys((body as Ledger).accounts)).toEqual(['demo-key'])
  await control('matching/release', { symbol: 'AAPL' })
  expect(sandbox.control.ledger().accounts['demo-key']?.executions).toHaveLength(2)
})

test('an answer is held until it is released', async () => {
  await control('answers/hold', { count: 1, keyId: 'demo-key' })
  const posting = call(sandbox, 'POST', '/v2/orders', buy)
  const waiting = async (): Promise<unknown> =>
    (await call(sandbox, 'GET', '/_sandbox/answers')).body
  await expect.poll(waiting).toEqual({ waiting: 1 })
  expect((await control('answers/release')).body).toEqual({ released: 1 })
  expect((await posting).status).toBe(200)
})

test('a new account trades at once', async () => {
  await control('accounts', { keyId: 'third', secret: 's', cash: '5000' })
  const keys = { 'apca-api-key-id': 'third', 'apca-api-secret-key': 's' }
  expect((await call(sandbox, 'GET', '/v2/account', undefined, keys)).body).toMatchObject({
    cash: '5000',
  })
  expect(await control('accounts', { keyId: 'third', secret: 's' })).toMatchObject({ status: 422 })
})

test('prices, partial fills, market hours and streams follow commands', async () => {
  expect((await control('prices', { symbol: 'AAPL', bid: '10', ask: '9' })).status).toBe(422)
  expect((await control('prices', { symbol: 'AAPL', last: '10' })).status).toBe(200)
  expect((await control('prices/release', { symbol: 'AAPL' })).status).toBe(200)
  expect((await control('partial-fills', { enabled: true, share: 1 })).status).toBe(200)
  expect((await control('market', { open: false })).status).toBe(200)
  expect((await call(sandbox, 'GET', '/v2/clock')).body).toMatchObject({ is_open: false })
  expect((await control('streams/cut', { stream: 'data' })).body).toEqual({ cut: 0 })
})

describe('mistakes', () => {
  test.each([
    ['keys/revoke', { keyId: 'nobody' }, 422],
    ['keys/revoke', {}, 422],
    ['orders/nope/fill', {}, 404],
    ['matching/hold', { symbol: 'AAPL', keyId: 'demo-key' }, 422],
    ['prices', { symbol: 'NOPE', last: '1' }, 422],
    ['prices', { symbol: 'AAPL', lost: '1' }, 422],
    ['nothing', {}, 404],
  ])('%s %o is answered %i', async (path, body, status) => {
    const answer = await control(path, body)
    expect(answer.status).toBe(status)
    expect((answer.body as { message: string }).message).not.toBe('')
  })
})

const outside = Object.values(networkInterfaces())
  .flat()
  .find((address) => address?.family === 'IPv4' && !address.internal)?.address

test.skipIf(outside === undefined)(
  'control calls from another address are not answered',
  async () => {
    await using open = await startSandbox({ host: '0.0.0.0' })
    const reach = (path: string): Promise<Response> =>
      fetch(`http://${outside}:${open.port}${path}`)
    expect((await reach('/_sandbox/ledger')).status).toBe(404)
    expect((await reach('/v2/account')).status).toBe(401)
  },
)

describe('control calls that a web page makes', () => {
  /** Sends as a browser does: `fetch` of Node does not allow to set the host. */
  const sent = (headers: Record<string, string>, body = ''): Promise<number> =>
    new Promise((resolve, reject) => {
      const { port } = sandbox
      const asked = request(
        { port, method: 'POST', path: '/_sandbox/day/end', headers },
        (answer) => {
          answer.resume().once('end', () => resolve(answer.statusCode ?? 0))
        },
      )
      asked.once('error', reject).end(body)
    })

  test.each([
    ['a name that leads to this machine', { host: 'evil.example' }],
    ['a name that begins like this machine', { host: '127.0.0.1.evil.example' }],
    ['another page', { origin: 'http://evil.example' }],
    ['a page of this machine', { origin: 'http://127.0.0.1:3000' }],
    ['a sandboxed frame', { origin: 'null' }],
  ])('from %s are refused', async (_what, headers) => expect(await sent(headers)).toBe(403))

  test('with a form body are refused, with a JSON body accepted', async () => {
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
    ])
      expect(await sent({ 'content-type': type }, '{}')).toBe(415)
    expect(await sent({ 'content-type': 'application/json; charset=utf-8' }, '{}')).toBe(200)
  })

  test.each(['localhost', 'LOCALHOST:8085', '127.0.0.1:1', '127.9.9.9', '[::1]:8085'])(
    'a program that names this machine %s is answered',
    async (host) => expect(await sent({ host })).toBe(200),
  )
})

test('an account has the same id after a restart with another seed', async () => {
  const idOf = async (of: Sandbox): Promise<unknown> => {
    const { id, account_number: number } = (await call(of, 'GET', '/v2/account')).body as Record<
      string,
      unknown
    >
    return [id, number]
  }
  await using other = await startSandbox({ seed: 'another' })
  expect(await idOf(other)).toEqual(await idOf(sandbox))
})

describe('command line', () => {
  const run = (...flags: string[]): Promise<unknown> =>
    promisify(execFile)(process.execPath, ['src/apps/sandbox/main.ts', ...flags])

  test.each([
    [['--port', 'x'], '--port must be a whole number from 0 to 65535, not "x"'],
    [['--frob'], "Unknown option '--frob'"],
    [['stray'], "Unexpected argument 'stray'"],
  ])('%o is refused', async (flags, words) => {
    await expect(run(...flags)).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining(words) as unknown,
    })
  })

  test('a taken port is reported in one line', async () => {
    const refused = run('--port', String(sandbox.port))
    const words: unknown = expect.stringContaining(`Port ${sandbox.port} is taken`)
    await expect(refused).rejects.toMatchObject({ code: 1, stderr: words })
  })

  test.each([
    [
      'key',
      { keyId: 'demo-key', secret: 'x' },
      /^sandbox cannot start. --accounts: key demo-key is taken\n$/,
    ],
    [
      'token',
      { keyId: 'k', secret: 'x', oauthToken: 'demo-token' },
      /--accounts: the token of key k is taken\n$/,
    ],
  ])(
    'an account with the %s of another account is reported in one line',
    async (_name, account, words) => {
      const folder = mkdtempSync(join(tmpdir(), 'accounts-'))
      try {
        writeFileSync(join(folder, 'accounts.json'), JSON.stringify([account]))
        const stderr: unknown = expect.stringMatching(words)
        const refused = run('--port', '0', '--accounts', join(folder, 'accounts.json'))
        await expect(refused).rejects.toMatchObject({ code: 1, stderr })
      } finally {
        rmSync(folder, { recursive: true })
      }
    },
  )

  test('an address that is not of this machine is reported in one line', async () => {
    const stderr: unknown = expect.stringMatching(
      /^sandbox cannot start. This machine has no address 203.0.113.1.*\n$/,
    )
    await expect(run('--host', '203.0.113.1', '--port', '0')).rejects.toMatchObject({
      code: 1,
      stderr,
    })
  })
})
