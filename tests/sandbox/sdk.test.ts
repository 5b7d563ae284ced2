import { Alpaca } from '@alpacahq/alpaca-trade-api'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Sandbox, startSandbox } from '#sandbox'

/**
 * The official SDK, unchanged, works with the sandbox as with the broker: its models and streams.
 */

let sandbox: Sandbox
const open: { disconnect(): void }[] = []

beforeEach(async () => {
  sandbox = await startSandbox({ seed: 'sdk', fillDelayMs: 0, tickMs: 0, partialFills: false })
})

afterEach(async () => {
  open.splice(0).forEach((stream) => stream.disconnect())
  await sandbox.close()
})

const sdk = (
  keyId = 'demo-key',
  secret = 'demo-secret',
  retry: false | undefined = false,
): Alpaca =>
  new Alpaca({
    keyId,
    secret,
    paper: true,
    rateLimit: false,
    ...(retry === undefined ? {} : { retry }),
    timeoutMs: 5_000,
    fetchApi: (url, init) => {
      const { pathname, search } = new URL(url)
      return fetch(sandbox.url + pathname + search, init)
    },
  })

type Update = {
  event: string
  order: { clientOrderId?: string; status?: string }
  price?: string
  qty?: string
}

/** Opens the trade stream and returns its updates, once the server has acknowledged `listen`. */
async function listen(alpaca: Alpaca): Promise<Update[]> {
  const updates: Update[] = []
  const stream = alpaca.trading.stream({ url: `${sandbox.wsUrl}/stream` })
  open.push(stream)
  const listening = new Promise<void>((resolve) => stream.on('subscription', () => resolve()))
  stream.onTradeUpdate((update) => void updates.push(update))
  stream.subscribeTradeUpdates()
  stream.connect()
  await listening
  return updates
}

const marketBuy = (clientOrderId: string, qty = '10') =>
  ({ symbol: 'AAPL', qty, side: 'buy', type: 'market', timeInForce: 'day', clientOrderId }) as const

describe('trading', () => {
  test('a market buy is answered, filled, streamed, and in position, account, activities', async () => {
    const alpaca = sdk()
    const updates = await listen(alpaca)
    sandbox.control.setPrice('AAPL', { bid: '185.00', ask: '185.10', last: '185.05' })
    const order = await alpaca.trading.orders.postOrder({ postOrderRequest: marketBuy('c1') })
    expect(order).toMatchObject({
      clientOrderId: 'c1',
      qty: '10',
      filledQty: '0',
      status: 'pending_new',
    })
    await expect.poll(() => updates.map(({ event }) => event)).toEqual(['new', 'fill'])
    expect(updates[1]).toMatchObject({
      price: '185.1',
      qty: '10',
      positionQty: '10',
      order: { clientOrderId: 'c1', status: 'filled', filledQty: '10', filledAvgPrice: '185.1' },
    })
    const account = await alpaca.trading.account.getAccount()
    expect(account).toMatchObject({ cash: '98149', status: 'ACTIVE' })
    const position = await alpaca.trading.positions.getOpenPosition({ symbolOrAssetId: 'AAPL' })
    expect(position).toMatchObject({ qty: '10', avgEntryPrice: '185.1', currentPrice: '185.05' })
    const activities = await alpaca.trading.accountActivities.getAccountActivities({
      activityTypes: ['FILL'],
    })
    expect(activities).toHaveLength(1)
    expect(activities[0]).toMatchObject({
      orderId: order.id,
      cumQty: '10',
      leavesQty: '0',
      type: 'fill',
    })
  })

  test('a partial fill comes first, then the rest, and both add up', async () => {
    sandbox.control.setPartialFills(true, 1)
    const alpaca = sdk()
    const updates = await listen(alpaca)
    await alpaca.trading.orders.postOrder({ postOrderRequest: marketBuy('c1') })
    await expect
      .poll(() => updates.map(({ event }) => event))
      .toEqual(['new', 'partial_fill', 'fill'])
    expect(Number(updates[1]?.qty) + Number(updates[2]?.qty)).toBe(10)
    expect(updates[1]?.order.status).toBe('partially_filled')
  })

  test('a limit order rests until it is marketable, and can be canceled', async () => {
    const alpaca = sdk()
    const updates = await listen(alpaca)
    const limit = { ...marketBuy('rest', '2'), type: 'limit', limitPrice: '150' } as const
    const first = await alpaca.trading.orders.postOrder({ postOrderRequest: limit })
    const second = await alpaca.trading.orders.postOrder({
      postOrderRequest: { ...limit, clientOrderId: 'gone' },
    })
    await expect.poll(() => updates.map(({ event }) => event)).toEqual(['new', 'new'])
    await alpaca.trading.orders.deleteOrderByOrderID({ orderId: second.id ?? '' })
    await expect
      .poll(() => updates.at(-1))
      .toMatchObject({ event: 'canceled', order: { clientOrderId: 'gone' } })
    sandbox.control.setPrice('AAPL', { bid: '149.90', ask: '149.95' })
    await expect.poll(() => updates.at(-1)).toMatchObject({ event: 'fill', price: '149.95' })
    const found = await alpaca.trading.orders.getOrderByOrderID({ orderId: first.id ?? '' })
    expect(found).toMatchObject({ status: 'filled', filledAvgPrice: '149.95' })
    const refused = alpaca.trading.orders.deleteOrderByOrderID({ orderId: first.id ?? '' })
    await expect(refused).rejects.toMatchObject({ status: 422, code: 42210000 })
  })

  test('an order is found by its client order id; the same id is never accepted twice', async () => {
    const alpaca = sdk()
    const order = await alpaca.trading.orders.postOrder({ postOrderRequest: marketBuy('a b/c') })
    const found = await alpaca.trading.orders.getOrderByClientOrderId({ clientOrderId: 'a b/c' })
    expect(found.id).toBe(order.id)
    const again = alpaca.trading.orders.postOrder({ postOrderRequest: marketBuy('a b/c') })
    await expect(again).rejects.toMatchObject({
      status: 422,
      message: 'client_order_id must be unique',
    })
    const missing = alpaca.trading.orders.getOrderByClientOrderId({ clientOrderId: 'nobody' })
    await expect(missing).rejects.toMatchObject({
      name: 'NotFoundError',
      status: 404,
      code: 40410000,
    })
  })

  test('an account has no access to the orders of another account', async () => {
    const first = sdk()
    const second = sdk('demo-key-2', 'demo-secret-2')
    const heard = await listen(second)
    const order = await first.trading.orders.postOrder({ postOrderRequest: marketBuy('c1') })
    await expect
      .poll(() => sandbox.control.ledger('demo-key').accounts['demo-key']?.executions.length)
      .toBe(1)
    await expect(
      second.trading.orders.getOrderByOrderID({ orderId: order.id ?? '' }),
    ).rejects.toMatchObject({
      status: 404,
    })
    expect(await second.trading.positions.getAllOpenPositions()).toEqual([])
    expect(await second.trading.account.getAccount()).toMatchObject({ cash: '100000' })
    expect(heard).toEqual([])
  })

  test('clock and assets are read', async () => {
    const alpaca = sdk()
    const clock = await alpaca.trading.clock.legacyClock()
    expect(clock.isOpen).toBe(true)
    expect(clock.nextOpen).toBeInstanceOf(Date)
    const btc = await alpaca.trading.assets.getV2AssetsSymbolOrAssetId({
      symbolOrAssetId: 'BTC/USD',
    })
    expect(btc).toMatchObject({ symbol: 'BTC/USD', _class: 'crypto' })
  })

  test('an unknown key is an AuthError, and its stream ends for good', async () => {
    const alpaca = sdk('demo-key', 'wrong')
    await expect(alpaca.trading.account.getAccount()).rejects.toMatchObject({
      name: 'AuthError',
      status: 401,
    })
    const stream = alpaca.trading.stream({ url: `${sandbox.wsUrl}/stream` })
    open.push(stream)
    const errors: string[] = []
    stream.onError((message) => void errors.push(message))
    stream.connect()
    await expect.poll(() => errors).toEqual(['auth failed'])
  })
})

describe('control', () => {
  test('a revoked key is refused and its streams are cut; restored, it works again', async () => {
    const alpaca = sdk()
    await listen(alpaca)
    expect(sandbox.control.streams().trade).toBe(1)
    sandbox.control.revokeKey('demo-key')
    await expect.poll(() => sandbox.control.streams().trade).toBe(0)
    await expect(alpaca.trading.account.getAccount()).rejects.toMatchObject({
      status: 401,
      message: 'unauthorized.',
    })
    sandbox.control.restoreKey('demo-key')
    expect(await alpaca.trading.account.getAccount()).toMatchObject({ status: 'ACTIVE' })
  })

  test('a held answer - the order fills before its own POST is answered', async () => {
    const alpaca = sdk()
    const updates = await listen(alpaca)
    sandbox.control.holdAnswers()
    const answered = vi.fn()
    const posting = alpaca.trading.orders
      .postOrder({ postOrderRequest: marketBuy('c1') })
      .then(answered)
    await expect.poll(() => updates.map(({ event }) => event)).toEqual(['new', 'fill'])
    expect(answered).not.toHaveBeenCalled()
    expect(sandbox.control.releaseAnswers()).toBe(1)
    await posting
    expect(answered).toHaveBeenCalledOnce()
  })

  test('a dropped answer - the SDK gets a transport error, and the order exists', async () => {
    const alpaca = sdk()
    sandbox.control.holdAnswers({ drop: true })
    const posting = alpaca.trading.orders.postOrder({ postOrderRequest: marketBuy('c1') })
    await expect(posting).rejects.toMatchObject({ name: 'FetchError' })
    expect(
      await alpaca.trading.orders.getOrderByClientOrderId({ clientOrderId: 'c1' }),
    ).toMatchObject({ qty: '10' })
  })

  test('held matching waits for the test, by amount and price', async () => {
    const alpaca = sdk()
    const updates = await listen(alpaca)
    sandbox.control.holdMatching({ keyId: 'demo-key' })
    const order = await alpaca.trading.orders.postOrder({ postOrderRequest: marketBuy('c1') })
    await expect.poll(() => updates.length).toBe(1)
    sandbox.control.fillOrder(order.id ?? '', { qty: '4', price: '180.5' })
    await expect
      .poll(() => updates.at(-1))
      .toMatchObject({ event: 'partial_fill', qty: '4', price: '180.5' })
    sandbox.control.releaseMatching({ keyId: 'demo-key' })
    await expect.poll(() => updates.at(-1)).toMatchObject({ event: 'fill', qty: '6' })
  })

  test('a canceled order can still get a late fill, and stays canceled', async () => {
    const alpaca = sdk()
    const updates = await listen(alpaca)
    sandbox.control.holdMatching()
    const order = await alpaca.trading.orders.postOrder({ postOrderRequest: marketBuy('c1') })
    await alpaca.trading.orders.deleteOrderByOrderID({ orderId: order.id ?? '' })
    await expect.poll(() => updates.at(-1)?.event).toBe('canceled')
    sandbox.control.fillOrder(order.id ?? '', { qty: '3' })
    await expect
      .poll(() => updates.at(-1))
      .toMatchObject({
        event: 'partial_fill',
        qty: '3',
        order: { status: 'canceled', filledQty: '3' },
      })
    expect(
      await alpaca.trading.positions.getOpenPosition({ symbolOrAssetId: 'AAPL' }),
    ).toMatchObject({ qty: '3' })
  })

  test('orders queue while the market is closed, and fill when it opens', async () => {
    const alpaca = sdk()
    const updates = await listen(alpaca)
    sandbox.control.setMarketOpen(false)
    const order = await alpaca.trading.orders.postOrder({ postOrderRequest: marketBuy('c1') })
    expect(order.status).toBe('accepted')
    await expect.poll(() => updates.map(({ event }) => event)).toEqual(['accepted'])
    expect(await alpaca.trading.clock.legacyClock()).toMatchObject({ isOpen: false })
    sandbox.control.setMarketOpen(true)
    await expect.poll(() => updates.map(({ event }) => event)).toEqual(['accepted', 'new', 'fill'])
  })
})

describe('market data', () => {
  test('quotes and trades arrive as MessagePack with exact timestamps', async () => {
    const alpaca = sdk()
    const stream = alpaca.marketData.stockStream({ feed: 'iex', url: `${sandbox.wsUrl}/v2/iex` })
    open.push(stream)
    const quotes: unknown[] = []
    const trades: unknown[] = []
    const subscribed = new Promise((resolve) => {
      stream.on('subscription', (set: { quotes: string[]; trades: string[] }) => {
        if (set.quotes.length > 0 && set.trades.length > 0) resolve(set)
      })
    })
    stream.onQuote((quote) => void quotes.push(quote))
    stream.onTrade((trade) => void trades.push(trade))
    stream.subscribeForQuotes(['AAPL', 'MSFT'])
    stream.subscribeForTrades(['AAPL'])
    stream.connect()
    expect(await subscribed).toMatchObject({ quotes: ['AAPL', 'MSFT'], trades: ['AAPL'] })
    sandbox.control.setPrice('AAPL', { bid: '190.01', ask: '190.03', last: '190.02' })
    sandbox.control.setPrice('TSLA', { last: '200' })
    await expect.poll(() => trades.length).toBe(1)
    expect(quotes).toHaveLength(1)
    expect(quotes[0]).toMatchObject({ symbol: 'AAPL', bidPrice: 190.01, askPrice: 190.03 })
    expect((quotes[0] as { timestamp: unknown }).timestamp).toBeInstanceOf(Date)
    expect(trades[0]).toMatchObject({ symbol: 'AAPL', price: 190.02 })
  })

  test('snapshots of known symbols are returned, unknown symbols are left out', async () => {
    const snapshots: unknown = await sdk().marketData.stocks.stockSnapshots({
      symbols: 'AAPL,NOPE',
      feed: 'iex',
    })
    expect(Object.keys(snapshots as object)).toEqual(['AAPL'])
    expect(snapshots).toMatchObject({
      AAPL: { latestTrade: { p: 185.1 }, prevDailyBar: { c: 185.1 } },
    })
  })
})
