import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { clientOrderIdOf, dec } from '#domain'
import { BrokerError } from '../../workers/broker/port.ts'
import {
  type Harness,
  inMemory,
  listen,
  onSandbox,
  openSandbox,
  ticketOf,
} from './broker-harness.ts'

let real: Awaited<ReturnType<typeof openSandbox>>
beforeAll(async () => void (real = await openSandbox()))
afterAll(() => real.close())

describe.each<[string, () => Harness]>([
  ['in memory', inMemory],
  ['Alpaca’s SDK on the sandbox', () => onSandbox(real)],
  [
    'Alpaca’s SDK with an access token',
    () => onSandbox(real, { accessToken: 'a-token' }, 'token-key'),
  ],
])('broker %s', (_name, make) => {
  test('accepts an order, and finds the order by its client order id', async () => {
    const { broker } = make()
    const ticket = ticketOf()
    const outcome = await broker.submit(ticket)
    expect(outcome).toMatchObject({
      kind: 'accepted',
      order: { clientOrderId: ticket.clientOrderId, quantity: '10', filledQuantity: '0' },
    })
    expect(await broker.findByClientOrderId(ticket.clientOrderId)).toMatchObject({
      symbol: 'AAPL',
      side: 'buy',
      quantity: '10',
    })
  })

  test('an id that was never sent is not found', async () => {
    expect(await make().broker.findByClientOrderId('fc1-0000000000-0.0-never')).toBeNull()
  })

  test('lists the tradable stocks and coins with the terms that each allows', async () => {
    const assets = new Map((await make().broker.listAssets()).map((asset) => [asset.symbol, asset]))
    expect(assets.get('AAPL')).toEqual({
      symbol: 'AAPL',
      assetClass: 'us_equity',
      isTradable: true,
      isFractionable: true,
      isShortable: true,
      quantityMin: null,
      quantityIncrement: null,
      priceIncrement: null,
    })
    expect(assets.get('BTC/USD')).toEqual({
      symbol: 'BTC/USD',
      assetClass: 'crypto',
      isTradable: true,
      isFractionable: true,
      isShortable: false,
      quantityMin: '0.000000001',
      quantityIncrement: '0.000000001',
      priceIncrement: '0.000000001',
    })
  })

  test('an order marked as a close is refused where it would open a position', async () => {
    const { broker, fill } = make()
    const sell = {
      ...ticketOf({ symbol: 'INTC', side: 'sell', quantity: dec('3') }),
      isClose: true,
    }
    expect(await broker.submit(sell)).toMatchObject({
      kind: 'refused',
      code: 'INSUFFICIENT_QUANTITY',
    })
    const bought = ticketOf({ symbol: 'INTC', quantity: dec('3') })
    await broker.submit(bought)
    await fill(bought.clientOrderId, '24')
    const again = {
      ...ticketOf({ symbol: 'INTC', side: 'sell', quantity: dec('3') }),
      isClose: true,
    }
    expect(await broker.submit(again)).toMatchObject({ kind: 'accepted' })
  })

  test('the same id again is a duplicate, not a second order', async () => {
    const { broker } = make()
    const ticket = ticketOf()
    await broker.submit(ticket)
    expect(await broker.submit(ticket)).toEqual({ kind: 'duplicate' })
    const mine = (await broker.listOrders({ status: 'open' })).filter(
      (order) => order.clientOrderId === ticket.clientOrderId,
    )
    expect(mine).toHaveLength(1)
  })

  test('reply lost - the outcome is unknown, and the order is at the broker', async () => {
    const { broker, loseNextReply } = make()
    loseNextReply()
    const ticket = ticketOf()
    expect(await broker.submit(ticket)).toMatchObject({ kind: 'unknown' })
    expect(await broker.findByClientOrderId(ticket.clientOrderId)).not.toBeNull()
  })

  test('the portfolio follows the executions', async () => {
    const { broker, fill } = make()
    const before = await broker.readPortfolio()
    const ticket = ticketOf({ symbol: 'NVDA', quantity: dec('2') })
    await broker.submit(ticket)
    await fill(ticket.clientOrderId, '400')
    const after = await broker.readPortfolio()
    expect(Number(before.cash) - Number(after.cash)).toBe(800)
    expect(after.positions.find(({ symbol }) => symbol === 'NVDA')).toMatchObject({
      quantity: '2',
      averageEntryPrice: '400',
    })
    expect(after.brokerAccountId).toBe(before.brokerAccountId)
  })

  test('a cancel is a request; a late cancel is refused, and is no error', async () => {
    const { broker, fill } = make()
    const { told, stream } = listen(broker)
    await expect.poll(() => told.live).toBe(1)
    const open = ticketOf()
    const done = ticketOf()
    for (const ticket of [open, done]) await broker.submit(ticket)
    await fill(done.clientOrderId, '180')
    const idOf = async (id: string): Promise<string> =>
      (await broker.findByClientOrderId(id))?.brokerOrderId ?? ''
    expect(await broker.cancel(await idOf(open.clientOrderId))).toEqual({ kind: 'requested' })
    expect(await broker.cancel(await idOf(done.clientOrderId))).toMatchObject({ kind: 'refused' })
    await expect
      .poll(() =>
        told.updates.some(
          ({ order }) => order.clientOrderId === open.clientOrderId && order.status === 'canceled',
        ),
      )
      .toBe(true)
    await stream.close()
  })

  test('an order is found by its broker id, and its exits lead back to the order', async () => {
    const { broker } = make()
    const exits = {
      takeProfit: { limitPrice: dec('220') },
      stopLoss: { stopPrice: dec('90'), limitPrice: null },
    }
    const limits = {
      orderType: 'limit',
      limitPrice: dec('100'),
      timeInForce: 'gtc',
      orderClass: 'bracket',
    } as const
    const ticket = ticketOf({ ...limits, ...exits })
    const outcome = await broker.submit(ticket)
    if (outcome.kind !== 'accepted') throw new Error(`not accepted: ${JSON.stringify(outcome)}`)
    const { brokerOrderId, legs } = outcome.order
    expect(
      legs.map(({ orderType, side, limitPrice, stopPrice }) => [
        orderType,
        side,
        limitPrice,
        stopPrice,
      ]),
    ).toEqual([
      ['limit', 'sell', '220', null],
      ['stop', 'sell', null, '90'],
    ])
    expect((await broker.findByBrokerOrderId(brokerOrderId))?.legs).toHaveLength(2)
    expect((await broker.findByClientOrderId(ticket.clientOrderId))?.legs).toHaveLength(2)
    for (const leg of legs) expect(await broker.findParent(leg)).toMatchObject({ brokerOrderId })
    expect(await broker.findParent(outcome.order)).toBeNull()
    const listed = await broker.listOrders({ status: 'open' })
    const ids = new Set([brokerOrderId, ...legs.map((leg) => leg.brokerOrderId)])
    expect(listed.filter((order) => ids.has(order.brokerOrderId))).toHaveLength(3)
    expect(listed.every((order) => order.legs.length === 0)).toBe(true)
    expect(await broker.findByBrokerOrderId('00000000-0000-4000-8000-000000000000')).toBeNull()
  })

  test('a page of orders starts after the order that the request names', async () => {
    const { broker } = make()
    const limited = { orderType: 'limit', limitPrice: dec('100'), timeInForce: 'gtc' } as const
    const placed: string[] = []
    for (let n = 0; n < 3; n += 1) {
      const outcome = await broker.submit(ticketOf(limited))
      if (outcome.kind === 'accepted') placed.push(outcome.order.brokerOrderId)
    }
    const since = '2020-01-01T00:00:00Z'
    const first = await broker.listOrderPage(since, null)
    expect(first.orders.map(({ brokerOrderId }) => brokerOrderId).slice(-3)).toEqual(placed)
    expect([first.rows, first.lastId]).toEqual([first.orders.length, placed[2]])
    const behind = await broker.listOrderPage(since, placed[0] ?? '')
    expect(behind.orders.map(({ brokerOrderId }) => brokerOrderId)).toEqual(placed.slice(1))
    expect(await broker.listOrderPage(since, placed[2] ?? '')).toEqual({
      orders: [],
      rows: 0,
      lastId: null,
    })
  })

  test('a replacement is an order of its own that names the replaced order', async () => {
    const { broker, fill } = make()
    const limited = { orderType: 'limit', limitPrice: dec('100'), timeInForce: 'gtc' } as const
    const first = ticketOf(limited)
    const placed = await broker.submit(first)
    const brokerOrderId = placed.kind === 'accepted' ? placed.order.brokerOrderId : ''
    const terms = {
      quantity: null,
      limitPrice: dec('101'),
      stopPrice: null,
      trail: null,
      timeInForce: null,
    }
    const ticket = {
      brokerOrderId,
      clientOrderId: clientOrderIdOf('u1', first.intent.tradeId, '0.1'),
      terms,
    }
    await expect
      .poll(() => broker.findByBrokerOrderId(brokerOrderId))
      .toMatchObject({ status: 'new' })
    const outcome = await broker.replace(ticket)
    expect(outcome).toMatchObject({
      kind: 'accepted',
      order: { limitPrice: '101', quantity: '10', filledQuantity: '0' },
    })
    await expect
      .poll(() => broker.findByBrokerOrderId(brokerOrderId))
      .toMatchObject({ status: 'replaced' })
    const next = await broker.findByClientOrderId(ticket.clientOrderId)
    expect(next).toMatchObject({ replaces: brokerOrderId })
    expect(await broker.findByClientOrderId(first.clientOrderId)).toMatchObject({
      replacedBy: next?.brokerOrderId,
    })
    await fill(ticket.clientOrderId, '101')
    const again = { ...ticket, clientOrderId: clientOrderIdOf('u1', first.intent.tradeId, '0.2') }
    expect(
      await broker.replace({ ...again, brokerOrderId: next?.brokerOrderId ?? '' }),
    ).toMatchObject({
      kind: 'refused',
    })
  })

  test('cash moved without an order is an activity; a holding has its free quantity', async () => {
    const { broker, fill, deposit } = make()
    const since = new Date(Date.UTC(2020, 0)).toISOString()
    const before = (await broker.listActivities(since)).length
    await deposit('250')
    const [last] = (await broker.listActivities(since)).slice(before)
    expect(last).toMatchObject({ kind: 'deposit', type: 'CSD', amount: '250', symbol: null })
    const ticket = ticketOf({ symbol: 'MSFT', quantity: dec('5') })
    await broker.submit(ticket)
    await fill(ticket.clientOrderId, '300')
    expect(await broker.readPosition('MSFT')).toEqual({ quantity: '5', available: '5' })
    const exit = {
      side: 'sell',
      quantity: dec('2'),
      orderType: 'limit',
      limitPrice: dec('900'),
    } as const
    await broker.submit(ticketOf({ symbol: 'MSFT', ...exit }))
    expect(await broker.readPosition('MSFT')).toEqual({ quantity: '5', available: '3' })
    expect(await broker.readPosition('AMD')).toBeNull()
  })

  test.each(['AAPL', 'BTC/USD'])(
    'the latest quote of %s has both sides and the last trade',
    async (symbol) => {
      const { broker, quote } = make()
      quote(symbol, '180.25', '180.5')
      expect(await broker.readQuote(symbol)).toEqual({ bid: '180.25', ask: '180.5', last: '180.5' })
    },
  )

  test('a symbol that the broker does not know has no quote', async () => {
    const { broker } = make()
    expect(await broker.readQuote('NOSUCH')).toBeNull()
    expect(await broker.readQuote('NOSUCH/USD')).toBeNull()
  })

  test('sessions are in UTC, with early closes and the daylight saving of New York', async () => {
    const sessions = await make().broker.readSessions('2024-11-01', '2024-12-02')
    const on = (day: string) => sessions.find(({ date }) => date === day)
    expect(on('2024-11-01')).toEqual({
      date: '2024-11-01',
      openAt: '2024-11-01T13:30:00.000Z',
      closeAt: '2024-11-01T20:00:00.000Z',
    })
    expect(on('2024-11-04')).toMatchObject({ openAt: '2024-11-04T14:30:00.000Z' })
    expect(on('2024-11-29')).toMatchObject({ closeAt: '2024-11-29T18:00:00.000Z' })
    expect(on('2024-11-28')).toBeUndefined() // Thanksgiving
    expect(sessions).toHaveLength(21)
  })

  test('keys revoked - readings fail, a submission is refused, the stream ends', async () => {
    const { broker, revoke, restore } = make()
    expect(await broker.readAccount()).toMatchObject({ canTrade: true, why: null })
    revoke()
    try {
      const error: unknown = await broker.readAccount().catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(BrokerError)
      expect((error as BrokerError).code).toBe('CREDENTIALS')
      expect(await broker.submit(ticketOf())).toMatchObject({
        kind: 'refused',
        code: 'BROKER_DISCONNECTED',
      })
      await expect(broker.readQuote('AAPL')).rejects.toMatchObject({ code: 'CREDENTIALS' })
      const { told, stream } = listen(broker)
      await expect.poll(() => told.down).toEqual(['credentials final'])
      await stream.close()
    } finally {
      restore()
    }
  })
})
