import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Sandbox, startSandbox } from '#sandbox'
import { officialSdk, sdkTradeStream } from './official-sdk.ts'

/**
 * Orders that go wrong after they were answered, as the official SDK hears of it, and as the books
 * keep it.
 */

let sandbox: Sandbox
let stream: Awaited<ReturnType<typeof sdkTradeStream>>

beforeEach(async () => {
  sandbox = await startSandbox({
    seed: 'order faults',
    fillDelayMs: 0,
    tickMs: 0,
    partialFills: false,
  })
  sandbox.control.setPrice('AAPL', { bid: '100', ask: '100.01', last: '100' })
  stream = await sdkTradeStream(sandbox)
})

afterEach(async () => {
  stream.disconnect()
  await sandbox.close()
})

const orders = () => officialSdk(sandbox).trading.orders
const market = {
  symbol: 'AAPL',
  qty: '4',
  side: 'buy',
  type: 'market',
  timeInForce: 'day',
  clientOrderId: 'c1',
} as const
const events = (): string[] => stream.updates.map(({ event }) => event)
const books = () => sandbox.control.ledger('demo-key').accounts['demo-key']

test('reject_order - answered 200, rejected later, never filled', async () => {
  sandbox.control.armFault({ kind: 'reject_order' })
  const order = await orders().postOrder({ postOrderRequest: market })
  expect(order.status).toBe('pending_new')
  await expect.poll(events).toEqual(['new', 'rejected'])
  const found = await orders().getOrderByOrderID({ orderId: order.id ?? '' })
  expect(found).toMatchObject({ status: 'rejected', filledQty: '0' })
  expect(found.failedAt).toBeInstanceOf(Date)
  expect(books()).toMatchObject({ cash: '100000', executions: [] })
})

test('fill_after_cancel - the order stays canceled, and its fill is booked', async () => {
  sandbox.control.armFault({ kind: 'fill_after_cancel' })
  const resting = { ...market, type: 'limit', limitPrice: '90' } as const
  const { id = '' } = await orders().postOrder({ postOrderRequest: resting })
  await expect.poll(events).toEqual(['new'])
  await orders().deleteOrderByOrderID({ orderId: id })
  await expect.poll(events).toEqual(['new', 'canceled', 'fill'])
  expect(stream.updates[2]).toMatchObject({
    qty: '4',
    positionQty: '4',
    order: { status: 'canceled', filledQty: '4' },
  })
  expect(books()).toMatchObject({ cash: '99640', positions: [{ symbol: 'AAPL', qty: '4' }] })
})

test('bust_trade - a fill is busted: cash, position and activities are as before', async () => {
  sandbox.control.armFault({ kind: 'bust_trade', nth: 2 })
  await orders().postOrder({ postOrderRequest: market })
  await expect.poll(events).toEqual(['new', 'fill'])
  await orders().postOrder({ postOrderRequest: { ...market, clientOrderId: 'c2' } })
  await expect.poll(events).toEqual(['new', 'fill', 'new', 'fill', 'trade_bust'])
  const [fill, bust] = stream.updates.slice(3) as unknown as Record<string, string>[]
  expect(bust).toMatchObject({ qty: '4', positionQty: '4', order: { filledQty: '0' } })
  expect(bust?.['previous_execution_id']).toBe(fill?.['execution_id'])
  expect(bust?.['execution_id']).not.toBe(fill?.['execution_id'])
  expect(books()).toMatchObject({ cash: '99599.96', realized: '0', executions: [{ qty: '4' }] })
  const activities = await officialSdk(sandbox).trading.accountActivities.getAccountActivities({})
  expect(activities).toHaveLength(1)
})

test('correct_trade - a fill is changed, by a cent unless given, and the cash follows', async () => {
  sandbox.control.armFault({ kind: 'correct_trade' })
  await orders().postOrder({ postOrderRequest: market })
  await expect.poll(events).toEqual(['new', 'fill', 'trade_correct'])
  expect(stream.updates[2]).toMatchObject({
    qty: '4',
    price: '100.02',
    order: { filledQty: '4', filledAvgPrice: '100.02' },
  })
  expect(books()).toMatchObject({ cash: '99599.92', positions: [{ qty: '4', cost: '400.08' }] })
  sandbox.control.armFault({ kind: 'correct_trade', price: '90', qty: '1' })
  await orders().postOrder({ postOrderRequest: { ...market, clientOrderId: 'c2' } })
  await expect
    .poll(() => stream.updates.at(-1))
    .toMatchObject({ event: 'trade_correct', qty: '1', positionQty: '5' })
  expect(books()).toMatchObject({ cash: '99509.92' })
})
