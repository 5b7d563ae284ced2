import { expect, test } from 'vitest'
import { type BrokerOrder, dec, differencesOf, type OrderIntent } from '#domain'
import { brokerOrder, intentOf } from './orders.ts'

const exits = { takeProfit: { limitPrice: dec('200') }, stopLoss: { stopPrice: dec('150'), limitPrice: null } }
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
  ['another type and prices', {}, { orderType: 'limit', limitPrice: dec('1') }, ['orderType', 'limitPrice']],
  ['sized in money, shown in shares', { quantity: null, notional: dec('50') }, { quantity: dec('0.3') }, []],
  ['another sum of money', { quantity: null, notional: dec('50') }, { notional: dec('60') }, ['notional']],
  ['a stop that trails', trailing, { ...trailing, stopPrice: dec('178.2') }, []],
  ['a bracket, exits shown', { orderClass: 'bracket', ...exits }, { orderClass: 'bracket', legs }, []],
  ['a bracket, exits not shown', { orderClass: 'bracket', ...exits }, { orderClass: 'bracket' }, []],
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
])('what was asked for and what is shown - %s', (_what, asked, shown, differences) => {
  expect(differencesOf(intentOf(asked), brokerOrder('new', '0', 1, shown))).toEqual(differences)
})
