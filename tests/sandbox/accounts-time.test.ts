import { expect, test } from 'vitest'
import { startSandbox } from '#sandbox'
import { readFlags } from '../../src/apps/sandbox/flags.ts'
import { call, Wire } from './wire.ts'

/** The time of the market: real, fast, or moved by command. */

const buy = { symbol: 'AAPL', qty: '1', side: 'buy', type: 'market', time_in_force: 'day' }

test('virtual time moves by command only, and every due event happens on the way', async () => {
  await using sandbox = await startSandbox({
    seed: 'time',
    time: 'virtual',
    fillDelayMs: 60_000,
    partialFills: false,
  })
  const time = async () =>
    ((await call(sandbox, 'GET', '/v2/clock')).body as { timestamp: string }).timestamp
  const status = async () => {
    const { body } = await call(sandbox, 'GET', '/v2/orders?status=all')
    return (body as { status: string }[]).map((order) => order.status)
  }
  expect(await time()).toBe('2024-01-02T09:30:00-05:00')
  await call(sandbox, 'POST', '/v2/orders', buy)
  expect(await status()).toEqual(['new'])
  const advanced = await call(sandbox, 'POST', '/_sandbox/clock/advance', { ms: 59_999 }, {})
  expect(advanced.body).toEqual({ now: '2024-01-02T14:30:59.999Z' })
  expect(await status()).toEqual(['new'])
  await sandbox.control.advanceTime(1)
  expect(await status()).toEqual(['filled'])
  const [execution] = sandbox.control.ledger('demo-key').accounts['demo-key']?.executions ?? []
  expect(execution).toMatchObject({
    transaction_time: expect.stringMatching(/^2024-01-02T14:31:00\.000/) as unknown,
  })
})

test('an hour of ticks is one call', async () => {
  await using sandbox = await startSandbox({ seed: 'hour', time: 'virtual' })
  const quote = async () => (await call(sandbox, 'GET', '/v2/stocks/snapshots?symbols=AAPL')).body
  const before = await quote()
  expect(await sandbox.control.advanceTime(3_600_000)).toBe(Date.UTC(2024, 0, 2, 15, 30))
  expect(await quote()).not.toEqual(before)
})

test('streams stay up while virtual time advances', async () => {
  await using sandbox = await startSandbox({ time: 'virtual' })
  const wire = await new Wire(`${sandbox.wsUrl}/stream`).opened()
  await sandbox.control.advanceTime(600_000)
  wire.send({ action: 'auth', key: 'demo-key', secret: 'demo-secret' })
  await expect.poll(() => wire.heard).toMatchObject([{ data: { status: 'authorized' } }])
  wire.socket.terminate()
})

test('at speed 60 a minute of the market takes a second', async () => {
  await using sandbox = await startSandbox({
    speed: 60,
    fillDelayMs: 3_000,
    tickMs: 0,
    partialFills: false,
  })
  await call(sandbox, 'POST', '/v2/orders', buy)
  const books = () => sandbox.control.ledger('demo-key').accounts['demo-key']
  await expect.poll(() => books()?.executions.length, { timeout: 900 }).toBe(1)
  const [order] = books()?.orders as { submitted_at: string; filled_at: string }[]
  expect(
    Date.parse(order?.filled_at ?? '') - Date.parse(order?.submitted_at ?? ''),
  ).toBeGreaterThanOrEqual(2_900)
})

test('real time cannot be advanced by command', async () => {
  await using sandbox = await startSandbox({ tickMs: 0 })
  expect((await call(sandbox, 'POST', '/_sandbox/clock/advance', { ms: 1 }, {})).status).toBe(422)
})

test.each([
  [['--clock', 'sun'], '--clock must be real or virtual'],
  [['--clock', 'virtual', '--speed', '2'], 'for the real clock only'],
  [['--speed', 'fast'], '--speed must be a whole number'],
  [['--speed', '0'], '--speed must be a whole number from 1 to 10000, not "0"'],
])('%o is refused', (flags, words) => expect(() => readFlags(flags)).toThrow(words))
