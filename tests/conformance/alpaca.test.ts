import { afterAll, beforeAll, expect, test } from 'vitest'
import { dec, type OrderIntent } from '#domain'
import { startSandbox } from '#sandbox'
import { systemClock } from '#runtime'
import {
  createAlpacaBroker,
  createTransport,
  endpointOf,
} from '../../workers/broker/alpaca/index.ts'
import type { ActivityEvent } from '../../workers/broker/port.ts'
import { listen, onSandbox, openSandbox, realTimers, ticketOf } from './broker-harness.ts'

// Parts that only the real adapter has: the wire, the host, the broker's own texts.

let real: Awaited<ReturnType<typeof openSandbox>>
beforeAll(async () => void (real = await openSandbox()))
afterAll(() => real.close())

test.each<[string, Partial<OrderIntent>, string]>([
  ['more than there is money for', { quantity: dec('100000') }, 'INSUFFICIENT_BUYING_POWER'],
  ['a symbol that is not listed', { symbol: 'ZZZZ' }, 'SYMBOL_NOT_TRADABLE'],
])('%s is refused with a code of the contract', async (_what, over, code) => {
  expect(await onSandbox(real).broker.submit(ticketOf(over))).toMatchObject({
    kind: 'refused',
    code,
  })
})

test('broker cannot be reached - submissions are unknown, readings unavailable', async () => {
  const gone = await startSandbox({ tickMs: 0 })
  await gone.close()
  const dead = createTransport(endpointOf('sandbox', gone.url), systemClock)
  const broker = createAlpacaBroker(
    { keyId: 'K', secretKey: 'S' },
    endpointOf('sandbox', gone.url),
    dead,
    realTimers(),
  )
  expect(await broker.submit(ticketOf())).toMatchObject({ kind: 'unknown' })
  await expect(broker.readAccount()).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  const { told, stream } = listen(broker)
  await expect.poll(() => told.down.length, { timeout: 5_000 }).toBeGreaterThan(1) // it tries again
  expect(new Set(told.down)).toEqual(new Set(['connection passing']))
  await stream.close()
  await dead.close()
})

test('a stream that was cut reconnects by itself', async () => {
  const { told, stream } = listen(onSandbox(real).broker)
  await expect.poll(() => told.live).toBe(1)
  real.sandbox.control.cutStreams({ keyId: 'demo-key' })
  await expect.poll(() => told.live, { timeout: 5_000 }).toBe(2)
  await stream.close()
})

test('a cut activity stream resumes at its place, and ends for good on refused keys', async () => {
  const { broker, deposit } = onSandbox(real)
  const told: ActivityEvent[] = []
  const states: string[] = []
  const stream = broker.openActivityStream(null, {
    onLive: () => void states.push('live'),
    onActivity: (event) => void told.push(event),
    onGap: (why) => void states.push(`gap ${why}`),
    onDown: ({ kind, final }) => void states.push(`${kind} ${final ? 'final' : 'passing'}`),
    onUnavailable: () => void states.push('none'),
  })
  await expect.poll(() => states).toEqual(['live'])
  await deposit('1')
  await expect.poll(() => told).toHaveLength(1)
  real.sandbox.control.revokeKey('demo-key') // takes the account's event streams down
  await expect
    .poll(() => states, { timeout: 8_000 })
    .toEqual(['live', 'connection passing', 'credentials final'])
  await deposit('2')
  real.sandbox.control.restoreKey('demo-key')
  await stream?.close()
  const again = broker.openActivityStream(told[0]?.id ?? null, {
    onLive: () => void states.push('live again'),
    onActivity: (event) => void told.push(event),
    onGap: () => {},
    onDown: () => {},
    onUnavailable: () => {},
  })
  await expect.poll(() => told).toHaveLength(2)
  expect(told[1]).toMatchObject({ activity: { amount: '2' } })
  await again?.close()
})

test('only the host of the endpoint can be reached', () => {
  expect(() => endpointOf('paper', 'http://127.0.0.1:1')).toThrow('ALPACA_ENV')
  expect(() => endpointOf('sandbox', undefined)).toThrow('ALPACA_SANDBOX_URL')
  expect(endpointOf('live', undefined).trading).toBe('https://api.alpaca.markets')
})

test.each([
  ['keys', { keyId: 'demo-key', secretKey: 'demo-secret' }],
  ['a token', { accessToken: 'a-token' }],
])('stream by %s - a refused slot differs from other failures', async (_by, login) => {
  const why: string[] = []
  let live = 0
  const stream = onSandbox(real, login).broker.openTradeStream({
    onLive: () => (live += 1),
    onUpdate: () => {},
    onUnreadable: (what) => void why.push(what),
    onDown: ({ message }) => void why.push(message),
  })
  await expect.poll(() => live).toBe(1)
  real.sandbox.control.armFault({ kind: 'refuse_upgrade', stream: 'trade' })
  real.sandbox.control.cutStreams({ stream: 'trade' })
  await expect
    .poll(() => why)
    .toEqual(['the stream was closed', 'the broker still counts an earlier connection'])
  await stream.close()
})
