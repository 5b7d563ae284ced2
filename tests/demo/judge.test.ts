import { describe, expect, test } from 'vitest'
import {
  FILL_EVENTS,
  judge,
  judgeFill,
  judgeSame,
  judgeSync,
  type Received,
} from '../../src/apps/demo/judge.ts'

const at = '2024-03-15T14:23:15.000Z'
const ofAlice = { userId: 'alice', timestamp: at }
const trade = { ...ofAlice, tradeId: 'trade_1', symbol: 'AAPL' }
const placed = { tradeId: 'trade_1', symbol: 'AAPL', quantity: 10 }

const payloads = {
  'connection.authorized': { ...ofAlice, sessionId: 'ws_1' },
  'trade.submitted': {
    ...trade,
    quantity: 10,
    orderType: 'market',
    side: 'buy',
    brokerOrderId: 'b1',
    status: 'submitted',
    submittedAt: at,
  },
  'trade.filled': {
    ...trade,
    quantity: 10,
    fillPrice: 180.05,
    side: 'buy',
    totalCost: 1800.5,
    filledAt: at,
    executionTime: 5,
  },
  'portfolio.positionAdded': {
    ...ofAlice,
    position: {
      id: 'pos_1',
      symbol: 'AAPL',
      quantity: 10,
      averageEntryPrice: 180.05,
      currentPrice: 180.05,
      unrealizedPnL: 0,
      stopLossPrice: null,
      openedAt: at,
    },
  },
  'portfolio.balanceChanged': {
    ...ofAlice,
    oldBalance: 50000,
    newBalance: 48199.5,
    currency: 'USD',
    change: -1800.5,
    reason: 'TRADE_EXECUTED',
  },
} as const
type Name = keyof typeof payloads

const received = (event: string, payload: unknown): Received => ({
  client: 'laptop',
  event,
  payload,
})
const one = (event: Name, changes: object = {}): Received =>
  received(event, { ...payloads[event], ...changes })
const quote = received('market.quote', {
  symbol: 'AAPL',
  bid: 1,
  ask: 2,
  last: 1.5,
  volume: 1,
  change: 0,
  changePercent: 0,
  timestamp: at,
})
const update = (updates: object): Received =>
  received('portfolio.positionUpdated', {
    ...ofAlice,
    positionId: 'pos_1',
    symbol: 'AAPL',
    updates,
  })

const right = (['connection.authorized', ...FILL_EVENTS] as const).map((event) => one(event))
const expected = {
  act: 'act',
  client: 'laptop',
  userId: 'alice',
  events: ['connection.authorized', ...FILL_EVENTS],
} as const

/** The right events, with some of them changed. */
const but = (event: Name, changes: object): Received[] =>
  right.map((each) => (each.event === event ? one(event, changes) : each))

describe('judge', () => {
  test('every event once, in order, is right', () => expect(judge(expected, right)).toEqual([]))

  test('quotes and price-only updates may come at any time', () => {
    const between = right.flatMap((each) => [
      quote,
      each,
      update({ currentPrice: 181, unrealizedPnL: 9.5 }),
    ])
    expect(judge(expected, between)).toEqual([])
  })

  test.each<[what: string, received: Received[], words: string]>([
    ['nothing at all', [], 'received nothing; expected connection.authorized'],
    ['a missing event', right.slice(0, -1), 'expected'],
    ['an event twice', [...right, one('trade.filled')], 'trade.filled; expected'],
    ['another order', right.toReversed(), 'received portfolio.balanceChanged, '],
    ['a partial fill', [...right, update({ quantity: 5 })], 'portfolio.positionUpdated'],
    [
      'an update of an unknown position',
      [...right, update({ currentPrice: 1, stopLossPrice: 2 })],
      'portfolio.positionUpdated',
    ],
    [
      'an event of no contract',
      [...right, received('trade.dreamt', {})],
      'which is no event of the contract',
    ],
    [
      'a name that objects have anyway',
      [...right, received('toString', {})],
      'which is no event of the contract',
    ],
    [
      'a payload without a field',
      but('trade.filled', { fillPrice: undefined }),
      'wrong payload: fillPrice',
    ],
    [
      'a payload that is none',
      [...right.slice(1), received('connection.authorized', null)],
      'wrong payload',
    ],
    [
      'an amount as text',
      but('portfolio.balanceChanged', { change: '-1' }),
      'wrong payload: change',
    ],
    ['an event of another user', but('trade.filled', { userId: 'bob' }), 'of another user, bob'],
    [
      'a price of another user',
      [
        ...right,
        received('portfolio.positionUpdated', { ...(update({}).payload as object), userId: 'bob' }),
      ],
      'bob',
    ],
  ])('%s is wrong', (_what, events, words) => {
    expect(judge(expected, events).join('\n')).toContain(words)
  })

  test('any event at a client that expects none is wrong', () => {
    const silent = { ...expected, events: [] }
    expect(judge(silent, [quote])).toEqual([])
    expect(judge(silent, [one('trade.filled')])).not.toEqual([])
  })
})

describe('judgeFill', () => {
  test('amounts that add up are right', () => expect(judgeFill('act', placed, right)).toEqual([]))

  test('binary fractions are no difference', () => {
    const cents = [
      one('trade.submitted', { quantity: 3 }),
      one('trade.filled', { quantity: 3, fillPrice: 0.1, totalCost: 0.3 }),
      one('portfolio.positionAdded', {
        position: {
          ...payloads['portfolio.positionAdded'].position,
          quantity: 3,
          averageEntryPrice: 0.1,
        },
      }),
      one('portfolio.balanceChanged', { oldBalance: 1, newBalance: 0.7, change: -0.3 }),
    ]
    expect(judgeFill('act', { ...placed, quantity: 3 }, cents)).toEqual([])
  })

  test('a balance in cents may be less than a cent from the exact cost', () => {
    const exact = [
      one('trade.submitted', { quantity: 3 }),
      one('trade.filled', { quantity: 3, fillPrice: 0.1234, totalCost: 0.3702 }),
      one('portfolio.positionAdded', {
        position: {
          ...payloads['portfolio.positionAdded'].position,
          quantity: 3,
          averageEntryPrice: 0.1234,
        },
      }),
      one('portfolio.balanceChanged', { oldBalance: 1, newBalance: 0.63, change: -0.37 }),
    ]
    expect(judgeFill('act', { ...placed, quantity: 3 }, exact)).toEqual([])
  })

  test.each<[what: string, received: Received[], words: string]>([
    ['a cost a cent off', but('trade.filled', { totalCost: 1800.51 }), 'is not 1800.51'],
    [
      'cash a cent off',
      but('portfolio.balanceChanged', { change: -1800.49, newBalance: 48199.51 }),
      'cash changed by -1800.49',
    ],
    [
      'cash that grew',
      but('portfolio.balanceChanged', { change: 1800.5, newBalance: 51800.5 }),
      'cash changed by 1800.5',
    ],
    [
      'a balance that does not follow',
      but('portfolio.balanceChanged', { newBalance: 48000 }),
      'old balance and change',
    ],
    [
      'another quantity',
      but('trade.filled', { quantity: 5, totalCost: 900.25 }),
      'filled 5, ordered 10',
    ],
    ['another trade', but('trade.filled', { tradeId: 'trade_2' }), 'another trade'],
    ['another symbol', but('trade.submitted', { symbol: 'MSFT' }), 'another symbol'],
    ['no balance', right.slice(0, -1), 'not told completely'],
    ['nothing', [], 'not told completely'],
  ])('%s is wrong', (_what, events, words) => {
    expect(judgeFill('act', placed, events).join('\n')).toContain(words)
  })
})

describe('judgeSync', () => {
  const sync = (changes: object = {}): Received[] => [
    received('state.sync', {
      portfolio: { totalValue: 50000, cashBalance: 48199.5, positionsValue: 1800.5 },
      positions: [payloads['portfolio.positionAdded'].position],
      pendingTrades: [],
      timestamp: at,
      ...changes,
    }),
  ]
  const position = payloads['portfolio.positionAdded'].position
  const pending = {
    id: 'trade_1',
    symbol: 'AAPL',
    quantity: 10,
    orderType: 'market',
    limitPrice: null,
    status: 'submitted',
  }

  test('the right position and the right remaining cash pass', () => {
    expect(judgeSync('act', placed, 50000, sync())).toEqual([])
  })

  test.each<[what: string, received: Received[], words: string]>([
    ['no snapshot', [], 'no state.sync'],
    ['no portfolio in it', sync({ portfolio: undefined }), 'no state.sync with a portfolio'],
    ['no position', sync({ positions: [] }), 'no position in AAPL'],
    ['half a position', sync({ positions: [{ ...position, quantity: 5 }] }), 'has 5 AAPL'],
    [
      'the old cash',
      sync({ portfolio: { totalValue: 0, cashBalance: 50000, positionsValue: 0 } }),
      'cash 50000 is not',
    ],
    ['the trade still pending', sync({ pendingTrades: [pending] }), 'as pending'],
  ])('%s is wrong', (_what, events, words) => {
    expect(judgeSync('act', placed, 50000, events).join('\n')).toContain(words)
  })
})

describe('judgeSame', () => {
  test('price updates and events of one connection may differ', () => {
    const other = right.slice(1)
    expect(judgeSame('act', [...right, quote], [...other, update({ currentPrice: 1 })])).toEqual([])
  })

  test.each<[what: string, other: Received[]]>([
    ['an event less', right.slice(0, -1)],
    ['another amount', but('portfolio.balanceChanged', { newBalance: 1 })],
    ['another order', right.toReversed()],
  ])('%s is wrong', (_what, other) => expect(judgeSame('act', right, other)).not.toEqual([]))
})
