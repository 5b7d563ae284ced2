import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type AccountLedger, type Sandbox, startSandbox } from '#sandbox'
import { officialSdk, sdkTradeStream } from './official-sdk.ts'
import { call } from './wire.ts'

/**
 * Faults of the venue and of the broker's views for accepted requests, as the official SDK sees
 * them. Time is the market's.
 */

let sandbox: Sandbox
let stream: Awaited<ReturnType<typeof sdkTradeStream>>

beforeEach(async () => {
  sandbox = await startSandbox({
    seed: 'venue',
    time: 'virtual',
    fillDelayMs: 0,
    tickMs: 0,
    partialFills: false,
  })
  sandbox.control.setPrice('AAPL', { bid: '100', ask: '100', last: '100' })
  stream = await sdkTradeStream(sandbox)
})

afterEach(async () => {
  stream.disconnect()
  await sandbox.close()
})

const trading = () => officialSdk(sandbox).trading
const orders = () => trading().orders
const events = (): string[] => stream.updates.map(({ event }) => event)

function books(): AccountLedger {
  const account = sandbox.control.ledger('demo-key').accounts['demo-key']
  if (account === undefined) throw new Error('the demo account is always there')
  return account
}

const market = {
  symbol: 'AAPL',
  qty: '10',
  side: 'buy',
  type: 'market',
  timeInForce: 'day',
} as const
const resting = { ...market, type: 'limit', limitPrice: '90' } as const

/** An accepted order; answers its id. */
async function post(order: typeof market | typeof resting, clientOrderId = 'c1'): Promise<string> {
  const { id = '' } = await orders().postOrder({ postOrderRequest: { ...order, clientOrderId } })
  await expect.poll(events).toContain('new')
  return id
}

const byId = (orderId: string) => orders().getOrderByOrderID({ orderId })
const byClientId = (clientOrderId = 'c1') => orders().getOrderByClientOrderId({ clientOrderId })

describe('views', () => {
  test('hide_order - no list and no look-up has it yet, though it fills; its id is taken', async () => {
    sandbox.control.armFault({ kind: 'hide_order', delayMs: 30_000, nth: 2 })
    await post(resting, 'c0')
    const id = await post(market)
    await expect.poll(events).toContain('fill')
    const listed = async () =>
      (await orders().getAllOrders({ status: 'all' })).map((order) => order.clientOrderId)
    await sandbox.control.advanceTime(29_000)
    await expect(byClientId()).rejects.toMatchObject({
      name: 'NotFoundError',
      status: 404,
      code: 40410000,
    })
    await expect(byId(id)).rejects.toMatchObject({ message: `order not found for ${id}` })
    expect(await listed()).toEqual(['c0'])
    await expect(post(market)).rejects.toMatchObject({
      status: 422,
      message: 'client_order_id must be unique',
    })
    await sandbox.control.advanceTime(1_000)
    expect(await byClientId()).toMatchObject({ id, status: 'filled' })
    expect(await listed()).toEqual(['c1', 'c0'])
  })

  test('stale_positions - shown as before the fill, for a while', async () => {
    await post(market)
    await expect.poll(events).toContain('fill')
    sandbox.control.armFault({ kind: 'stale_positions' })
    sandbox.control.setPrice('AAPL', { bid: '110', ask: '110', last: '110' })
    await post(market, 'c2')
    await post({ ...market, qty: '10' }, 'c3')
    await expect.poll(() => books().executions.length).toBe(3)
    const one = async () => {
      const { qty, avgEntryPrice } = await trading().positions.getOpenPosition({
        symbolOrAssetId: 'AAPL',
      })
      return { qty, avgEntryPrice }
    }
    expect(await one()).toEqual({ qty: '10', avgEntryPrice: '100' })
    expect(await trading().positions.getAllOpenPositions()).toMatchObject([{ qty: '10' }])
    await sandbox.control.advanceTime(10_000)
    expect(await one()).toEqual({ qty: '30', avgEntryPrice: '106.666666667' })
  })

  test('late_activity - the stream has the fill, the activity list not yet', async () => {
    sandbox.control.armFault({ kind: 'late_activity', delayMs: 5_000 })
    await post(market)
    await expect.poll(events).toContain('fill')
    await post(market, 'c2')
    await expect.poll(() => books().executions.length).toBe(2)
    const rows = () => trading().accountActivities.getAccountActivities({ activityTypes: ['FILL'] })
    expect(await rows()).toHaveLength(1)
    await sandbox.control.advanceTime(5_000)
    expect(await rows()).toHaveLength(2)
  })

  test('a look-up fails on the nth time only', async () => {
    await post(resting)
    const path = '/v2/orders:by_client_order_id'
    sandbox.control.armFault({ kind: 'error_before', status: 503, path, nth: 2, keyId: 'demo-key' })
    await expect(byClientId()).resolves.toMatchObject({ clientOrderId: 'c1' })
    await expect(byClientId()).rejects.toMatchObject({ status: 503 })
    await expect(byClientId()).resolves.toBeDefined()
  })
})

describe('cancels', () => {
  const cancel = (orderId: string) => orders().deleteOrderByOrderID({ orderId })

  test('stuck_cancel - accepted, and pending for the given time', async () => {
    sandbox.control.armFault({ kind: 'stuck_cancel', delayMs: 300_000 })
    const id = await post(resting)
    await cancel(id)
    await cancel(id)
    await sandbox.control.advanceTime(299_000)
    expect(await byId(id)).toMatchObject({ status: 'pending_cancel', canceledAt: undefined })
    await sandbox.control.advanceTime(1_000)
    expect(await byId(id)).toMatchObject({ status: 'canceled' })
    await expect.poll(events).toEqual(['new', 'canceled'])
  })

  test.each([
    ['canceled', (id: string) => sandbox.control.cancelOrder(id)],
    ['filled', (id: string) => sandbox.control.fillOrder(id)],
    ['expired', () => sandbox.control.setMarketOpen(false)],
  ])('stuck_cancel - without a time it ends %s when another event ends it', async (status, end) => {
    sandbox.control.armFault({ kind: 'stuck_cancel' })
    const id = await post(resting)
    await cancel(id)
    await sandbox.control.advanceTime(3_600_000)
    expect(await byId(id)).toMatchObject({ status: 'pending_cancel' })
    end(id)
    expect(await byId(id)).toMatchObject({ status })
  })

  test('reject_cancel - accepted, then refused, and the order stays open', async () => {
    sandbox.control.armFault({ kind: 'reject_cancel' })
    const id = await post(resting)
    await cancel(id)
    await expect.poll(events).toEqual(['new', 'order_cancel_rejected'])
    expect(await byId(id)).toMatchObject({ status: 'new', cancel_requested_at: null })
    sandbox.control.setPrice('AAPL', { bid: '89', ask: '90', last: '90' })
    await expect.poll(events).toEqual(['new', 'order_cancel_rejected', 'fill'])
  })

  test('the venue cancels an order by itself, over the control API', async () => {
    const id = await post(resting)
    const answer = await call(sandbox, 'POST', `/_sandbox/orders/${id}/cancel`, undefined, {})
    expect(answer).toMatchObject({ status: 200, body: { status: 'canceled' } })
    await expect.poll(events).toEqual(['new', 'canceled'])
  })
})

describe('replacements', () => {
  const replace = (orderId: string, qty: string) =>
    orders().patchOrderByOrderId({ orderId, patchOrderRequest: { qty, limitPrice: '91' } })

  test('fill_before_replace - accepted, the original fills, the new order is rejected', async () => {
    sandbox.control.armFault({ kind: 'fill_before_replace' })
    const id = await post(resting)
    const successor = await replace(id, '20')
    expect(successor).toMatchObject({ replaces: id })
    await expect.poll(events).toEqual(['new', 'fill', 'order_replace_rejected', 'rejected'])
    expect(await byId(id)).toMatchObject({
      status: 'filled',
      filledQty: '10',
      replacedBy: undefined,
    })
    expect(await byId(successor.id ?? '')).toMatchObject({ status: 'rejected', filledQty: '0' })
    expect(books().positions).toMatchObject([{ qty: '10', cost: '900' }])
  })

  test('reject_replace - accepted, then refused, and the original stays open', async () => {
    sandbox.control.armFault({ kind: 'reject_replace' })
    const id = await post(resting)
    await replace(id, '20')
    await expect.poll(events).toEqual(['new', 'order_replace_rejected', 'rejected'])
    expect(await byId(id)).toMatchObject({ status: 'new', qty: '10' })
  })

  test.each([
    ['total', [], '20', '27'],
    ['remaining', [{ kind: 'replace_remaining' } as const], '13', '20'],
  ])(
    'sized by the %s quantity, with fills before and during the replacement',
    async (_size, faults, qty, executed) => {
      faults.forEach((fault) => sandbox.control.armFault(fault))
      sandbox.control.armFault({ kind: 'fill_before_replace', qty: '4' })
      const id = await post(resting)
      sandbox.control.fillOrder(id, { qty: '3' })
      const successor = await replace(id, '20')
      expect(successor.qty).toBe(faults.length === 0 ? '20' : '17')
      await expect.poll(events).toContain('replaced')
      expect(await byId(successor.id ?? '')).toMatchObject({ status: 'new', qty, filledQty: '0' })
      expect(await byId(id)).toMatchObject({ status: 'replaced', qty: '10', filledQty: '7' })
      sandbox.control.fillOrder(successor.id ?? '')
      expect(books().positions).toMatchObject([{ qty: executed }])
    },
  )
})

describe('overfills', () => {
  test.each([
    [undefined, '11'],
    ['10', '20'],
  ])('overfill - by %s more than was ordered', async (qty, filled) => {
    sandbox.control.armFault({ kind: 'overfill', ...(qty === undefined ? {} : { qty }) })
    const id = await post(market)
    await expect.poll(events).toEqual(['new', 'fill', 'fill'])
    expect(stream.updates.at(-1)).toMatchObject({ qty: qty ?? '1', positionQty: filled })
    expect(await byId(id)).toMatchObject({ status: 'filled', qty: '10', filledQty: filled })
    expect(books()).toMatchObject({
      cash: String(100_000 - 100 * Number(filled)),
      positions: [{ qty: filled }],
    })
    const [row] = (await call(sandbox, 'GET', '/v2/account/activities')).body as unknown[]
    expect(row).toMatchObject({ qty: qty ?? '1', cum_qty: filled, leaves_qty: '0' })
  })

  test('by command, only with an explicit flag', async () => {
    const id = await post(market)
    await expect.poll(events).toContain('fill')
    expect(() => sandbox.control.fillOrder(id, { qty: '5' })).toThrow('already in')
    expect(sandbox.control.fillOrder(id, { qty: '5', overfill: true })).toMatchObject({
      filled_qty: '15',
    })
  })
})

test('delay_request - the client gives up, finds nothing, and the order appears late', async () => {
  sandbox.control.armFault({
    kind: 'delay_request',
    delayMs: 400,
    method: 'POST',
    path: '/v2/orders',
  })
  const impatient = officialSdk(sandbox, { retry: false, timeoutMs: 100 }).trading.orders
  const request = { ...resting, clientOrderId: 'c1' }
  await expect(impatient.postOrder({ postOrderRequest: request })).rejects.toMatchObject({
    name: 'FetchError',
  })
  await expect(byClientId()).rejects.toMatchObject({ status: 404 })
  await expect
    .poll(() => byClientId().catch(() => undefined))
    .toMatchObject({ clientOrderId: 'c1' })
  await expect(orders().postOrder({ postOrderRequest: request })).rejects.toMatchObject({
    status: 422,
  })
  expect(books().orders).toHaveLength(1)
})
