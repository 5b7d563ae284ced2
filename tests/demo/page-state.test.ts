import { beforeEach, describe, expect, test } from 'vitest'

type Order = {
  id: string
  status: string
  filled: number
  price?: number
  why?: string
  limitPrice?: number
}
type State = {
  cash: number | null
  positions: Map<string, { currentPrice: number; unrealizedPnL: number; quantity: number }>
  orders: Map<string, Order>
  log: { event: string; isMarket: boolean }[]
  broker: string | null
}
type PageState = {
  emptyState: () => State
  placed: (state: State, tradeId: string, order: object) => void
  receive: (state: State, event: string, payload: object, atMs?: number) => void
  totals: (state: State) => { total: number | null; invested: number; unrealized: number }
}
// The page is plain JavaScript without types: the path is no literal, so that none are looked for.
const path = '../../src/apps/demo/public/state.js'
const { emptyState, placed, receive, totals } = (await import(path)) as PageState

const trade = { tradeId: 't1', symbol: 'AAPL', side: 'buy', quantity: 10 }
const position = {
  id: 'p1',
  symbol: 'AAPL',
  quantity: 10,
  averageEntryPrice: 180,
  currentPrice: 180,
  unrealizedPnL: 0,
}
const sync = (changes: object): object => ({
  portfolio: { cashBalance: 500 },
  positions: [],
  pendingTrades: [],
  ...changes,
})

let state: State
beforeEach(() => {
  state = emptyState()
})
const order = (): Order | undefined => state.orders.get('t1')

describe('orders', () => {
  test('an order passes through its statuses', () => {
    placed(state, 't1', { symbol: 'AAPL', side: 'buy', quantity: 10 })
    expect(order()?.status).toBe('sent')
    receive(state, 'trade.submitted', { ...trade, orderType: 'market' })
    expect(order()?.status).toBe('submitted')
    receive(state, 'trade.partialFill', {
      ...trade,
      requestedQuantity: 10,
      filledQuantity: 4,
      averageFillPrice: 180,
    })
    expect(order()).toMatchObject({ status: 'partially_filled', filled: 4 })
    receive(state, 'trade.filled', { ...trade, fillPrice: 180.1 })
    expect(order()).toMatchObject({ status: 'filled', filled: 10, price: 180.1 })
  })

  test('events that arrive before the answer of the trade API are not undone', () => {
    receive(state, 'trade.filled', { ...trade, fillPrice: 180.1 })
    placed(state, 't1', { symbol: 'AAPL', limitPrice: 181 })
    expect(order()).toMatchObject({ status: 'filled', limitPrice: 181 })
  })

  test('a refusal has its reason', () => {
    receive(state, 'trade.rejected', { ...trade, message: 'not enough money' })
    expect(order()).toMatchObject({ status: 'rejected', why: 'not enough money' })
  })

  test('an order that a snapshot omits has ended, unless it is still being sent', () => {
    receive(state, 'trade.submitted', trade)
    placed(state, 't2', {})
    receive(state, 'state.sync', sync({}))
    expect([...state.orders.values()].map(({ id, status }) => [id, status])).toEqual([
      ['t2', 'sent'],
      ['t1', 'ended'],
    ])
  })

  test('a partial snapshot changes only its parts', () => {
    receive(state, 'trade.submitted', trade)
    receive(state, 'portfolio.positionAdded', { position })
    receive(state, 'state.sync', { portfolio: { cashBalance: 7 } })
    expect([state.cash, state.positions.size, order()?.status]).toEqual([7, 1, 'submitted'])
  })

  test('the list is bounded, and open orders always stay', () => {
    receive(state, 'trade.submitted', trade)
    for (let n = 0; n < 300; n += 1)
      receive(state, 'trade.filled', { ...trade, tradeId: `f${n}`, fillPrice: 1 })
    expect(state.orders.size).toBeLessThanOrEqual(101)
    expect(order()?.status).toBe('submitted')
  })
})

describe('portfolio', () => {
  test('cash and positions make the total', () => {
    receive(state, 'portfolio.balanceChanged', { newBalance: 1000 })
    receive(state, 'portfolio.positionAdded', { position })
    receive(state, 'portfolio.positionUpdated', {
      positionId: 'p1',
      updates: { currentPrice: 181, unrealizedPnL: 10 },
    })
    expect(totals(state)).toMatchObject({ total: 2810, invested: 1810, unrealized: 10 })
  })

  test('cash is that of all accounts, also when one account reports its balance', () => {
    receive(state, 'state.sync', {
      portfolio: { cashBalance: 3_000 },
      positions: [],
      pendingTrades: [],
    })
    const balance = { brokerConnectionId: 'c2', oldBalance: 3_000, newBalance: 2_990, change: -10 }
    receive(state, 'portfolio.balanceChanged', { ...balance, connectionBalance: 990 })
    expect(totals(state)).toMatchObject({ cash: 2_990, total: 2_990 })
  })

  test('a quote moves the positions in its symbol', () => {
    receive(state, 'portfolio.positionAdded', { position })
    receive(state, 'market.quote', { symbol: 'MSFT', last: 1 })
    receive(state, 'market.quote', { symbol: 'AAPL', last: null })
    expect(state.positions.get('p1')?.currentPrice).toBe(180)
    receive(state, 'market.quote', { symbol: 'AAPL', last: 182 })
    expect(state.positions.get('p1')).toMatchObject({ currentPrice: 182, unrealizedPnL: 20 })
  })

  test('a closed position is gone, and an update of a closed position is ignored', () => {
    receive(state, 'portfolio.positionAdded', { position })
    receive(state, 'portfolio.positionClosed', { positionId: 'p1' })
    receive(state, 'portfolio.positionUpdated', { positionId: 'p1', updates: { quantity: 5 } })
    expect(state.positions.size).toBe(0)
  })
})

test('a broker outage is shown until the broker is back', () => {
  receive(state, 'error.brokerDisconnected', { reason: 'keys revoked', action: 'Verify API keys' })
  expect(state.broker).toContain('Verify API keys')
  receive(state, 'broker.connected', {})
  expect(state.broker).toBeNull()
})

test('the log is bounded, newest first; an unknown event is logged only', () => {
  for (let n = 0; n < 400; n += 1) receive(state, 'market.quote', { symbol: 'AAPL', last: n })
  receive(state, 'something.new', {})
  expect(state.log.length).toBe(300)
  expect(state.log.slice(0, 2)).toMatchObject([
    { event: 'something.new', isMarket: false },
    { isMarket: true },
  ])
})
