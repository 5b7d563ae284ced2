import { describe, expect, test } from 'vitest'
import {
  assess,
  dec,
  type OrderIntent,
  type Position,
  reduce,
  type RiskCode,
  type RiskFacts,
  type RiskLimits,
} from '#domain'
import { claimed, emptySlice, intentOf, landing } from './orders.ts'

const none: RiskLimits = {
  ...{ schema: 1, orderNotionalMax: null, positionNotionalMax: null, openOrdersMax: null, dailyLossMax: null },
  ...{ symbolsAllowed: null, symbolsDenied: [], priceCollarPercent: null, sessions: 'any', revision: '1' },
}

/** `quantity` AAPL, bought or sold short at 100. */
const held = (quantity: string): Position => ({
  ...{ schema: 2, id: 'p', connectionId: 'broker_1', symbol: 'AAPL', quantity: dec(quantity), cost: dec('100') },
  ...{ closedQuantity: dec('0'), closedCost: dec('0'), closedValue: dec('0'), realizedPnL: dec('0') },
  ...{ mark: dec('100'), stopLossPrice: null, stopLossFrom: null, openedAt: '', closedAt: null },
})

const quote = { bid: dec('99'), ask: dec('101'), last: dec('100') }
const NOW_MS = Date.UTC(2024, 2, 15, 15, 0, 0)

const facts = (limits: Partial<RiskLimits> | null, over: Partial<RiskFacts> = {}): RiskFacts => ({
  limits: { user: limits === null ? null : { ...none, ...limits }, connection: null },
  ...{ position: null, closes: false, orders: [], accounts: [], quote: null, isOpen: null, nowMs: NOW_MS },
  ...over,
})

const limitOrder = (limitPrice: string, over: Partial<OrderIntent> = {}): OrderIntent =>
  intentOf({ orderType: 'limit', limitPrice: dec(limitPrice), ...over })
const sell = { side: 'sell' } as const
const openOrder = reduce(emptySlice, claimed(intentOf({ tradeId: 'other' })), { ...landing, id: 'other' }).slice.order!
const lost = (realizedPnL: string, date = '2024-03-15') => [
  { ...emptySlice.account!, today: { date, realizedPnL: dec(realizedPnL) } },
]

describe('assess', () => {
  test.each<[string, OrderIntent, RiskFacts, RiskCode | null]>([
    ['no limits: anything goes', intentOf(), facts(null), null],
    ['an order worth as much as is allowed', limitOrder('10'), facts({ orderNotionalMax: dec('1000') }), null],
    ['an order worth a cent more', limitOrder('10'), facts({ orderNotionalMax: dec('999.99') }), 'ORDER_TOO_LARGE'],
    [
      'a market order, by what the other side asks',
      intentOf(),
      facts({ orderNotionalMax: dec('10000') }, { quote }),
      'ORDER_TOO_LARGE',
    ],
    ['a market sell, by what is bid', intentOf(sell), facts({ orderNotionalMax: dec('9900') }, { quote }), null],
    [
      'a sell limit far below is worth the market',
      limitOrder('1', sell),
      facts({ orderNotionalMax: dec('9000') }, { quote }),
      'ORDER_TOO_LARGE',
    ],
    [
      'an order sized in money',
      intentOf({ quantity: null, notional: dec('50') }),
      facts({ orderNotionalMax: dec('49') }),
      'ORDER_TOO_LARGE',
    ],
    ['a market order without any price', intentOf(), facts({ orderNotionalMax: dec('1') }), 'PRICE_UNKNOWN'],
    [
      'without a quote, the mark of the position',
      intentOf(),
      facts({ orderNotionalMax: dec('10000') }, { position: held('1') }),
      null,
    ],
    [
      'a position that stays within',
      limitOrder('10'),
      facts({ positionNotionalMax: dec('2000') }, { position: held('100') }),
      null,
    ],
    [
      'a position that grows over',
      limitOrder('10'),
      facts({ positionNotionalMax: dec('1999') }, { position: held('100') }),
      'POSITION_TOO_LARGE',
    ],
    [
      'a short position that grows over',
      limitOrder('10', sell),
      facts({ positionNotionalMax: dec('1999') }, { position: held('-100') }),
      'POSITION_TOO_LARGE',
    ],
    ['one order too many', intentOf(), facts({ openOrdersMax: 1 }, { orders: [openOrder] }), 'TOO_MANY_OPEN_ORDERS'],
    ['the last one that is allowed', intentOf(), facts({ openOrdersMax: 2 }, { orders: [openOrder] }), null],
    [
      'a loss at the limit',
      intentOf(),
      facts({ dailyLossMax: dec('50') }, { accounts: lost('-50') }),
      'DAILY_LOSS_REACHED',
    ],
    ['a loss below the limit', intentOf(), facts({ dailyLossMax: dec('50') }, { accounts: lost('-49.99') }), null],
    ['a profit', intentOf(), facts({ dailyLossMax: dec('50') }, { accounts: lost('500') }), null],
    [
      'a loss of yesterday',
      intentOf(),
      facts({ dailyLossMax: dec('50') }, { accounts: lost('-99', '2024-03-14') }),
      null,
    ],
    [
      'losses of two connections add up',
      intentOf(),
      facts({ dailyLossMax: dec('50') }, { accounts: [...lost('-30'), ...lost('-30')] }),
      'DAILY_LOSS_REACHED',
    ],
    ['a symbol that is not listed', intentOf(), facts({ symbolsAllowed: ['MSFT'] }), 'SYMBOL_NOT_ALLOWED'],
    [
      'a symbol that is denied, and listed',
      intentOf(),
      facts({ symbolsAllowed: ['AAPL'], symbolsDenied: ['AAPL'] }),
      'SYMBOL_NOT_ALLOWED',
    ],
    ['a buy at the edge of the collar', limitOrder('106.05'), facts({ priceCollarPercent: dec('5') }, { quote }), null],
    [
      'a buy beyond it',
      limitOrder('106.06'),
      facts({ priceCollarPercent: dec('5') }, { quote }),
      'PRICE_OUTSIDE_COLLAR',
    ],
    ['a buy far below only rests', limitOrder('1'), facts({ priceCollarPercent: dec('5') }, { quote }), null],
    [
      'a sell beyond it',
      limitOrder('94.04', sell),
      facts({ priceCollarPercent: dec('5') }, { quote }),
      'PRICE_OUTSIDE_COLLAR',
    ],
    ['the collar without a fresh quote', limitOrder('500'), facts({ priceCollarPercent: dec('5') }), null],
    [
      'a stop-limit is judged by its stop',
      limitOrder('151', { stopPrice: dec('150') }),
      facts({ priceCollarPercent: dec('5') }, { quote }),
      null,
    ],
    ['closed, regular hours only', intentOf(), facts({ sessions: 'regular' }, { isOpen: false }), 'MARKET_CLOSED'],
    ['hours not known: the broker decides', intentOf(), facts({ sessions: 'regular' }, { isOpen: null }), null],
    [
      'for the opening auction',
      intentOf({ timeInForce: 'opg' }),
      facts({ sessions: 'regular' }, { isOpen: false }),
      null,
    ],
    [
      'for extended hours',
      limitOrder('10', { extendedHours: true }),
      facts({ sessions: 'regular' }, { isOpen: true }),
      'MARKET_CLOSED',
    ],
    ['crypto never closes', intentOf({ symbol: 'BTC/USD' }), facts({ sessions: 'regular' }, { isOpen: false }), null],
    ['across zero, with no limits at all', intentOf(sell), facts(null, { position: held('50') }), 'CROSSES_ZERO'],
    ['across zero from short', intentOf(), facts(null, { position: held('-50') }), 'CROSSES_ZERO'],
    [
      "a close by the broker's figure, whatever we know",
      intentOf(sell),
      facts(null, { position: held('50'), closes: true }),
      null,
    ],
  ])('%s', (_what, intent, given, code) => expect(assess(intent, given)?.code ?? null).toBe(code))

  test('what only reduces a position passes every limit on exposure', () => {
    const strict = {
      ...{ orderNotionalMax: dec('1'), positionNotionalMax: dec('1'), openOrdersMax: 0, dailyLossMax: dec('1') },
      symbolsDenied: ['AAPL'],
    }
    const given = facts(strict, { position: held('100'), orders: [openOrder], accounts: lost('-500'), quote })
    expect(assess(intentOf(sell), given)).toBeNull()
    expect(assess(intentOf({ quantity: dec('1') }), given)).not.toBeNull()
  })

  test('limits of the user and of the connection both hold', () => {
    const limits = { user: none, connection: { ...none, openOrdersMax: 0 } }
    expect(assess(intentOf(), { ...facts(null), limits })?.code).toBe('TOO_MANY_OPEN_ORDERS')
    const elsewhere = { ...openOrder, connectionId: 'broker_2' }
    const one = { user: none, connection: { ...none, openOrdersMax: 1 } }
    expect(assess(intentOf(), { ...facts(null), limits: one, orders: [elsewhere] })).toBeNull()
  })
})
