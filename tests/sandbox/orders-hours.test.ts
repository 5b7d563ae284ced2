import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Sandbox, startSandbox } from '#sandbox'
import { FakeClock } from '../support/fake-clock.ts'
import { type Answer, call } from './wire.ts'

/** Time in force against the exchange's sessions, which open and close by command. */

let sandbox: Sandbox
let clock: FakeClock

beforeEach(async () => {
  clock = new FakeClock()
  sandbox = await startSandbox({
    seed: 'hours',
    clock,
    fillDelayMs: 0,
    tickMs: 0,
    partialFills: false,
  })
  sandbox.control.setPrice('AAPL', { bid: '99.99', ask: '100.01', last: '100' })
})

afterEach(() => sandbox.close())

type Row = Record<string, string | null>
const buy = { symbol: 'AAPL', qty: '10', side: 'buy', type: 'market', time_in_force: 'day' }
const rest = { ...buy, type: 'limit', limit_price: '90' }
const post = (body: unknown): Promise<Answer> => call(sandbox, 'POST', '/v2/orders', body)

async function place(body: unknown): Promise<string> {
  const answer = await post(body)
  expect(answer).toMatchObject({ status: 200 })
  await clock.advance(1)
  return (answer.body as { id: string }).id
}

const read = async (id: string): Promise<Row> =>
  (await call(sandbox, 'GET', `/v2/orders/${id}`)).body as Row

async function session(phase: 'closed' | 'pre' | 'regular' | 'post'): Promise<void> {
  expect((await call(sandbox, 'POST', '/_sandbox/market', { session: phase }, {})).status).toBe(200)
  await clock.advance(1)
}

describe('the close', () => {
  test('ends day orders after their day, filled in part or not; gtc and crypto stay open', async () => {
    const day = await place(rest)
    const gtc = await place({ ...rest, time_in_force: 'gtc' })
    const crypto = await place({ ...rest, symbol: 'BTC/USD', qty: '0.1', time_in_force: 'gtc' })
    sandbox.control.fillOrder(day, { qty: '4' })
    await session('closed')
    const expired = await read(day)
    expect(expired).toMatchObject({ status: 'expired', filled_qty: '4' })
    expect(expired['expired_at']).not.toBeNull()
    expect([(await read(gtc))['status'], (await read(crypto))['status']]).toEqual(['new', 'new'])
  })

  test('releases the buying power that the orders held', async () => {
    await place(rest)
    await session('closed')
    expect((await call(sandbox, 'GET', '/v2/account')).body).toMatchObject({
      buying_power: '200000',
    })
  })

  test('keeps queued orders for the next session, and ends them at its close', async () => {
    await session('closed')
    const id = await place(rest)
    await session('pre')
    expect(await read(id)).toMatchObject({ status: 'accepted' })
    await session('regular')
    expect(await read(id)).toMatchObject({ status: 'new' })
    await session('post')
    expect(await read(id)).toMatchObject({ status: 'expired' })
  })

  test('ends a day bracket whose entry is filled, with its legs', async () => {
    const exits = { take_profit: { limit_price: '110' }, stop_loss: { stop_price: '95' } }
    await place({ ...buy, order_class: 'bracket', ...exits })
    await session('closed')
    const { body } = await call(sandbox, 'GET', '/v2/orders?status=all&direction=asc')
    expect((body as Row[]).map(({ status }) => status)).toEqual(['filled', 'expired', 'canceled'])
  })
})

describe('extended hours', () => {
  test('fill orders for them before the opening and after the close, and no others', async () => {
    await session('pre')
    const early = await place({ ...rest, limit_price: '101', extended_hours: true })
    const waiting = await place({ ...rest, limit_price: '101' })
    expect(await read(early)).toMatchObject({ status: 'filled', extended_hours: true })
    expect(await read(waiting)).toMatchObject({ status: 'accepted' })
  })

  test('end day orders for them only when they end', async () => {
    const id = await place({ ...rest, extended_hours: true })
    expect((await read(id))['expires_at']).toBe('2024-03-16T00:00:00Z')
    await session('post')
    expect(await read(id)).toMatchObject({ status: 'new' })
    sandbox.control.setPrice('AAPL', { last: '120' })
    await session('closed')
    expect(await read(id)).toMatchObject({ status: 'expired' })
  })

  test('trigger no stops', async () => {
    const stop = await place({ ...buy, type: 'stop', stop_price: '105', time_in_force: 'gtc' })
    await session('post')
    sandbox.control.setPrice('AAPL', { last: '106' })
    sandbox.control.setPrice('AAPL', { last: '104' })
    await session('closed')
    await session('regular')
    expect(await read(stop)).toMatchObject({ status: 'new' })
  })
})

describe('auctions', () => {
  test('an opg order waits for the opening and trades at its price', async () => {
    await session('pre')
    const id = await place({ ...buy, time_in_force: 'opg' })
    expect(await read(id)).toMatchObject({ status: 'accepted' })
    await session('regular')
    expect(await read(id)).toMatchObject({ status: 'filled', filled_avg_price: '100' })
  })

  test('a cls order waits for the close and trades at its price', async () => {
    const id = await place({ ...buy, time_in_force: 'cls', type: 'limit', limit_price: '100' })
    expect(await read(id)).toMatchObject({ status: 'accepted' })
    await session('post')
    expect(await read(id)).toMatchObject({ status: 'filled', filled_avg_price: '100' })
  })

  test('an order that the auction does not fill is canceled', async () => {
    const close = await place({ ...rest, time_in_force: 'cls' })
    await session('closed')
    const open = await place({ ...rest, time_in_force: 'opg' })
    await session('regular')
    expect([(await read(close))['status'], (await read(open))['status']]).toEqual([
      'canceled',
      'canceled',
    ])
  })

  test.each([
    ['regular', 'opg', 'opg orders must be submitted before 9:28am or after 7:00pm'],
    ['post', 'opg', 'opg orders must be submitted before 9:28am or after 7:00pm'],
    ['post', 'cls', 'cls orders must be submitted before 3:50pm or after 7:00pm'],
  ] as const)('in the %s session an %s order is refused', async (phase, timeInForce, message) => {
    await session(phase)
    const answer = await post({ ...buy, time_in_force: timeInForce })
    expect([answer.status, answer.body]).toEqual([403, { code: 40310000, message }])
  })

  test('accept no stops', async () => {
    const answer = await post({ ...buy, type: 'stop', stop_price: '105', time_in_force: 'cls' })
    expect(answer).toMatchObject({
      status: 422,
      body: { message: 'cls orders must be market or limit orders' },
    })
  })
})

describe('immediate orders', () => {
  test('an ioc fills in part and cancels the rest; a fok fills in full or not at all', async () => {
    sandbox.control.setPartialFills(true, 1)
    const ioc = await read(await place({ ...buy, time_in_force: 'ioc' }))
    expect(ioc['status']).toBe('canceled')
    expect(Number(ioc['filled_qty'])).toBeGreaterThan(0)
    expect(await read(await place({ ...buy, time_in_force: 'fok' }))).toMatchObject({
      status: 'filled',
    })
    expect(await read(await place({ ...rest, time_in_force: 'fok' }))).toMatchObject({
      status: 'canceled',
      filled_qty: '0',
    })
  })

  test('wait for the opening like other orders', async () => {
    await session('closed')
    const id = await place({ ...buy, time_in_force: 'fok' })
    expect(await read(id)).toMatchObject({ status: 'accepted' })
    await session('regular')
    expect(await read(id)).toMatchObject({ status: 'filled' })
  })
})

test('gtc orders are canceled after ninety days, at 16:15 in New York', async () => {
  await using virtual = await startSandbox({
    time: 'virtual',
    tickMs: 0,
    fillDelayMs: 0,
    partialFills: false,
  })
  const submit = async (body: object): Promise<Row> =>
    (await call(virtual, 'POST', '/v2/orders', body)).body as Row
  const read = async ({ id }: Row): Promise<Row> =>
    (await call(virtual, 'GET', `/v2/orders/${id}`)).body as Row
  const stock = await submit({ ...rest, time_in_force: 'gtc' })
  const pair = await submit({
    ...rest,
    symbol: 'BTC/USD',
    qty: '0.1',
    limit_price: '200',
    time_in_force: 'gtc',
  })
  // Day 90 after January 2nd is April 1st, in summer time by then.
  expect([stock['expires_at'], pair['expires_at']]).toEqual([
    '2024-04-01T20:15:00Z',
    '2024-04-01T20:15:00Z',
  ])
  for (let week = 0; week < 12; week += 1) await virtual.control.advanceTime(7 * 86_400_000)
  const untilThen = Date.parse('2024-04-01T20:15:00Z') - Date.parse('2024-03-26T14:30:00Z')
  await virtual.control.advanceTime(untilThen - 1)
  const late = await submit({ ...rest, time_in_force: 'gtc' })
  expect((await read(stock))['status']).toBe('new')
  await virtual.control.advanceTime(1)
  for (const order of [stock, pair]) {
    expect(await read(order)).toMatchObject({
      status: 'canceled',
      cancel_requested_at: expect.stringMatching(/^2024-04-01T20:15:00/) as unknown,
    })
  }
  expect(await read(late)).toMatchObject({ status: 'new', expires_at: '2024-06-30T20:15:00Z' })
})
