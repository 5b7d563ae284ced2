import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type AccountLedger, type Sandbox, startSandbox } from '#sandbox'
import { checkBooks } from './books.ts'
import { officialSdk, sdkTradeStream } from './official-sdk.ts'
import { call } from './wire.ts'

/**
 * Executions that are busted or corrected after they were reported: events, lists, books. Every
 * figure is worked out by hand.
 */

let sandbox: Sandbox
let stream: Awaited<ReturnType<typeof sdkTradeStream>>

beforeEach(async () => {
  sandbox = await startSandbox({
    seed: 'amendments',
    fillDelayMs: 0,
    tickMs: 0,
    partialFills: false,
  })
  stream = await sdkTradeStream(sandbox)
})

afterEach(async () => {
  // A split changes a quantity without an execution.
  if (books().activities.length === 0) checkBooks(books())
  stream.disconnect()
  await sandbox.close()
})

const { trading } = { trading: () => officialSdk(sandbox).trading }
const control = (path: string, body: unknown = {}) =>
  call(sandbox, 'POST', `/_sandbox/${path}`, body, {})

function books(): AccountLedger {
  const account = sandbox.control.ledger('demo-key').accounts['demo-key']
  if (account === undefined) throw new Error('the demo account is always there')
  return account
}

/** Trades at exactly this price; answers the id of the execution. */
async function trade(side: 'buy' | 'sell', qty: string, price: string): Promise<string> {
  sandbox.control.setPrice('AAPL', { bid: price, ask: price, last: price })
  const before = books().executions.length
  await trading().orders.postOrder({
    postOrderRequest: { symbol: 'AAPL', qty, side, type: 'market', timeInForce: 'day' },
  })
  await expect.poll(() => books().executions.length).toBe(before + 1)
  return String(books().executions.at(-1)?.['execution_id'])
}

const position = async () => {
  const { qty, avgEntryPrice, costBasis } = await trading().positions.getOpenPosition({
    symbolOrAssetId: 'AAPL',
  })
  return { qty, avgEntryPrice, costBasis }
}
const amendments = () =>
  stream.updates.filter(({ event }) => event === 'trade_bust' || event === 'trade_correct')

describe('a bust', () => {
  test('reports its execution, price and quantity; order, position and cash follow', async () => {
    const first = await trade('buy', '4', '100')
    await trade('buy', '4', '110')
    expect(await position()).toEqual({ qty: '8', avgEntryPrice: '105', costBasis: '840' })
    const answer = await control(`executions/${first}/bust`)
    expect(answer).toMatchObject({ status: 200, body: { filled_qty: '0', filled_avg_price: null } })
    await expect.poll(() => amendments()).toHaveLength(1)
    const [bust] = amendments()
    expect(bust).toMatchObject({
      event: 'trade_bust',
      previous_execution_id: first,
      price: '100',
      qty: '4',
      positionQty: '4',
      order: { status: 'filled', filledQty: '0' },
    })
    expect(bust?.['execution_id']).not.toBe(first)
    expect(await position()).toEqual({ qty: '4', avgEntryPrice: '110', costBasis: '440' })
    expect(books()).toMatchObject({ cash: '99560', realized: '0' })
    expect(books().amendments).toMatchObject([
      {
        event: 'trade_bust',
        execution_id: bust?.['execution_id'],
        previous_execution_id: first,
        qty: '4',
        price: '100',
      },
    ])
    const rows = await trading().accountActivities.getAccountActivities({})
    expect(rows).toMatchObject([{ activityType: 'FILL', qty: '4', price: '110' }])
  })

  test('under the execution’s own id names no previous id', async () => {
    const id = await trade('buy', '4', '100')
    await control(`executions/${id}/bust`, { keepsId: true })
    await expect.poll(() => amendments()).toMatchObject([{ event: 'trade_bust', execution_id: id }])
    expect(amendments()[0]).not.toHaveProperty('previous_execution_id')
  })

  test('of shares sold since leaves the profit of the other shares', async () => {
    const first = await trade('buy', '4', '100')
    await trade('buy', '4', '110')
    await trade('sell', '4', '120')
    expect(books()).toMatchObject({ realized: '60', cash: '99640' })
    sandbox.control.bustExecution(first)
    expect(books()).toMatchObject({ realized: '40', cash: '100040', positions: [] })
    await expect(position()).rejects.toMatchObject({ status: 404 })
  })

  test('of shares split since reverses the split too', async () => {
    const first = await trade('buy', '4', '100')
    await trade('buy', '2', '106')
    sandbox.control.moveMoney('demo-key', { type: 'SPLIT', amount: '2', symbol: 'AAPL' })
    await trade('buy', '4', '56')
    sandbox.control.bustExecution(first)
    // 2 x 106 became 4 shares, and 4 x 56 came later.
    expect(await position()).toEqual({ qty: '8', avgEntryPrice: '54.5', costBasis: '436' })
  })

  test('of a part lets a working order fill the rest again', async () => {
    sandbox.control.setPrice('AAPL', { bid: '100', ask: '100', last: '100' })
    sandbox.control.holdMatching()
    const { id = '' } = await trading().orders.postOrder({
      postOrderRequest: {
        symbol: 'AAPL',
        qty: '10',
        side: 'buy',
        type: 'market',
        timeInForce: 'day',
      },
    })
    sandbox.control.fillOrder(id, { qty: '4' })
    sandbox.control.bustExecution(String(books().executions[0]?.['execution_id']))
    expect(await trading().orders.getOrderByOrderID({ orderId: id })).toMatchObject({
      status: 'new',
      filledQty: '0',
    })
    expect(sandbox.control.fillOrder(id)).toMatchObject({ status: 'filled', filled_qty: '10' })
  })

  test('of a renamed symbol is refused, and an armed bust leaves the execution unchanged', async () => {
    const first = await trade('buy', '4', '100')
    const change = { type: 'symbol_change', symbol: 'AAPL', to: 'NVDA' }
    expect(await control('corporate-actions', change)).toMatchObject({ status: 200 })
    const before = books()
    expect(await control(`executions/${first}/bust`)).toMatchObject({ status: 422 })
    sandbox.control.armFault({ kind: 'bust_trade' })
    await trade('buy', '1', '100')
    await expect.poll(() => sandbox.control.faults()).toEqual([])
    expect(books().positions).toMatchObject([...before.positions, { symbol: 'AAPL', qty: '1' }])
  })

  test('happens to an execution once, and only to a valid one', async () => {
    const id = await trade('buy', '4', '100')
    sandbox.control.bustExecution(id)
    expect(await control(`executions/${id}/bust`)).toMatchObject({ status: 404 })
    expect(await control('executions/nobody/bust')).toMatchObject({ status: 404 })
    expect(books().amendments).toHaveLength(1)
  })
})

describe('a correction', () => {
  test('reports the new figures; order, position, cash and activities follow', async () => {
    const first = await trade('buy', '4', '100')
    await trade('buy', '4', '110')
    const [, before] = await trading().accountActivities.getAccountActivities({})
    const answer = await control(`executions/${first}/correct`, { price: '101', qty: '3' })
    expect(answer.body).toMatchObject({
      status: 'filled',
      filled_qty: '3',
      filled_avg_price: '101',
    })
    await expect.poll(() => amendments()).toHaveLength(1)
    expect(amendments()[0]).toMatchObject({
      event: 'trade_correct',
      previous_execution_id: first,
      price: '101',
      qty: '3',
      positionQty: '7',
    })
    // 3 x 101 + 4 x 110 = 743.
    expect(await position()).toEqual({ qty: '7', avgEntryPrice: '106.142857143', costBasis: '743' })
    expect(books()).toMatchObject({ cash: '99257', realized: '0' })
    const rows = await call(sandbox, 'GET', '/v2/account/activities')
    expect(rows.body).toMatchObject([
      { activity_type: 'FILL', price: '101', qty: '3', cum_qty: '3', order_status: 'filled' },
      { activity_type: 'FILL', price: '110', qty: '4', cum_qty: '4' },
    ])
    expect(rows.body).not.toMatchObject([{ id: before?.id }, {}])
    const old = String((before as unknown as Record<string, unknown>)['id'])
    const rest = await call(
      sandbox,
      'GET',
      `/v2/account/activities?direction=asc&page_token=${old}`,
    )
    expect(rest.body).toMatchObject([{ price: '110' }, { price: '101' }])
  })

  test('counts as of the day of the execution: first in, first out over nights', async () => {
    const first = await trade('buy', '2', '100')
    sandbox.control.endDay()
    await trade('buy', '2', '110')
    await trade('sell', '2', '120')
    sandbox.control.endDay()
    expect(books()).toMatchObject({ realized: '40', positions: [{ qty: '2', cost: '220' }] })
    sandbox.control.correctExecution(first, { price: '90' })
    expect(books()).toMatchObject({
      realized: '60',
      cash: '99840',
      positions: [{ qty: '2', cost: '220' }],
    })
  })

  test('of a crypto trade takes the fee of the new figures', async () => {
    sandbox.control.setPrice('BTC/USD', { bid: '100', ask: '100', last: '100' })
    await trading().orders.postOrder({
      postOrderRequest: {
        symbol: 'BTC/USD',
        qty: '2',
        side: 'buy',
        type: 'market',
        timeInForce: 'gtc',
      },
    })
    await expect.poll(() => books().positions).toMatchObject([{ symbol: 'BTCUSD', qty: '1.995' }])
    sandbox.control.correctExecution(String(books().executions[0]?.['execution_id']), { qty: '1' })
    expect(books()).toMatchObject({ cash: '99900', fees: '0.25', positions: [{ qty: '0.9975' }] })
    expect(books().activities.map(({ qty }) => qty)).toEqual(['-0.005', '0.005', '-0.0025'])
    checkBooks(books())
  })

  test('can itself be corrected and busted, by its current id', async () => {
    const first = await trade('buy', '4', '100')
    sandbox.control.correctExecution(first, { price: '101' })
    const second = String(books().executions[0]?.['execution_id'])
    expect(() => sandbox.control.correctExecution(first, { price: '102' })).toThrow(
      'no execution that stands',
    )
    sandbox.control.correctExecution(second, { price: '103' })
    sandbox.control.bustExecution(String(books().executions[0]?.['execution_id']))
    expect(books()).toMatchObject({ cash: '100000', realized: '0', positions: [], executions: [] })
    await expect.poll(() => amendments().map(({ price }) => price)).toEqual(['101', '103', '103'])
  })
})

test('event streams name the execution that was amended', async () => {
  const first = await trade('buy', '4', '100')
  const second = await trade('buy', '2', '100')
  sandbox.control.correctExecution(first, { price: '101' })
  sandbox.control.bustExecution(second)
  const until = new Date(Date.now() + 20).toISOString()
  const headers = { 'apca-api-key-id': 'demo-key', 'apca-api-secret-key': 'demo-secret' }
  const read = async (path: string): Promise<Record<string, unknown>[]> => {
    const response = await fetch(`${sandbox.url}${path}?since=2020-01-01&until=${until}`, {
      headers,
    })
    const blocks = (await response.text())
      .split('\n\n')
      .filter((block) => block.startsWith('data: '))
    return blocks.map(
      (block) => JSON.parse(block.slice('data: '.length)) as Record<string, unknown>,
    )
  }
  const corrected = { activity_type: 'TRD', previous_id: first, price: '101', qty: '4' }
  const busted = { activity_type: 'TRD', previous_id: second, price: '100', qty: '2' }
  expect((await read('/v2beta1/events/activities')).slice(2)).toMatchObject([
    {
      ...corrected,
      net_amount: '-404',
      details: { execution_type: 'trade_correct', cum_qty: '4', side: 'buy' },
    },
    {
      ...busted,
      net_amount: '-200',
      details: { execution_type: 'trade_bust', cum_qty: '0', side: 'buy' },
    },
  ])
  expect((await read('/v2/events/trades')).slice(-2)).toMatchObject([
    { event: 'trade_correct', previous_execution_id: first },
    { event: 'trade_bust', previous_execution_id: second },
  ])
})
