import { expect, test } from 'vitest'
import { type BrokerOrder, dec, differencesOf, type OrderIntent } from '#domain'
import { brokerOrder, intentOf } from './orders.ts'

const exits = {
  takeProfit: { limitPrice: dec('200') },
  stopLoss: { stopPrice: dec('150'), limitPrice: null },
}
const legs = [
  brokerOrder('held', '0', 1, { orderType: 'limit', limitPrice: dec('200') }),
  brokerOrder('held', '0', 1, { orderType: 'stop', stopPrice: dec('150') }),
]
const trailing = { orderType: 'trailing_stop', trailPercent: dec('1') } as const

test.each<[string, Partial<OrderIntent>, Partial<BrokerOrder>, string[]]>([
  ['the same', {}, {}, []],
  [
    'another size, side and symbol',
    {},
    { quantity: dec('99'), side: 'sell', symbol: 'MSFT' },
    ['symbol', 'side', 'quantity'],
  ],
  [
    'another type and prices',
    { orderType: 'limit', limitPrice: dec('2') },
    { orderType: 'stop_limit', limitPrice: dec('1') },
    ['orderType', 'limitPrice'],
  ],
  [
    'sized in money, shown in shares',
    { quantity: null, notional: dec('50') },
    { quantity: dec('0.3') },
    [],
  ],
  [
    'another sum of money',
    { quantity: null, notional: dec('50') },
    { notional: dec('60') },
    ['notional'],
  ],
  ['a stop that trails', trailing, { ...trailing, stopPrice: dec('178.2') }, []],
  [
    'a bracket, exits shown',
    { orderClass: 'bracket', ...exits },
    { orderClass: 'bracket', legs },
    [],
  ],
  [
    'a bracket, exits not shown',
    { orderClass: 'bracket', ...exits },
    { orderClass: 'bracket' },
    [],
  ],
  [
    'a bracket with another stop',
    { orderClass: 'bracket', ...exits, stopLoss: { stopPrice: dec('149'), limitPrice: null } },
    { orderClass: 'bracket', legs },
    ['stopLoss.stopPrice'],
  ],
  [
    'an oco: its limit is the take-profit',
    { orderClass: 'oco', orderType: 'limit', ...exits },
    { orderClass: 'oco', orderType: 'limit', limitPrice: dec('200'), legs: legs.slice(1) },
    [],
  ],
])('order and report - %s', (_what, asked, shown, differences) => {
  const found = differencesOf(intentOf(asked), brokerOrder('new', '0', 1, shown))
  expect(found.map(({ field }) => field)).toEqual(differences)
  expect(new Set(found.map(({ kind }) => kind))).toEqual(
    new Set(differences.length > 0 ? ['unexplained'] : []),
  )
})

const coins = { symbol: 'ETH/USD' }
const limit = { orderType: 'limit', limitPrice: dec('1800.123') } as const

test.each<[string, Partial<OrderIntent>, Partial<BrokerOrder>, 'conformed' | 'unexplained']>([
  ['a pair reported with its slash', { symbol: 'ETHUSD' }, coins, 'conformed'],
  ['another pair', { symbol: 'ETHUSD' }, { symbol: 'BTC/USD' }, 'unexplained'],
  [
    'a quantity with fewer decimals',
    { quantity: dec('1.239') },
    { quantity: dec('1.23') },
    'conformed',
  ],
  [
    'a quantity with fewer decimals that is another one',
    { quantity: dec('1.239') },
    { quantity: dec('1.2') },
    'conformed',
  ],
  [
    'a quantity that is less by more than a rounding',
    { quantity: dec('1.239') },
    { quantity: dec('1.1') },
    'unexplained',
  ],
  ['whole shares, one fewer', { quantity: dec('100') }, { quantity: dec('99') }, 'unexplained'],
  ['nothing left of it', { quantity: dec('0.4') }, { quantity: dec('0') }, 'unexplained'],
  [
    'coins moved to an increment',
    { ...coins, ...limit },
    { ...coins, ...limit, limitPrice: dec('1800.5') },
    'conformed',
  ],
  ['shares moved likewise', limit, { ...limit, limitPrice: dec('1800.5') }, 'unexplained'],
  ['a limit asked for, and none shown', limit, { ...limit, limitPrice: null }, 'unexplained'],
  [
    'a stop reported as a limit',
    { orderType: 'stop', stopPrice: dec('9') },
    { orderType: 'limit', stopPrice: dec('9') },
    'unexplained',
  ],
  ['a market order with a limit', {}, { limitPrice: dec('9') }, 'conformed'],
])('order and report differ - %s', (_what, asked, shown, kind) => {
  const [first, ...more] = differencesOf(
    intentOf(asked),
    brokerOrder('new', '0', 1, { ...asked, ...shown }),
  )
  expect([first?.kind, more]).toEqual([kind, []])
})
