import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Sandbox, startSandbox } from '#sandbox'
import { FakeClock } from '../support/fake-clock.ts'
import { type Answer, call, demoKeys, Wire } from './wire.ts'

/**
 * `PATCH /v2/orders/{id}`: a new order that asks for the place of an old one, and gets it or not.
 */

const ROUND_TRIP_MS = 50
let sandbox: Sandbox
let clock: FakeClock
const sockets: Wire[] = []

beforeEach(async () => {
  clock = new FakeClock()
  sandbox = await startSandbox({
    seed: 'replace',
    clock,
    fillDelayMs: 0,
    cancelDelayMs: ROUND_TRIP_MS,
    tickMs: 0,
    partialFills: false,
  })
  sandbox.control.setPrice('AAPL', { last: '100' })
})

afterEach(async () => {
  sockets.splice(0).forEach(({ socket }) => socket.terminate())
  await sandbox.close()
})

type Row = Record<string, string | null>
const limit = {
  symbol: 'AAPL',
  qty: '10',
  side: 'buy',
  type: 'limit',
  limit_price: '90',
  time_in_force: 'day',
}
const row = ({ body }: Answer): Row => body as Row
const idOf = (answer: Answer): string => row(answer)['id'] ?? ''
const patch = (id: string, body: unknown): Promise<Answer> =>
  call(sandbox, 'PATCH', `/v2/orders/${id}`, body)
const read = async (id: string): Promise<Row> => row(await call(sandbox, 'GET', `/v2/orders/${id}`))

/** An order that has been acknowledged. */
async function working(change: object = {}): Promise<string> {
  const answer = await call(sandbox, 'POST', '/v2/orders', { ...limit, ...change })
  expect(answer.status).toBe(200)
  await clock.advance(1)
  return idOf(answer)
}

/** The updates of the trade stream, as `event client-id status`. */
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
      return `${event} ${order['client_order_id']} ${order['status']}`
    })
}

test('the new order has ids of its own and the new terms, and the old one is replaced', async () => {
  const events = await listen()
  const old = await working({ client_order_id: 'old' })
  const answer = await patch(old, { limit_price: '91.50', qty: '12', client_order_id: 'new' })
  expect(answer.status).toBe(200)
  expect(answer.body).toMatchObject({
    replaces: old,
    client_order_id: 'new',
    limit_price: '91.5',
    qty: '12',
    filled_qty: '0',
  })
  expect(await read(old)).toMatchObject({
    status: 'pending_replace',
    replaced_by: null,
    replaced_at: null,
  })
  await clock.advance(ROUND_TRIP_MS)
  const after = await read(old)
  expect(after).toMatchObject({
    status: 'replaced',
    replaced_by: idOf(answer),
    client_order_id: 'old',
    limit_price: '90',
  })
  expect(after['replaced_at']).not.toBeNull()
  expect(await read(idOf(answer))).toMatchObject({ status: 'new', replaces: old })
  await expect.poll(events).toEqual(['new old new', 'replaced old replaced', 'new new new'])
})

test('a replacement without a client id gets one of its own', async () => {
  const old = await working({ client_order_id: 'mine' })
  const { client_order_id: id } = row(await patch(old, { limit_price: '91' }))
  expect(id).toMatch(/^[\da-f-]{36}$/)
})

test('matching uses the new terms', async () => {
  const old = await working()
  const next = idOf(await patch(old, { limit_price: '100.01' }))
  await clock.advance(ROUND_TRIP_MS)
  await clock.advance(1)
  expect(await read(next)).toMatchObject({ status: 'filled', filled_avg_price: '100.01' })
  expect(await read(old)).toMatchObject({ status: 'replaced', filled_qty: '0' })
})

test('a fill that comes first wins: the replacement is rejected, and events report it', async () => {
  const events = await listen()
  const old = await working({ client_order_id: 'old' })
  const next = idOf(await patch(old, { limit_price: '91', client_order_id: 'new' }))
  sandbox.control.fillOrder(old)
  await clock.advance(ROUND_TRIP_MS)
  expect(await read(old)).toMatchObject({ status: 'filled', replaced_by: null })
  expect(await read(next)).toMatchObject({ status: 'rejected', filled_qty: '0' })
  await expect
    .poll(events)
    .toEqual([
      'new old new',
      'fill old filled',
      'order_replace_rejected old filled',
      'rejected new rejected',
    ])
})

test('a part filled meanwhile stays with the old order; above the new total, refused', async () => {
  const first = await working()
  const second = await working()
  const kept = idOf(await patch(first, { qty: '8' }))
  const late = idOf(await patch(second, { qty: '3' }))
  for (const id of [first, second]) sandbox.control.fillOrder(id, { qty: '4' })
  await clock.advance(ROUND_TRIP_MS)
  expect(await read(first)).toMatchObject({ status: 'replaced', filled_qty: '4' })
  expect(await read(kept)).toMatchObject({ status: 'new', qty: '8', filled_qty: '0' })
  expect(await read(second)).toMatchObject({ status: 'partially_filled', filled_qty: '4' })
  expect(await read(late)).toMatchObject({ status: 'rejected' })
})

test('a replaced trailing stop keeps its mark and takes the new distance', async () => {
  const old = await working({
    side: 'sell',
    type: 'trailing_stop',
    limit_price: undefined,
    trail_price: '5',
  })
  sandbox.control.setPrice('AAPL', { last: '110' })
  sandbox.control.setPrice('AAPL', { last: '108' })
  const { body } = await patch(old, { trail: '4' })
  expect(body).toMatchObject({ trail_price: '4', hwm: '110', stop_price: '106' })
})

test('buying power is held once, for the larger of the two', async () => {
  const power = async (): Promise<string | null | undefined> =>
    row(await call(sandbox, 'GET', '/v2/account'))['buying_power']
  const old = await working()
  await patch(old, { qty: '20' })
  expect(await power()).toBe('198200')
  await clock.advance(ROUND_TRIP_MS)
  expect(await power()).toBe('198200')
})

describe('refusals', () => {
  const table: [name: string, change: object, message: string][] = [
    ['nothing changed', {}, 'order parameters are not changed'],
    [
      'the same terms',
      { qty: '10', limit_price: '90.00', time_in_force: 'day' },
      'order parameters are not changed',
    ],
    ['no more than is filled', { qty: '4' }, 'qty must be > filled_qty'],
    [
      'sub-penny',
      { limit_price: '90.123' },
      'invalid limit_price 90.123. sub-penny increment does not fulfill minimum pricing criteria',
    ],
    ['a trail on a limit', { trail: '1' }, 'only trailing stop orders accept a trail'],
    ['a stop price on a limit', { stop_price: '120' }, 'limit orders require no stop price'],
    ['an unknown time in force', { time_in_force: 'soon' }, 'invalid time_in_force'],
  ]
  test.each(table)('%s', async (_name, change, message) => {
    const id = await working()
    sandbox.control.fillOrder(id, { qty: '4' })
    const answer = await patch(id, change)
    expect(answer).toMatchObject({ status: 422, body: { message } })
    expect(await read(id)).toMatchObject({ status: 'partially_filled' })
  })

  test('an order that is still pending, being canceled, or over', async () => {
    const early = idOf(await call(sandbox, 'POST', '/v2/orders', limit))
    const wordsOf = async (id: string): Promise<unknown> => (await patch(id, { qty: '11' })).body
    const refusal = (message: string): object => ({ code: 42210000, message })
    expect(await wordsOf(early)).toEqual(refusal('cannot replace order in pending_new status'))
    await clock.advance(1)
    const next = idOf(await patch(early, { qty: '11' }))
    expect(await wordsOf(early)).toEqual(refusal('cannot replace order in pending_replace status'))
    expect(await wordsOf(next)).toEqual(refusal('order chain not fully replaced'))
    const cancel = await call(sandbox, 'DELETE', `/v2/orders/${early}`)
    expect([cancel.status, cancel.body]).toEqual([
      422,
      refusal('order is already in "pending_replace" state'),
    ])
    await clock.advance(ROUND_TRIP_MS)
    expect(await wordsOf(early)).toEqual(refusal('order already replaced'))
    await call(sandbox, 'DELETE', `/v2/orders/${next}`)
    expect(await wordsOf(next)).toEqual(refusal('cannot replace order in pending_cancel status'))
    await clock.advance(ROUND_TRIP_MS)
    expect(await wordsOf(next)).toEqual(refusal('cannot replace order in canceled status'))
    const filled = await working({ limit_price: '101' })
    await clock.advance(1)
    expect(await wordsOf(filled)).toEqual(refusal('cannot replace order in filled status'))
    sandbox.control.setMarketOpen(false)
    expect(await wordsOf(await working())).toEqual(
      refusal('cannot replace order in accepted status'),
    )
  })

  test('a notional order, an unknown one, and a client id already used', async () => {
    sandbox.control.holdMatching()
    const notional = await working({
      qty: undefined,
      notional: '500',
      type: 'market',
      limit_price: undefined,
    })
    expect(await patch(notional, { qty: '3' })).toMatchObject({ status: 422 })
    expect(await patch('nope', { qty: '3' })).toMatchObject({ status: 404 })
    const old = await working({ client_order_id: 'used' })
    const again = await patch(old, { qty: '11', client_order_id: 'used' })
    expect(again.body).toEqual({ code: 40010001, message: 'client_order_id must be unique' })
  })

  test('more than the account can carry', async () => {
    const answer = await patch(await working(), { qty: '5000' })
    expect(answer).toMatchObject({ status: 403, body: { message: 'insufficient buying power' } })
  })
})
