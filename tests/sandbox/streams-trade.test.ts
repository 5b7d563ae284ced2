import { Alpaca } from '@alpacahq/alpaca-trade-api'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Sandbox, startSandbox } from '#sandbox'
import { call, Wire } from './wire.ts'

/** The trade stream: its admission, the effect of `listen`, and every event that it can send. */

let sandbox: Sandbox
const wires: Wire[] = []

beforeEach(async () => {
  sandbox = await startSandbox({
    seed: 'trade stream',
    tickMs: 0,
    fillDelayMs: 0,
    partialFills: false,
  })
})
afterEach(async () => {
  wires.splice(0).forEach(({ socket }) => socket.terminate())
  await sandbox.close()
})

type Update = { stream: string; data: Record<string, unknown> }

const keys = { action: 'auth', key: 'demo-key', secret: 'demo-secret' }
const listen = (...streams: string[]) => ({ action: 'listen', data: { streams } })
const authorized = {
  stream: 'authorization',
  data: { status: 'authorized', action: 'authenticate' },
}
const unauthorized = (action: string) => ({
  stream: 'authorization',
  data: { status: 'unauthorized', action },
})
const listening = (...streams: string[]) => ({ stream: 'listening', data: { streams } })
const heard = (wire: Wire, count: number): Promise<void> =>
  expect.poll(() => wire.frames.length).toBe(count)

async function open(path = '/stream'): Promise<Wire> {
  const wire = new Wire(sandbox.wsUrl + path)
  wires.push(wire)
  return wire.opened()
}

async function listener(): Promise<Wire> {
  const wire = await open()
  wire.send(keys)
  wire.send(listen('trade_updates'))
  await heard(wire, 2)
  wire.frames.length = 0
  return wire
}

async function post(fields: Record<string, string> = {}): Promise<string> {
  const market = { symbol: 'AAPL', qty: '10', side: 'buy', type: 'market', time_in_force: 'day' }
  const { body } = await call(sandbox, 'POST', '/v2/orders', { ...market, ...fields })
  return (body as { id: string }).id
}

describe('authentication and listen', () => {
  test.each([
    [
      'an OAuth token in data',
      '/stream',
      { action: 'authenticate', data: { oauth_token: 'demo-token' } },
    ],
    [
      'an OAuth token under the key oauth',
      '/stream/',
      { action: 'auth', key: 'oauth', secret: 'demo-token' },
    ],
    [
      'keys inside data',
      '/stream/',
      { action: 'authenticate', data: { key_id: 'demo-key', secret_key: 'demo-secret' } },
    ],
    ['keys beside the action', '/stream', keys],
  ])('%s on %s', async (_name, path, message) => {
    const wire = await open(path)
    wire.send(message)
    await heard(wire, 1)
    expect(wire.heard).toEqual([authorized])
  })

  test('a wrong token is refused, and the socket stays for another try', async () => {
    const wire = await open()
    wire.send({ action: 'authenticate', data: { oauth_token: 'nobody' } })
    wire.send(listen('trade_updates'))
    wire.send(keys)
    wire.send(listen('trade_updates'))
    await heard(wire, 4)
    const refused = [unauthorized('authenticate'), unauthorized('listen')]
    expect(wire.heard).toEqual([...refused, authorized, listening('trade_updates')])
  })

  test('listen replaces the set: a repeat changes nothing, unknown names empty it', async () => {
    const wire = await listener()
    for (const streams of [
      ['trade_updates', 'trade_updates'],
      ['account_updates'],
      [],
      ['trade_updates'],
    ]) {
      wire.send(listen(...streams))
    }
    wire.send({ action: 'listen' })
    await heard(wire, 5)
    expect(wire.heard).toEqual([
      listening('trade_updates'),
      listening(),
      listening(),
      listening('trade_updates'),
      listening(),
    ])
    await post()
    await expect
      .poll(() => sandbox.control.ledger('demo-key').accounts['demo-key']?.executions.length)
      .toBe(1)
    expect(wire.frames).toHaveLength(5)
  })

  test('two sockets of one account get the same events, once each', async () => {
    const first = await listener()
    const second = await listener()
    await post()
    await Promise.all([heard(first, 2), heard(second, 2)])
    expect(first.heard).toEqual(second.heard)
  })
})

describe('events', () => {
  test('position_qty is signed and counts every execution before', async () => {
    const wire = await listener()
    await post({ qty: '4' })
    await heard(wire, 2)
    await post({ side: 'sell', qty: '4' })
    await heard(wire, 4)
    await post({ side: 'sell', qty: '3' })
    await heard(wire, 6)
    const fills = (wire.heard as Update[]).filter(({ data }) => data['event'] === 'fill')
    expect(fills.map(({ data }) => [data['qty'], data['position_qty']])).toEqual([
      ['4', '4'],
      ['4', '0'],
      ['3', '-3'],
    ])
  })

  const names = [
    'accepted',
    'new',
    'canceled',
    'expired',
    'rejected',
    'replaced',
    'done_for_day',
    'pending_new',
    'pending_cancel',
    'pending_replace',
    'pending_review',
    'held',
    'stopped',
    'calculated',
    'suspended',
    'restated',
    'order_replace_rejected',
    'order_cancel_rejected',
    'fill',
    'partial_fill',
    'trade_bust',
    'trade_correct',
  ]

  test('every documented event can be sent for an order, on the wire and to the SDK', async () => {
    const alpaca = new Alpaca({ keyId: 'demo-key', secret: 'demo-secret', paper: true })
    const stream = alpaca.trading.stream({ url: `${sandbox.wsUrl}/stream` })
    const seen: string[] = []
    const ready = new Promise<void>((resolve) => stream.on('subscription', () => resolve()))
    stream.onTradeUpdate(({ event }) => void seen.push(event))
    stream.subscribeTradeUpdates()
    stream.connect()
    await ready
    const wire = await listener()
    const orderId = await post()
    await heard(wire, 2)
    const before = await call(sandbox, 'GET', `/v2/orders/${orderId}`)
    for (const event of names) {
      const told = await call(sandbox, 'POST', '/_sandbox/streams/event', { orderId, event })
      expect(told.status).toBe(200)
    }
    await heard(wire, 2 + names.length)
    const updates = (wire.heard as Update[]).map(({ data }) => data)
    expect(updates.slice(2).map(({ event }) => event)).toEqual(names)
    await expect.poll(() => seen).toEqual(['new', 'fill', ...names])
    const of = (event: string) => updates.findLast((update) => update['event'] === event)
    expect(of('done_for_day')).not.toHaveProperty('price')
    expect(of('fill')).toMatchObject({
      execution_id: updates[1]?.['execution_id'],
      qty: '10',
      position_qty: '10',
    })
    expect(of('trade_correct')).toMatchObject({
      previous_execution_id: updates[1]?.['execution_id'],
      qty: '10',
    })
    const ids = updates.map((update) => String(update['event_id']))
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids.toSorted()).toEqual(ids)
    expect((await call(sandbox, 'GET', `/v2/orders/${orderId}`)).body).toEqual(before.body)
    stream.disconnect()
  })

  test('an unknown name or order is refused by the control', async () => {
    const orderId = await post()
    const tell = (body: unknown) => call(sandbox, 'POST', '/_sandbox/streams/event', body)
    expect(await tell({ orderId, event: 'vanished' })).toMatchObject({ status: 422 })
    expect(await tell({ orderId: 'nobody', event: 'held' })).toMatchObject({ status: 404 })
    sandbox.control.holdMatching()
    const unfilled = await post()
    const refused = await tell({ orderId: unfilled, event: 'fill' })
    expect(refused).toMatchObject({
      status: 422,
      body: { message: 'the order has no execution that fill could tell of: fill it first' },
    })
  })
})
