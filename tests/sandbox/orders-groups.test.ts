import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Sandbox, startSandbox } from '#sandbox'
import { FakeClock } from '../support/fake-clock.ts'
import { type Answer, call, demoKeys, Wire } from './wire.ts'

/** Bracket, oco and oto: legs that are held, released, and end each other. */

let sandbox: Sandbox
let clock: FakeClock
const sockets: Wire[] = []

beforeEach(async () => {
  clock = new FakeClock()
  sandbox = await startSandbox({
    seed: 'groups',
    clock,
    fillDelayMs: 0,
    tickMs: 0,
    partialFills: false,
  })
  sandbox.control.setPrice('AAPL', { last: '100' })
})

afterEach(async () => {
  sockets.splice(0).forEach(({ socket }) => socket.terminate())
  await sandbox.close()
})

type Row = Record<string, unknown> & { id: string; legs: Row[] | null }
const row = ({ body }: Answer): Row => body as Row
const buy = { symbol: 'AAPL', qty: '10', side: 'buy', type: 'market', time_in_force: 'gtc' }
const exits = { take_profit: { limit_price: '110' }, stop_loss: { stop_price: '95' } }
const bracket = { ...buy, order_class: 'bracket', ...exits }
const oco = { ...buy, side: 'sell', type: 'limit', order_class: 'oco', ...exits }
const post = (body: unknown): Promise<Answer> => call(sandbox, 'POST', '/v2/orders', body)
const read = async (id: string): Promise<Row> =>
  row(await call(sandbox, 'GET', `/v2/orders/${id}?nested=true`))
const price = async (last: string): Promise<void> => {
  sandbox.control.setPrice('AAPL', { last })
  await clock.advance(1)
}

async function place(body: unknown): Promise<Row> {
  const answer = await post(body)
  expect(answer).toMatchObject({ status: 200 })
  await clock.advance(1)
  return row(answer)
}

/** The order's status, then those of its legs. */
async function statuses({ id }: Row): Promise<unknown[]> {
  const { status, legs } = await read(id)
  return [status, ...(legs ?? []).map((leg) => leg['status'])]
}

const position = (): string | undefined =>
  sandbox.control.ledger('demo-key').accounts['demo-key']?.positions[0]?.qty

async function listen(): Promise<() => string[]> {
  const wire = await new Wire(`${sandbox.wsUrl}/stream`).opened()
  sockets.push(wire)
  const [key, secret] = Object.values(demoKeys)
  wire.send({ action: 'auth', key, secret })
  wire.send({ action: 'listen', data: { streams: ['trade_updates'] } })
  await expect.poll(() => wire.heard.length).toBe(2)
  return () =>
    wire.heard.slice(2).map((frame) => {
      const { event, order } = (frame as { data: { event: string; order: Row } }).data
      return `${event} ${String(order['side'])} ${String(order['type'])}`
    })
}

describe('a bracket', () => {
  test('is answered with its legs, held, on the other side, with ids of their own', async () => {
    const answer = row(
      await post({ ...bracket, stop_loss: { stop_price: '95', limit_price: '94.50' } }),
    )
    expect(answer).toMatchObject({
      order_class: 'bracket',
      status: 'pending_new',
      side: 'buy',
      limit_price: null,
    })
    const shared = {
      order_class: 'bracket',
      status: 'held',
      side: 'sell',
      qty: '10',
      position_intent: 'sell_to_close',
    }
    expect(answer.legs).toMatchObject([
      { ...shared, type: 'limit', limit_price: '110', stop_price: null },
      { ...shared, type: 'stop_limit', limit_price: '94.5', stop_price: '95' },
    ])
    expect(new Set(answer.legs?.map((leg) => leg['client_order_id'])).size).toBe(2)
  })

  test('holds its legs until the entry is filled in full', async () => {
    const order = await place({ ...bracket, type: 'limit', limit_price: '99' })
    expect(await statuses(order)).toEqual(['new', 'held', 'held'])
    sandbox.control.fillOrder(order.id, { qty: '4' })
    expect(await statuses(order)).toEqual(['partially_filled', 'held', 'held'])
    sandbox.control.fillOrder(order.id)
    expect(await statuses(order)).toEqual(['filled', 'new', 'held'])
  })

  test('fills its take-profit, and the stop-loss is canceled', async () => {
    const events = await listen()
    const order = await place(bracket)
    await price('110.01')
    expect(await statuses(order)).toEqual(['filled', 'filled', 'canceled'])
    expect(position()).toBeUndefined()
    await expect
      .poll(events)
      .toEqual([
        'new buy market',
        'fill buy market',
        'new sell limit',
        'fill sell limit',
        'canceled sell stop',
      ])
  })

  test('fills its stop-loss, and the take-profit is canceled', async () => {
    const events = await listen()
    const order = await place(bracket)
    await price('94')
    expect(await statuses(order)).toEqual(['filled', 'canceled', 'filled'])
    expect(position()).toBeUndefined()
    await expect
      .poll(() => events().slice(3))
      .toEqual(['canceled sell limit', 'new sell stop', 'fill sell stop'])
  })

  test('that sells short is the mirror image', async () => {
    const order = await place({
      ...bracket,
      side: 'sell',
      take_profit: { limit_price: '90' },
      stop_loss: { stop_price: '105' },
    })
    expect(position()).toBe('-10')
    await price('105')
    expect(await statuses(order)).toEqual(['filled', 'canceled', 'filled'])
  })

  test('a partly filled take-profit reduces the stop-loss', async () => {
    const order = await place(bracket)
    const [profit] = (await read(order.id)).legs ?? []
    sandbox.control.fillOrder(profit?.id ?? '', { qty: '4', price: '110' })
    expect((await read(order.id)).legs).toMatchObject([
      { filled_qty: '4', qty: '10' },
      { status: 'held', qty: '6' },
    ])
    await price('90')
    expect(await statuses(order)).toEqual(['filled', 'canceled', 'filled'])
    expect(position()).toBeUndefined()
  })

  test('a canceled entry cancels its legs', async () => {
    const order = await place({ ...bracket, type: 'limit', limit_price: '99' })
    await call(sandbox, 'DELETE', `/v2/orders/${order.id}`)
    await clock.advance(1)
    expect(await statuses(order)).toEqual(['canceled', 'canceled', 'canceled'])
  })

  test.each([0, 1])('canceling leg %i cancels the other leg', async (leg) => {
    const order = await place(bracket)
    await call(sandbox, 'DELETE', `/v2/orders/${(await read(order.id)).legs?.[leg]?.id}`)
    await clock.advance(1)
    expect(await statuses(order)).toEqual(['filled', 'canceled', 'canceled'])
    expect(position()).toBe('10')
  })

  test('both legs together hold the shares once', async () => {
    await place(bracket)
    const { body } = await call(sandbox, 'GET', '/v2/positions/AAPL')
    expect(body).toMatchObject({ qty: '10', qty_available: '0' })
  })

  test('a leg is replaced by price, keeps its place, and works', async () => {
    const order = await place(bracket)
    const [profit, stop] = (await read(order.id)).legs ?? []
    const patch = (leg: Row | undefined, body: unknown): Promise<Answer> =>
      call(sandbox, 'PATCH', `/v2/orders/${leg?.id}`, body)
    expect(await patch(profit, { qty: '5' })).toMatchObject({ status: 422 })
    expect(await patch(profit, { limit_price: '120' })).toMatchObject({
      status: 200,
      body: { replaces: profit?.id },
    })
    expect(await patch(stop, { stop_price: '97' })).toMatchObject({
      status: 200,
      body: { replaces: stop?.id },
    })
    await clock.advance(1)
    expect((await read(order.id)).legs).toMatchObject([
      { status: 'new', limit_price: '120', replaces: profit?.id },
      { status: 'held', stop_price: '97', replaces: stop?.id },
    ])
    await price('97')
    expect(await statuses(order)).toEqual(['filled', 'canceled', 'filled'])
  })

  test('a replaced entry keeps its legs', async () => {
    const order = await place({ ...bracket, type: 'limit', limit_price: '98' })
    const next = row(await call(sandbox, 'PATCH', `/v2/orders/${order.id}`, { limit_price: '99' }))
    await clock.advance(1)
    expect(await statuses(next)).toEqual(['new', 'held', 'held'])
    await price('98.50')
    expect(await statuses(next)).toEqual(['filled', 'new', 'held'])
  })
})

describe('an oco', () => {
  test('is its take-profit, with the stop-loss as its leg; one end cancels the other', async () => {
    await place(buy)
    const events = await listen()
    const order = await place(oco)
    expect(order).toMatchObject({
      order_class: 'oco',
      type: 'limit',
      limit_price: '110',
      side: 'sell',
    })
    expect(order.legs).toMatchObject([
      { order_class: 'oco', type: 'stop', stop_price: '95', side: 'sell' },
    ])
    expect(await statuses(order)).toEqual(['new', 'held'])
    await price('95')
    expect(await statuses(order)).toEqual(['canceled', 'filled'])
    await expect
      .poll(events)
      .toEqual(['new sell limit', 'canceled sell limit', 'new sell stop', 'fill sell stop'])
  })

  test('canceling it cancels its leg, and frees the shares', async () => {
    await place(buy)
    const order = await place(oco)
    await call(sandbox, 'DELETE', `/v2/orders/${order.id}`)
    await clock.advance(1)
    expect(await statuses(order)).toEqual(['canceled', 'canceled'])
    expect((await call(sandbox, 'GET', '/v2/positions/AAPL')).body).toMatchObject({
      qty_available: '10',
    })
  })
})

test.each([
  ['take_profit', { take_profit: { limit_price: '110' } }, '110.01'],
  ['stop_loss', { stop_loss: { stop_price: '95' } }, '94'],
])('an oto releases its one leg, a %s, when the entry is filled', async (_name, exit, reached) => {
  const order = await place({ ...buy, order_class: 'oto', ...exit })
  expect(order.legs).toMatchObject([{ status: 'held', order_class: 'oto' }])
  expect(await statuses(order)).toEqual(['filled', 'new'])
  await price(reached)
  expect(await statuses(order)).toEqual(['filled', 'filled'])
})

test('lists show legs beside their parent, or nested inside it', async () => {
  const order = await place({ ...bracket, type: 'limit', limit_price: '99' })
  const list = async (query: string): Promise<Row[]> =>
    (await call(sandbox, 'GET', `/v2/orders?${query}`)).body as Row[]
  expect((await list('status=all')).map(({ legs }) => legs)).toEqual([null, null, null])
  const nested = await list('status=all&nested=true')
  expect(nested).toMatchObject([{ id: order.id, legs: [{ status: 'held' }, { status: 'held' }] }])
  sandbox.control.fillOrder(order.id)
  expect((await list('nested=true')).map(({ type }) => type)).toEqual(['stop', 'limit'])
})

describe('refusals', () => {
  const priceWords = 'take_profit.limit_price must be > stop_loss.stop_price'
  const base = { base_price: '100' }
  const table: [name: string, order: object, code: number, message: string, fields?: object][] = [
    ['unknown class', { ...buy, order_class: 'pair' }, 40010001, 'invalid order_class'],
    [
      'mleg',
      { ...buy, order_class: 'mleg' },
      40010001,
      'order_class mleg is not supported by this sandbox',
    ],
    [
      'exits of a simple order',
      { ...buy, ...exits },
      40010001,
      'simple orders require no take_profit or stop_loss',
    ],
    [
      'bracket without profit',
      { ...bracket, take_profit: null },
      40010001,
      'bracket orders require take_profit.limit_price',
    ],
    [
      'bracket without stop',
      { ...bracket, stop_loss: {} },
      40010001,
      'bracket orders require stop_loss.stop_price',
    ],
    [
      'oto with both',
      { ...bracket, order_class: 'oto' },
      40010001,
      'oto orders require one of take_profit or stop_loss',
    ],
    [
      'stop limit without stop',
      { ...bracket, stop_loss: { limit_price: '9' } },
      40010001,
      'stop_loss.stop_price is required',
    ],
    ['no object', { ...bracket, stop_loss: 'x' }, 40010001, 'stop_loss must be an object'],
    [
      'oco that is no limit',
      { ...oco, type: 'market' },
      42210000,
      'oco orders must be limit orders',
    ],
    ['oco without a position', oco, 42210000, 'oco orders must be exit orders'],
    ['profit below stop', { ...bracket, take_profit: { limit_price: '95' } }, 42210000, priceWords],
    [
      'stop above the market',
      { ...bracket, stop_loss: { stop_price: '100' } },
      42210000,
      'stop_loss.stop_price must be <= base_price - 0.01',
      base,
    ],
    [
      'stop below the market, short',
      {
        ...bracket,
        side: 'sell',
        take_profit: { limit_price: '90' },
        stop_loss: { stop_price: '100' },
      },
      42210000,
      'stop_loss.stop_price must be >= base_price + 0.01',
      base,
    ],
    ['fractions', { ...bracket, qty: '1.5' }, 42210000, 'fractional orders must be simple orders'],
    [
      'ioc',
      { ...bracket, time_in_force: 'ioc' },
      42210000,
      'bracket orders must be DAY or GTC orders',
    ],
    [
      'extended hours',
      { ...bracket, type: 'limit', limit_price: '99', extended_hours: true },
      42210000,
      'bracket orders cannot be extended hours orders',
    ],
    ['crypto', { ...bracket, symbol: 'BTC/USD' }, 42210000, 'crypto orders must be simple orders'],
  ]
  test.each(table)('%s', async (_name, order, code, message, fields = {}) => {
    const answer = await post(order)
    expect([answer.status, answer.body]).toEqual([422, { code, message, ...fields }])
    expect(sandbox.control.ledger('demo-key').accounts['demo-key']?.orders).toEqual([])
  })

  test('a bracket that would close a position', async () => {
    await place(buy)
    const closing = {
      ...bracket,
      side: 'sell',
      take_profit: { limit_price: '90' },
      stop_loss: { stop_price: '105' },
    }
    expect((await post(closing)).body).toEqual({
      code: 42210000,
      message: 'bracket orders must be entry orders',
    })
  })

  test('an oco for more than is held', async () => {
    await place(buy)
    expect(await post({ ...oco, qty: '11' })).toMatchObject({
      status: 403,
      body: { available: '10' },
    })
  })
})
