import { expect, test } from 'vitest'
import { adoptOrder, type BrokerOrder, clientOrderIdOf, dec, mul, type Order } from '#domain'
import { brokerOrder, executionOf, orderKey, play, seen } from './orders.ts'

const filled = (quantity: string, average: string, second: number) =>
  brokerOrder('partially_filled', quantity, second, { filledAveragePrice: dec(average) })

test('adopted again after more executions - the cost is the broker’s total', () => {
  const first = adoptOrder([filled('9', '181', 2)], orderKey)
  const second = adoptOrder([filled('27', '185', 3)], orderKey, first)
  expect(second).toMatchObject({ cumulativeQuantity: '27', totalCost: mul(dec('27'), dec('185')) })
})

test('adopted with earlier executions unknown - the cost is the broker’s total', () => {
  const known = play([
    seen(brokerOrder('new', '0', 1)),
    seen(filled('20', '180', 2), executionOf('5', '190', '20', 2)),
    seen(filled('50', '185', 3), executionOf('5', '195', '50', 3)),
  ]).slice.order as Order
  const adopted = adoptOrder([filled('60', '186', 4)], orderKey, known)
  expect(adopted).toMatchObject({ cumulativeQuantity: '60', totalCost: mul(dec('60'), dec('186')) })
})

test('adopted chain - quantity is the earlier executions plus the working order', () => {
  const part = (step: string, id: string): Partial<BrokerOrder> => ({
    brokerOrderId: id,
    clientOrderId: clientOrderIdOf('u1', 't1', step),
    orderType: 'limit',
    limitPrice: dec('180'),
  })
  const first = {
    ...part('0.0', 'b1'),
    quantity: dec('89'),
    filledAveragePrice: dec('180'),
    replacedBy: 'b2',
  }
  const views = [
    brokerOrder('replaced', '42', 2, first),
    brokerOrder('replaced', '0', 3, {
      ...part('0.1', 'b2'),
      quantity: dec('5'),
      replaces: 'b1',
      replacedBy: 'b3',
    }),
    brokerOrder('new', '0', 4, { ...part('0.2', 'b3'), quantity: dec('47'), replaces: 'b2' }),
  ]
  const adopted = adoptOrder(views, orderKey)
  expect(adopted).toMatchObject({
    quantity: '89',
    cumulativeQuantity: '42',
    status: 'partially_filled',
  })
})
