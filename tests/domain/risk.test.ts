import { describe, expect, test } from 'vitest'
import {
  assess,
  dec,
  newOrder,
  type OrderIntent,
  type Position,
  reduce,
  type RiskCode,
  type RiskFacts,
  type RiskLimits,
} from '#domain'
import { claimed, emptySlice, intentOf, orderKey } from './orders.ts'

const none: RiskLimits = {
  schema: 1,
  orderNotionalMax: null,
  positionNotionalMax: null,
  openOrdersMax: null,
  dailyLossMax: null,
  symbolsAllowed: null,
  symbolsDenied: [],
  priceCollarPercent: null,
  sessions: 'any',
  revision: '1',
}

/** `quantity` AAPL, bought or sold short at 100. */
const held = (quantity: string): Position => ({
  schema: 2,
  id: 'p',
  connectionId: 'broker_1',
  symbol: 'AAPL',
  quantity: dec(quantity),
  cost: dec('100'),
  closedQuantity: dec('0'),
  closedCost: dec('0'),
  closedValue: dec('0'),
  realizedPnL: dec('0'),
  mark: dec('100'),
  stopLossPrice: null,
  stopLossFrom: null,
  openedAt: '',
  closedAt: null,
})

const quote = { bid: dec('99'), ask: dec('101'), last: dec('100') }
const NOW_MS = Date.UTC(2024, 2, 15, 15, 0, 0)

const facts = (limits: Partial<RiskLimits> | null, over: Partial<RiskFacts> = {}): RiskFacts => ({
  limits: { user: limits === null ? null : { ...none, ...limits }, connection: null },
  position: null,
  orders: [],
  accounts: [],
  quote: null,
  isOpen: null,
  nowMs: NOW_MS,
  positions: over.position == null ? [] : [over.position],
  ...over,
})
const judge = (intent: OrderIntent, given: RiskFacts): RiskCode | null =>
  assess(newOrder(intent), given)?.code ?? null

const limitOrder = (limitPrice: string, over: Partial<OrderIntent> = {}): OrderIntent =>
  intentOf({ orderType: 'limit', limitPrice: dec(limitPrice), ...over })
const sell = { side: 'sell' } as const
const buyStop = (stopPrice: string): OrderIntent =>
  intentOf({ orderType: 'stop', stopPrice: dec(stopPrice) })
const stopLimit = limitOrder('41', { orderType: 'stop_limit', stopPrice: dec('40') })
const worth = (most: number) => ({ orderNotionalMax: dec(String(most)) })
const low = { quote: { bid: dec('9.9'), ask: dec('10'), last: dec('10') } }
const openOrder = reduce(emptySlice, claimed(intentOf({ tradeId: 'other' })), {
  ...orderKey,
  id: 'other',
}).slice.order!
const lost = (realizedPnL: string, date = '2024-03-15') => [
  { ...emptySlice.account!, today: { date, realizedPnL: dec(realizedPnL) } },
]

describe('assess', () => {
  test.each<[string, OrderIntent, RiskFacts, RiskCode | null]>([
    ['no limits: anything goes', intentOf(), facts(null), null],
    [
      'an order worth as much as is allowed',
      limitOrder('10'),
      facts({ orderNotionalMax: dec('1000') }),
      null,
    ],
    [
      'an order worth a cent more',
      limitOrder('10'),
      facts({ orderNotionalMax: dec('999.99') }),
      'ORDER_TOO_LARGE',
    ],
    [
      'a market order, by the ask',
      intentOf(),
      facts({ orderNotionalMax: dec('10000') }, { quote }),
      'ORDER_TOO_LARGE',
    ],
    [
      'a market sell, by the bid',
      intentOf(sell),
      facts({ orderNotionalMax: dec('9900') }, { quote }),
      null,
    ],
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
    [
      'a market order without any price',
      intentOf(),
      facts({ orderNotionalMax: dec('1') }),
      'PRICE_UNKNOWN',
    ],
    [
      'without a quote, for any mark of the position',
      intentOf(),
      facts({ orderNotionalMax: dec('10000') }, { position: held('1') }),
      'PRICE_UNKNOWN',
    ],
    [
      'a sell limit without a quote, since it may bring more than its limit',
      limitOrder('1', sell),
      facts({ orderNotionalMax: dec('10000') }),
      'PRICE_UNKNOWN',
    ],
    [
      'a buy stop, by as much above its stop as the broker allows',
      buyStop('40'),
      facts(worth(4160), low),
      null,
    ],
    ['a buy stop worth a cent more', buyStop('40'), facts(worth(4159.99), low), 'ORDER_TOO_LARGE'],
    [
      'a buy stop of 50 and more has less room',
      buyStop('120'),
      facts(worth(12300), { quote }),
      null,
    ],
    [
      'the same, worth a cent more',
      buyStop('120'),
      facts(worth(12299.99), { quote }),
      'ORDER_TOO_LARGE',
    ],
    [
      'a buy stop below the market, by the market',
      buyStop('40'),
      facts(worth(10099), { quote }),
      'ORDER_TOO_LARGE',
    ],
    ['a buy stop without a quote', buyStop('40'), facts(worth(99999)), 'PRICE_UNKNOWN'],
    [
      'a trailing buy, by where it would trigger now',
      intentOf({ orderType: 'trailing_stop', trailPercent: dec('10') }),
      facts(worth(11387.74), { quote }),
      'ORDER_TOO_LARGE',
    ],
    [
      'a trailing buy that stays within',
      intentOf({ orderType: 'trailing_stop', trailPrice: dec('10.1') }),
      facts(worth(11387.75), { quote }),
      null,
    ],
    [
      'a stop-limit buy pays no more than its limit',
      stopLimit,
      facts(worth(4100), { quote }),
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
      facts({ positionNotionalMax: dec('1999') }, { position: held('-100'), quote: low.quote }),
      'POSITION_TOO_LARGE',
    ],
    [
      'one order too many',
      intentOf(),
      facts({ openOrdersMax: 1 }, { orders: [openOrder] }),
      'TOO_MANY_OPEN_ORDERS',
    ],
    [
      'the last one that is allowed',
      intentOf(),
      facts({ openOrdersMax: 2 }, { orders: [openOrder] }),
      null,
    ],
    [
      'a loss at the limit',
      intentOf(),
      facts({ dailyLossMax: dec('50') }, { accounts: lost('-50') }),
      'DAILY_LOSS_REACHED',
    ],
    [
      'a loss below the limit',
      intentOf(),
      facts({ dailyLossMax: dec('50') }, { accounts: lost('-49.99') }),
      null,
    ],
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
    [
      'a symbol that is not listed',
      intentOf(),
      facts({ symbolsAllowed: ['MSFT'] }),
      'SYMBOL_NOT_ALLOWED',
    ],
    [
      'a symbol that is denied, and listed',
      intentOf(),
      facts({ symbolsAllowed: ['AAPL'], symbolsDenied: ['AAPL'] }),
      'SYMBOL_NOT_ALLOWED',
    ],
    [
      'a buy at the edge of the collar',
      limitOrder('106.05'),
      facts({ priceCollarPercent: dec('5') }, { quote }),
      null,
    ],
    [
      'a buy beyond it',
      limitOrder('106.06'),
      facts({ priceCollarPercent: dec('5') }, { quote }),
      'PRICE_OUTSIDE_COLLAR',
    ],
    [
      'a buy far below only rests',
      limitOrder('1'),
      facts({ priceCollarPercent: dec('5') }, { quote }),
      null,
    ],
    [
      'a sell beyond it',
      limitOrder('94.04', sell),
      facts({ priceCollarPercent: dec('5') }, { quote }),
      'PRICE_OUTSIDE_COLLAR',
    ],
    [
      'the collar without a quote',
      limitOrder('500'),
      facts({ priceCollarPercent: dec('5') }),
      'PRICE_UNKNOWN',
    ],
    [
      'the collar without a quote, of an order without a limit',
      intentOf(),
      facts({ priceCollarPercent: dec('5') }),
      null,
    ],
    [
      'a sell at the market',
      limitOrder('99', sell),
      facts({ priceCollarPercent: dec('5') }, { quote }),
      null,
    ],
    [
      'a sell at the edge of the collar',
      limitOrder('94.05', sell),
      facts({ priceCollarPercent: dec('5') }, { quote }),
      null,
    ],
    [
      'a sell far above only rests',
      limitOrder('900', sell),
      facts({ priceCollarPercent: dec('5') }, { quote }),
      null,
    ],
    [
      'the take profit of an oco rests at once',
      intentOf({ ...sell, orderClass: 'oco', takeProfit: { limitPrice: dec('90') } }),
      facts({ priceCollarPercent: dec('5') }, { quote, position: held('100') }),
      'PRICE_OUTSIDE_COLLAR',
    ],
    [
      'a stop-limit is judged by its stop',
      limitOrder('151', { stopPrice: dec('150') }),
      facts({ priceCollarPercent: dec('5') }, { quote }),
      null,
    ],
    [
      'closed, regular hours only',
      intentOf(),
      facts({ sessions: 'regular' }, { isOpen: false }),
      'MARKET_CLOSED',
    ],
    [
      'hours not known: the broker decides',
      intentOf(),
      facts({ sessions: 'regular' }, { isOpen: null }),
      null,
    ],
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
    [
      'crypto never closes',
      intentOf({ symbol: 'BTC/USD' }),
      facts({ sessions: 'regular' }, { isOpen: false }),
      null,
    ],
    [
      'across zero, with no limits at all',
      intentOf(sell),
      facts(null, { position: held('50') }),
      'CROSSES_ZERO',
    ],
    ['across zero from short', intentOf(), facts(null, { position: held('-50') }), 'CROSSES_ZERO'],
  ])('%s', (_what, intent, given, code) => expect(judge(intent, given)).toBe(code))

  test('an order that only reduces a position passes every limit on exposure', () => {
    const strict = {
      orderNotionalMax: dec('1'),
      positionNotionalMax: dec('1'),
      openOrdersMax: 0,
      dailyLossMax: dec('1'),
      symbolsDenied: ['AAPL'],
    }
    const given = facts(strict, {
      position: held('100'),
      orders: [openOrder],
      accounts: lost('-500'),
      quote,
    })
    expect(judge(intentOf(sell), given)).toBeNull()
    expect(judge(intentOf({ quantity: dec('1') }), given)).not.toBeNull()
  })

  test.each([
    ['ETHUSD', 'ETH/USD'],
    ['ETH/USD', 'ETHUSD'],
  ])('a symbol denied as %s is denied as %s', (denied, symbol) => {
    expect(judge(intentOf({ symbol }), facts({ symbolsDenied: [denied] }))).toBe(
      'SYMBOL_NOT_ALLOWED',
    )
    expect(judge(intentOf({ symbol }), facts({ symbolsAllowed: [denied] }))).toBeNull()
  })

  test('limits of the user and of the connection both hold', () => {
    const limits = { user: none, connection: { ...none, openOrdersMax: 0 } }
    expect(judge(intentOf(), { ...facts(null), limits })).toBe('TOO_MANY_OPEN_ORDERS')
    const elsewhere = { ...openOrder, connectionId: 'broker_2' }
    const one = { user: none, connection: { ...none, openOrdersMax: 1 } }
    expect(judge(intentOf(), { ...facts(null), limits: one, orders: [elsewhere] })).toBeNull()
  })
})
