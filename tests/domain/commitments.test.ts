import { describe, expect, test } from 'vitest'
import {
  adopt,
  assess,
  becomes,
  dec,
  leftOf,
  newOrder,
  type Order,
  type OrderIntent,
  type OrderUpdate,
  type Position,
  reduce,
  reducibleOf,
  type RiskFacts,
  type RiskLimits,
  type Slice,
} from '#domain'
import {
  brokerOrder,
  claimed,
  emptySlice,
  executionOf,
  intentOf,
  orderKey,
  readingOf,
  seen,
} from './orders.ts'

const of = (updates: readonly OrderUpdate[], intent: OrderIntent): Order =>
  [claimed(intent), ...updates].reduce<Slice>(
    (slice, update) => reduce(slice, update, { ...orderKey, id: intent.tradeId }).slice,
    emptySlice,
  ).order!
const sell = { tradeId: 'other', side: 'sell' } as const
const holding = (quantity: string): Position => {
  const position = {
    symbol: 'AAPL',
    quantity: dec(quantity),
    averageEntryPrice: dec('100'),
    currentPrice: null,
  }
  return adopt('broker_1', readingOf({ positions: [position] })).positions.get('AAPL')!
}
const long = holding('100')
/** The part of 100 that may still be sold beside this order. */
const beside = (order: Order): string => reducibleOf(long, [order], 't1')

const asked = { commandId: 'r', leg: 'entry', requestedAt: '2024-03-15T14:00:05.000Z' } as const
const terms = { quantity: null, limitPrice: null, stopPrice: null, trail: null, timeInForce: null }
const replaced = (quantity: string): OrderUpdate[] => [
  {
    type: 'replace_requested',
    request: { ...asked, terms: { ...terms, quantity: dec(quantity) } },
  },
  { type: 'replace_sent', commandId: 'r', at: '2024-03-15T14:00:06.000Z' },
]
const open = (side: 'buy' | 'sell', quantity: string) =>
  seen(brokerOrder('new', '0', 1, { side, quantity: dec(quantity) }))
const exitOf = (id: string, over: object) =>
  brokerOrder('new', '0', 3, { brokerOrderId: id, clientOrderId: id, side: 'sell', ...over })

describe('how much of a position may still be reduced', () => {
  test.each<[string, Order, string]>([
    [
      'an order on its way takes its part',
      of([], intentOf({ ...sell, quantity: dec('60') })),
      '40',
    ],
    ['one that has executed in part takes the rest', partly('60', '20'), '60'],
    [
      'one that adds takes nothing',
      of([open('buy', '60')], intentOf({ tradeId: 'other', quantity: dec('60') })),
      '100',
    ],
    ['one that is denied takes nothing', denied(), '100'],
    [
      'one sized in money takes all',
      of([], intentOf({ ...sell, quantity: null, notional: dec('50') })),
      '0',
    ],
    ['more than there is leaves nothing', of([], intentOf({ ...sell, quantity: dec('160') })), '0'],
    ['a replacement under way counts once, the larger', grown('30', '70'), '30'],
    ['a pending replacement to less takes the old size', grown('70', '30'), '30'],
    ['the two sides of an oco count once', oco(), '40'],
    [
      'the exits of a bracket count once, and no more than its entry has opened',
      bracket('40'),
      '60',
    ],
    ['the exits of an unfilled bracket take nothing', bracket('0'), '100'],
    [
      'an order that was placed elsewhere counts too',
      {
        ...of([open('sell', '60')], intentOf({ ...sell, quantity: dec('60') })),
        origin: 'external',
      },
      '40',
    ],
    ['of another symbol it does not', { ...of([], intentOf(sell)), symbol: 'MSFT' }, '100'],
    [
      'of another connection it does not',
      { ...of([], intentOf(sell)), connectionId: 'broker_2' },
      '100',
    ],
    ['nor does the order itself', { ...of([], intentOf(sell)), id: 't1' }, '100'],
  ])('%s', (_what, order, left) => expect(beside(order)).toBe(left))

  test('of a short position, buys count', () => {
    const cover = of([], intentOf({ tradeId: 'other', side: 'buy', quantity: dec('60') }))
    expect(reducibleOf(holding('-100'), [cover], 't1')).toBe('40')
    expect(reducibleOf(null, [cover], 't1')).toBe('0')
  })

  function partly(quantity: string, filled: string): Order {
    const view = brokerOrder('partially_filled', filled, 2, {
      side: 'sell',
      quantity: dec(quantity),
    })
    return of(
      [seen(view, executionOf(filled, '100', filled, 2))],
      intentOf({ ...sell, quantity: dec(quantity) }),
    )
  }
  function denied(): Order {
    return of(
      [{ type: 'denied', code: 'HALTED', message: '', at: '2024-03-15T14:00:01.000Z' }],
      intentOf(sell),
    )
  }
  function grown(from: string, to: string): Order {
    return of([open('sell', from), ...replaced(to)], intentOf({ ...sell, quantity: dec(from) }))
  }
  function oco(): Order {
    const exits = {
      takeProfit: { limitPrice: dec('110') },
      stopLoss: { stopPrice: dec('90'), limitPrice: null },
    }
    const pair = {
      orderType: 'limit',
      orderClass: 'oco',
      side: 'sell',
      quantity: dec('60'),
    } as const
    const stop = exitOf('stop', {
      orderType: 'stop',
      stopPrice: dec('90'),
      orderClass: 'oco',
      quantity: dec('60'),
    })
    const view = brokerOrder('new', '0', 1, { ...pair, limitPrice: dec('110'), legs: [stop] })
    return of([seen(view)], intentOf({ ...sell, ...pair, ...exits }))
  }
  function bracket(filled: string): Order {
    const exits = {
      takeProfit: { limitPrice: dec('110') },
      stopLoss: { stopPrice: dec('90'), limitPrice: null },
    }
    const entry = {
      orderType: 'limit',
      orderClass: 'bracket',
      quantity: dec('60'),
      limitPrice: dec('100'),
    } as const
    const legs = [
      exitOf('profit', {
        orderType: 'limit',
        limitPrice: dec('110'),
        orderClass: 'bracket',
        quantity: dec('60'),
      }),
      exitOf('stop', {
        orderType: 'stop',
        stopPrice: dec('90'),
        orderClass: 'bracket',
        quantity: dec('60'),
      }),
    ]
    const isFilled = filled !== '0'
    const view = brokerOrder(isFilled ? 'partially_filled' : 'new', filled, 2, { ...entry, legs })
    const execution = isFilled ? executionOf(filled, '100', filled, 2) : null
    return of([seen(view, execution)], intentOf({ tradeId: 'other', ...entry, ...exits }))
  }
})

describe('open orders count in the limit of a position', () => {
  const limits: RiskLimits = {
    schema: 1,
    orderNotionalMax: null,
    positionNotionalMax: dec('1000'),
    openOrdersMax: null,
    dailyLossMax: null,
    symbolsAllowed: null,
    symbolsDenied: [],
    priceCollarPercent: null,
    sessions: 'any',
    revision: '1',
  }
  const quote = { bid: dec('100'), ask: dec('100'), last: dec('100') }
  const facts = (over: Partial<RiskFacts>, whose: 'user' | 'connection' = 'user'): RiskFacts => ({
    limits: { user: null, connection: null, [whose]: limits },
    position: null,
    positions: [],
    orders: [],
    accounts: [],
    quote,
    isOpen: null,
    nowMs: 0,
    ...over,
  })
  const buy = (
    quantity: string,
    limitPrice = '100',
    over: Partial<OrderIntent> = {},
  ): OrderIntent =>
    intentOf({ orderType: 'limit', quantity: dec(quantity), limitPrice: dec(limitPrice), ...over })
  const other = (intent: OrderIntent): Order => of([], { ...intent, tradeId: 'other' })
  const codeOf = (intent: OrderIntent, given: RiskFacts) =>
    assess(newOrder(intent), given)?.code ?? null

  test.each<[string, OrderIntent, RiskFacts, string | null]>([
    ['within it', buy('4'), facts({ orders: [other(buy('6'))] }), null],
    ['over it', buy('5'), facts({ orders: [other(buy('6'))] }), 'POSITION_TOO_LARGE'],
    [
      'at its own limit',
      buy('4'),
      facts({ orders: [other(buy('6', '101'))] }),
      'POSITION_TOO_LARGE',
    ],
    [
      'at the market, without one',
      buy('4'),
      facts({ orders: [other(intentOf({ quantity: dec('7') }))] }),
      'POSITION_TOO_LARGE',
    ],
    [
      'as money, sized so',
      buy('4'),
      facts({ orders: [other(intentOf({ quantity: null, notional: dec('601') }))] }),
      'POSITION_TOO_LARGE',
    ],
    [
      'only on its side',
      buy('10'),
      facts({ orders: [other(buy('6', '100', { side: 'sell' }))] }),
      null,
    ],
    [
      'not of another symbol',
      buy('10'),
      facts({ orders: [other(buy('6', '100', { symbol: 'MSFT' }))] }),
      null,
    ],
    [
      'of another connection of the user',
      buy('5'),
      facts({ orders: [{ ...other(buy('6')), connectionId: 'broker_2' }] }),
      'POSITION_TOO_LARGE',
    ],
    [
      'not of another, for the connection',
      buy('5'),
      facts({ orders: [{ ...other(buy('6')), connectionId: 'broker_2' }] }, 'connection'),
      null,
    ],
    [
      'a position of another connection',
      buy('5'),
      facts({ positions: [{ ...holding('6'), connectionId: 'broker_2' }] }),
      'POSITION_TOO_LARGE',
    ],
    [
      'one on the other side makes no room',
      buy('11'),
      facts({ positions: [{ ...holding('-6'), connectionId: 'broker_2' }] }),
      'POSITION_TOO_LARGE',
    ],
  ])('%s', (_what, intent, given, code) => expect(codeOf(intent, given)).toBe(code))

  test('a replacement counts its remainder; its executed part counts in the position', () => {
    const view = brokerOrder('partially_filled', '4', 2, {
      orderType: 'limit',
      quantity: dec('6'),
      limitPrice: dec('100'),
    })
    const order = of([seen(view, executionOf('4', '100', '4', 2))], buy('6'))
    const position = holding('4')
    const given = facts({ orders: [order], position, positions: [position] })
    const to = (quantity: string) =>
      becomes(order, { leg: 'entry', terms: { ...terms, quantity: dec(quantity) } })
    expect(assess(to('10'), given)).toBeNull()
    expect(assess(to('11'), given)?.code).toBe('POSITION_TOO_LARGE')
  })

  test('a pending replacement counts at the dearer price', () => {
    const order = of(
      [seen(brokerOrder('new', '0', 1, { quantity: dec('6'), limitPrice: dec('100') }))],
      buy('6'),
    )
    const request = {
      ...asked,
      terms: { ...terms, limitPrice: dec('150') },
      replacement: 1,
      sentAt: 'now',
    }
    const underWay = { ...order, id: 'other', replaces: [request] }
    expect(leftOf(underWay)).toBe('6')
    expect(codeOf(buy('1'), facts({ orders: [underWay] }))).toBeNull()
    expect(codeOf(buy('2'), facts({ orders: [underWay] }))).toBe('POSITION_TOO_LARGE')
  })
})
